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
    private final Definition definition;
    private final boolean isFound;
    private String key = "";
    private boolean keyIsOurs = true;
    private Consumer<Progress> onProgress = progress -> { };
    private volatile Task task;
    private volatile Status status;
    /** Of the export that is open; made with its first rows. */
    private volatile Sender sender;
    private boolean isClosedHere;
    private Progress progress = Progress.BEGINNING;

    /** @param task of one that is found by its id, so that only the service knows what it is; or null */
    Export(Calls calls, Definition definition, Task task) {
        this.calls = calls;
        this.definition = definition;
        this.task = task;
        this.isFound = task != null;
    }

    /** The columns of the one table, in order. */
    public Export columns(Column... columns) {
        return columns(List.of(columns));
    }

    public Export columns(List<Column> columns) {
        return described(() -> definition.declare("", columns));
    }

    /** One of several tables; each has a name of its own. */
    public Export sheet(String name, Column... columns) {
        return sheet(name, List.of(columns));
    }

    public Export sheet(String name, List<Column> columns) {
        if (name.isEmpty()) {
            throw new UsageException("A sheet has a name.");
        }
        return described(() -> definition.declare(name, columns));
    }

    /** Options of the file (docs/files.md) that are added, or replace those of the same name. */
    public Export options(Map<String, ?> options) {
        return described(() -> definition.addOptions(options));
    }

    /**
     * A name that your program knows again after a crash: the same key goes on with the same export. Printable ASCII:
     * {@code java.net.http} sends no other headers.
     */
    public Export key(String key) {
        if (!key.matches("[ -~]+")) {
            throw new UsageException("A key is printable ASCII text: "
                    + "Java's HTTP client sends no other characters in a header.");
        }
        if (key.startsWith(Task.OWN_KEYS)) {
            throw new UsageException("No key begins with '" + Task.OWN_KEYS + "': the client makes such keys.");
        }
        return described(() -> {
            this.key = key;
            keyIsOurs = false;
        });
    }

    /** How many rows will come, so that the percentage covers the sending; checked at the close. */
    public Export expect(long rows) {
        return described(() -> definition.expect(rows));
    }

    /** Called after each acknowledged batch, and while waiting; on the thread that sends or waits. */
    public Export onProgress(Consumer<Progress> listener) {
        onProgress = listener;
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
        return writeAll(rows, "");
    }

    public Export write(Stream<?> rows) {
        return writeAll(rows.iterator(), "");
    }

    public Export write(Iterable<?> rows, String sheet) {
        return writeAll(rows.iterator(), sheet);
    }

    public Export write(Iterator<?> rows, String sheet) {
        return writeAll(rows, sheet);
    }

    public Export write(Stream<?> rows, String sheet) {
        return writeAll(rows.iterator(), sheet);
    }

    /**
     * Opens the export, or finds the one of its key. One that has ended without a file, or was deleted, is over: then
     * the key begins a new one.
     */
    public Export open() {
        ready();
        return this;
    }

    /** Sends rows in batches, numbered in the order of the calls; returns once the service has stored them. */
    public Export push(Iterable<?> rows) {
        return push(rows, "");
    }

    public synchronized Export push(Iterable<?> rows, String sheet) {
        refuseFound("push()");
        send(opened(), rows.iterator(), sheet);
        return this;
    }

    /** Sends rows as the one batch of this number: for jobs that run beside each other and know their place. */
    public Export pushBatch(long sequence, Iterable<?> rows) {
        return pushBatch(sequence, rows, "");
    }

    public Export pushBatch(long sequence, Iterable<?> rows, String sheet) {
        Task ready = ready();
        sending(ready).sendNumbered(rows.iterator(), how(ready, sheet), sequence);
        return this;
    }

    /** Fixes the rows and has the file written. Totals counted here are checked, unless you numbered batches. */
    public synchronized Export close() {
        close(opened(), null);
        return this;
    }

    /** With totals of yours, which are checked. */
    public synchronized Export close(long batches, long rows) {
        close(opened(), Map.of("batches", batches, "rows", rows));
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
        if (task == null && keyIsOurs) {
            throw new UsageException("Nothing was written that could be waited for.");
        }
        Task ready = ready();
        if (!isFound && status.isOpen() && !sending(ready).isNumbered) {
            List<String> missing = unwritten(ready);
            throw new UsageException("Nothing closes this export: "
                    + (missing.isEmpty() ? "close() is missing." : "not written: " + String.join(", ", missing)));
        }
        return ready.await(time, now -> {
            status = now;
            report(progress.at(now));
        });
    }

    /** As it is now. */
    public Status status() {
        status = ready().status();
        return status;
    }

    /** The id by which any process finds this export again. */
    public String id() {
        return ready().id;
    }

    /**
     * A link to the file that works without the API key for a while, made anew at each call: hand it out.
     *
     * @throws NotReadyException while there is no file
     */
    public String url() {
        return ready().link();
    }

    /**
     * An address at which a browser sees this export, follows its events and fetches its file, without the API key.
     * Null where the service offers none, and for an export that was found by its id.
     */
    public String watchUrl() {
        return ready().watchUrl;
    }

    /** Saves the file: whole and with the checksum that the service recorded, or not at all. What is cut goes on. */
    public Export saveTo(Path path) {
        ready().download().saveTo(path);
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
        return new Export(calls, new Definition("", ""), new Task(calls, ready().render(body), null));
    }

    /**
     * Cancels an export that is running.
     *
     * @throws RefusedException ALREADY_COMPLETED where the file is there; nothing is deleted
     */
    public Export cancel() {
        ready().call("POST", "/cancel", Map.of());
        return this;
    }

    /** Deletes an export that has ended, its file and its rows; cancels one that is running. */
    public Export delete() {
        ready().call("DELETE", "", null);
        return this;
    }

    /**
     * Gives up what was sent under the key, and begins anew: for a source that has changed. Ends the export of this key
     * where it runs, deletes it where it is finished; later runs under the key go on with the new one.
     */
    public synchronized Export restart() {
        refuseFound("restart()");
        Task before = opened();
        status = before.status();
        if (!status.isOpen() || status.batches() > 0) {
            before.call("DELETE", "", null);
            task = null;
            opened();
        }
        isClosedHere = false;
        sender = null;
        progress = Progress.BEGINNING;
        return this;
    }

    private synchronized Export described(Runnable change) {
        if (task != null && !isFound) {
            throw new UsageException("This export is open: what it is, is said before.");
        }
        change.run();
        return this;
    }

    private synchronized Export writeAll(Iterator<?> rows, String sheet) {
        refuseFound("write()");
        if (isClosedHere) {
            throw new UsageException("write() has closed this export: of one table it takes all rows at once. "
                    + "In steps: push(), push(), close().");
        }
        Task open = opened();
        if (!status.isOpen()) {
            return this;
        }
        try {
            send(open, rows, sheet);
            if (unwritten(open).isEmpty()) {
                close(open, null);
            }
        } catch (RuntimeException | Error failure) {
            if (keyIsOurs) { // another write() begins anew
                open.giveUp();
                key = "";
                task = null;
                sender = null;
            }
            throw failure;
        }
        return this;
    }

    private Task ready() {
        Task now = task;
        return now != null ? now : opened();
    }

    private synchronized Task opened() {
        if (task == null) {
            key = key.isEmpty() ? Task.newKey() : key;
            Task.Opened opened = Task.open(calls, key, definition.body());
            status = opened.status();
            task = opened.task();
        }
        return task;
    }

    private void send(Task open, Iterator<?> rows, String sheet) {
        sending(open).send(rows, how(open, sheet));
    }

    private void close(Task open, Map<String, Long> given) {
        Sender counted = sending(open);
        Map<String, Object> totals = new LinkedHashMap<>();
        if (given != null) {
            totals.putAll(given);
        } else if (!counted.isNumbered && !isFound) {
            if (!status.isOpen()) {
                return;
            }
            Map<String, Long> sheets = new LinkedHashMap<>();
            definition.sheetNames().forEach(name -> sheets.put(name, counted.rows.getOrDefault(name, 0L)));
            totals.put("batches", counted.batches);
            totals.put("rows", counted.rows.values().stream().mapToLong(Long::longValue).sum());
            if (!sheets.isEmpty()) {
                totals.put("sheets", sheets);
            }
        }
        status = Status.of(open.call("POST", "/close", totals));
        isClosedHere = true;
    }

    private synchronized Sender sending(Task open) {
        if (sender == null) {
            sender = new Sender(calls, open);
        }
        return sender;
    }

    private Sender.Sending how(Task open, String sheet) {
        RowEncoder encoder = definition.encoder(sheet, calls.settings.substitutes);
        Sender from = sending(open);
        return new Sender.Sending(encoder, sheet, stored -> {
            synchronized (definition) { // batches of several threads are counted one after the other
                report(progress.counted(stored, from.retries.get(), definition.expectedRows()));
            }
        });
    }

    private void report(Progress now) {
        progress = now;
        onProgress.accept(now);
    }

    private List<String> unwritten(Task open) {
        return definition.sheetNames().stream().filter(name -> !sending(open).rows.containsKey(name)).toList();
    }

    private void refuseFound(String what) {
        if (isFound) {
            throw new UsageException(what
                    + " is for exports that are described here; one that was found by its id takes "
                    + "pushBatch() and close().");
        }
    }
}
