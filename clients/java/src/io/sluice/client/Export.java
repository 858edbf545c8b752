package io.sluice.client;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * One export: rows go in, a file comes out. Made by {@link Client#export(String)} and {@link Client#find(String)}.
 *
 * <p>Rows are sent in numbered batches, some at a time; a batch that is acknowledged is stored. Every call may be
 * repeated: under the same key the same export is opened, and what the service has is acknowledged again. Calls that
 * open, send and close take turns where several threads make them.
 *
 * <p>A row is a list or an array of cells by place, or a map by column name. Every call may throw a
 * {@link SluiceException}; what a source of rows throws comes as it is.
 */
public final class Export {
    private final Calls calls;
    private final Run run;

    /** @param found the one that was found by its id, so that only the service knows what it is; or null */
    Export(Calls calls, Definition definition, Task found) {
        this.calls = calls;
        this.run = new Run(calls, definition, found);
    }

    /** The columns of the one table, in order. */
    public Export columns(Column... columns) {
        return columns(List.of(columns));
    }

    public Export columns(List<Column> columns) {
        run.describe(() -> run.definition.declare("", columns));
        return this;
    }

    /** One of several tables; each has a name of its own. */
    public Export sheet(String name, Column... columns) {
        return sheet(name, List.of(columns));
    }

    public Export sheet(String name, List<Column> columns) {
        if (name.isEmpty()) {
            throw new UsageException("A sheet has a name.");
        }
        run.describe(() -> run.definition.declare(name, columns));
        return this;
    }

    /** Options of the file (docs/files.md) that are added, or replace those of the same name. */
    public Export options(Map<String, ?> options) {
        run.describe(() -> run.definition.addOptions(options));
        return this;
    }

    /**
     * A name that your program knows again after a crash: the same key goes on with the same export. Printable ASCII
     * without blanks at its ends: {@code java.net.http} sends a question mark for other characters in a header, and HTTP
     * takes such blanks away, so that two keys would be one.
     */
    public Export key(String key) {
        run.key(key);
        return this;
    }

    /** How many rows will come, so that the percentage covers the sending; checked at the close. */
    public Export expect(long rows) {
        run.describe(() -> run.definition.expect(rows));
        return this;
    }

    /** Called after each acknowledged batch, and while waiting; on the thread that sends or waits. */
    public Export onProgress(Consumer<Progress> listener) {
        run.onProgress(listener);
        return this;
    }

    /**
     * Opens the export, sends the rows, and closes it with the totals counted; of several sheets, once all are written.
     *
     * <p>What an earlier run under the same key has closed is not sent again. Without a key of yours, an export that
     * fails here is cancelled.
     */
    public Export write(Iterable<?> rows) {
        return write(rows, "");
    }

    public Export write(Iterator<?> rows) {
        return write(rows, "");
    }

    public Export write(Stream<?> rows) {
        return write(rows, "");
    }

    public Export write(Iterable<?> rows, String sheet) {
        return write(rows.iterator(), sheet);
    }

    public Export write(Iterator<?> rows, String sheet) {
        run.write(Source.of(rows), sheet);
        return this;
    }

    public Export write(Stream<?> rows, String sheet) {
        run.write(Source.of(rows), sheet);
        return this;
    }

    /**
     * Opens the export, or finds the one of its key. One that has ended without a file, or was deleted, is over: then
     * the key begins a new one.
     */
    public Export open() {
        run.ready();
        return this;
    }

    /** Sends rows in batches, numbered in the order of the calls; returns once the service has stored them. */
    public Export push(Iterable<?> rows) {
        return push(rows, "");
    }

    public Export push(Iterable<?> rows, String sheet) {
        run.push(Source.of(rows.iterator()), sheet);
        return this;
    }

    /** Sends rows as the one batch of this number: for jobs that run beside each other and know their place. */
    public Export pushBatch(long sequence, Iterable<?> rows) {
        return pushBatch(sequence, rows, "");
    }

    public Export pushBatch(long sequence, Iterable<?> rows, String sheet) {
        run.pushNumbered(Source.of(rows.iterator()), sheet, sequence);
        return this;
    }

    /** Fixes the rows and has the file written. Totals counted here are checked, unless you numbered batches. */
    public Export close() {
        run.close(null);
        return this;
    }

    /** With totals of yours, which are checked. */
    public Export close(long batches, long rows) {
        run.close(Map.of("batches", batches, "rows", rows));
        return this;
    }

    /** Waits for the file, five minutes at most. */
    public Status await() {
        return await(Duration.ofMinutes(5));
    }

    /**
     * Waits for the file.
     *
     * @throws NotReadyException when the time is over; the export goes on
     * @throws ExportFailedException when there will be no file
     */
    public Status await(Duration time) {
        return run.await(time);
    }

    /** As it is now. */
    public Status status() {
        return run.status();
    }

    /** The id by which any process finds this export again. */
    public String id() {
        return run.ready().id;
    }

    /**
     * A link to the file that works without the API key for a while, made anew at each call: hand it out.
     *
     * @throws NotReadyException while there is no file
     */
    public String url() {
        return run.ready().link();
    }

    /**
     * An address at which a browser sees this export, follows its events and fetches its file, without the API key.
     * Null where the service offers none, and for an export that was found by its id.
     */
    public String watchUrl() {
        return run.ready().watchUrl;
    }

    /** Saves the file: whole and with the checksum that the service recorded, or not at all. What is cut goes on. */
    public Export saveTo(Path path) {
        run.ready().download().saveTo(path);
        return this;
    }

    /** Another file of the same rows. */
    public Export renderAs(String format) {
        return renderAs(format, null, null);
    }

    /**
     * @param options in place of all of this export, or null
     * @param filename or null
     */
    public Export renderAs(String format, Map<String, ?> options, String filename) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("format", format);
        if (options != null) {
            body.put("options", options);
        }
        if (filename != null) {
            body.put("filename", filename);
        }
        return new Export(calls, new Definition("", ""), new Task(calls, run.ready().render(body), null));
    }

    /**
     * Cancels an export that is running.
     *
     * @throws RefusedException ALREADY_COMPLETED where the file is there; nothing is deleted
     */
    public Export cancel() {
        run.ready().call("POST", "/cancel", Map.of());
        return this;
    }

    /** Deletes an export that has ended, its file and its rows; cancels one that is running. */
    public Export delete() {
        run.ready().call("DELETE", "", null);
        return this;
    }

    /** As {@link #restartIfStopped(Duration)}, and looks on for five seconds. */
    public boolean restartIfStopped() {
        return restartIfStopped(Duration.ofSeconds(5));
    }

    /**
     * For a source that has changed since a run that stopped half-way: gives up what that one has sent, and begins
     * anew. An export that failed, was cancelled or has expired meanwhile is begun anew, too. One that another run has
     * closed stays, with its file, and so does one that another run still sends, whose batches grow while this looks on.
     *
     * @return whether it begins anew, and all rows are to be written again
     * @throws NotReadyException while another run sends under this key
     */
    public boolean restartIfStopped(Duration time) {
        return run.restartIfStopped(time);
    }

    /**
     * Gives up what was sent under the key, whoever sent it, and begins anew: ends the export of this key where it
     * runs, <b>deletes it where it is finished</b>; later runs under the key go on with the new one.
     * {@link #restartIfStopped()} deletes no file.
     */
    public Export restart() {
        run.restart();
        return this;
    }
}
