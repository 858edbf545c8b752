package io.sluice.client;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * What this process does with one export: opens it under its key, sends its rows, closes it, begins it anew. Calls that
 * change it take turns.
 */
final class Run {
    /** Seconds between two looks at what another run may be sending. */
    private static final double LOOK_SECONDS = 0.5;
    /** What a cancel answers for an export that is over without a file. */
    private static final Set<String> OVER = Set.of("EXPIRED", "TASK_CLOSED", "TASK_DELETED");

    final Definition definition;
    private final Calls calls;
    private final ReentrantLock turn = new ReentrantLock();
    /** Whether it was found by its id, so that only the service knows what it is. */
    private final boolean isFound;
    private String key = "";
    private boolean keyIsOurs = true;
    private Consumer<Progress> onProgress = progress -> { };
    private volatile Task task;
    /** As last answered. */
    private volatile Status status;
    /** Of the export that is open; made with its first rows. */
    private volatile Sender sender;
    private boolean isClosedHere;
    private Progress progress = Progress.BEGINNING;

    /** @param found the one that was found; or null */
    Run(Calls calls, Definition definition, Task found) {
        this.calls = calls;
        this.definition = definition;
        this.task = found;
        this.isFound = found != null;
    }

    /** Changes what the export is, which is said before it is open. */
    void describe(Runnable change) {
        inTurn(() -> {
            if (task != null && !isFound) {
                throw new UsageException("This export is open: what it is, is said before.");
            }
            change.run();
        });
    }

    void key(String given) {
        if (!given.matches("[ -~]+")) {
            throw new UsageException("A key is printable ASCII text: Java's HTTP client sends a question "
                    + "mark for other characters in a header, and two keys would be one.");
        }
        if (!given.strip().equals(given)) {
            throw new UsageException(
                    "A key has no blanks at its ends: HTTP takes them away, and two keys would be one.");
        }
        if (given.startsWith(Task.OWN_KEYS)) {
            throw new UsageException("No key begins with '" + Task.OWN_KEYS + "': the client makes such keys.");
        }
        describe(() -> {
            key = given;
            keyIsOurs = false;
        });
    }

    void onProgress(Consumer<Progress> listener) {
        onProgress = listener;
    }

    /** The export of the service; opened by the first call. */
    Task ready() {
        Task now = task;
        return now != null ? now : opened();
    }

    /** Sends a whole table, and closes once all are sent. */
    void write(Source rows, String sheet) {
        inTurn(() -> writeWhole(rows, sheet));
    }

    private void writeWhole(Source rows, String sheet) {
        refuseFound("write()");
        if (isClosedHere) {
            throw new UsageException("write() has closed this export: of one table it takes all rows at once. "
                    + "In steps: push(), push(), close().");
        }
        Task open = opened();
        if (!status.isOpen()) {
            return;
        }
        try {
            send(open, rows, sheet);
            if (unwritten(open).isEmpty()) {
                close(open, null);
            }
        } catch (Throwable failure) { // also what a source throws although it declares nothing
            if (keyIsOurs) { // another write() begins anew
                open.giveUp();
                key = "";
                task = null;
                sender = null;
            }
            throw failure;
        }
    }

    void push(Source rows, String sheet) {
        inTurn(() -> {
            refuseFound("push()");
            send(opened(), rows, sheet);
        });
    }

    void pushNumbered(Source rows, String sheet, long sequence) {
        Task ready = ready();
        sending(ready).sendNumbered(rows, how(ready, sheet), sequence);
    }

    /** @param given totals; or null for those that were counted here */
    void close(Map<String, Long> given) {
        inTurn(() -> close(opened(), given));
    }

    /** Waits for the file; refuses to where nothing closes the export. */
    Status await(Duration time) {
        try {
            if (!turn.tryLock(time.toNanos(), TimeUnit.NANOSECONDS)) {
                throw new NotReadyException("Another call of this export is still sending", "NOT_READY",
                        Known.of(task == null ? "" : task.id, true, "client"));
            }
        } catch (InterruptedException error) {
            throw Calls.interrupted(task == null ? "" : task.id, error);
        }
        turn.unlock();
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

    Status status() {
        status = ready().status();
        return status;
    }

    /** Gives up what was sent under the key, the file too. */
    void restart() {
        inTurn(() -> {
            refuseFound("restart()");
            Task before = opened();
            status = before.status();
            if (!status.isOpen() || status.batches() > 0) {
                before.call("DELETE", "", null);
                task = null;
            }
            begin();
        });
    }

    /**
     * Gives up what a run has left half-way; what another one has closed, or is sending, stays.
     *
     * @return whether it begins anew
     */
    boolean restartIfStopped(Duration time) {
        AtomicBoolean hasStopped = new AtomicBoolean();
        inTurn(() -> {
            refuseFound("restartIfStopped()");
            hasStopped.set(hasStopped(opened(), time.toNanos() / 1e9));
            if (hasStopped.get()) {
                begin();
            }
        });
        return hasStopped.get();
    }

    /**
     * Whether there is no file of the export, and no run that sends it. One that was left half-way is cancelled, never
     * deleted: that of a run which has finished it meanwhile refuses to be.
     */
    private boolean hasStopped(Task open, double seconds) {
        double until = Calls.now() + seconds;
        Duration pause = Duration.ofMillis((long) (Math.min(LOOK_SECONDS, seconds / 4) * 1000));
        try {
            Status seen = open.status();
            while (seen.isOpen() && seen.batches() > 0 && Calls.now() < until) {
                Calls.sleep(pause, open.id);
                Status now = open.status();
                if (now.isOpen() && now.batches() != seen.batches()) {
                    throw new NotReadyException("Another run is sending under this key", "NOT_READY",
                            Known.of(open.id, true, "client"));
                }
                seen = now;
            }
            status = seen;
            if (seen.isOpen() && seen.batches() == 0) {
                return true;
            }
            if (seen.isOpen()) {
                open.call("POST", "/cancel", Map.of());
            } else if (seen.failure() == null) {
                return false;
            }
        } catch (SluiceException error) {
            if (error.code().equals("ALREADY_COMPLETED")) {
                status = open.status();
                return false;
            }
            if (!OVER.contains(error.code())) {
                throw error;
            }
        }
        task = null;
        return true;
    }

    private void begin() {
        opened();
        isClosedHere = false;
        sender = null;
        progress = Progress.BEGINNING;
    }

    private Task opened() {
        AtomicReference<Task> found = new AtomicReference<>();
        inTurn(() -> {
            if (task == null) {
                key = key.isEmpty() ? Task.newKey() : key;
                Task.Opened opened = Task.open(calls, key, definition.body());
                status = opened.status();
                task = opened.task();
            }
            found.set(task);
        });
        return found.get();
    }

    /** Does what changes the export once no other thread does; an interrupt ends the waiting. */
    private void inTurn(Runnable action) {
        try {
            turn.lockInterruptibly();
        } catch (InterruptedException error) {
            throw Calls.interrupted(task == null ? "" : task.id, error);
        }
        try {
            action.run();
        } finally {
            turn.unlock();
        }
    }

    private void send(Task open, Source rows, String sheet) {
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
