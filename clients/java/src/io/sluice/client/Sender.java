package io.sluice.client;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Collections;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.zip.GZIPOutputStream;

/** Sends the rows of one export in numbered batches, some at a time, and counts them. */
final class Sender {
    /** Batches have the first size up to this number, then twice it, three times: 10,000 batches hold any table. */
    private static final int BATCHES_OF_ONE_SIZE = 2000;
    /** Smaller ones hardly become shorter. */
    private static final int PACKED_BYTES_MIN = 1024;
    /** What the service says of the place; the place in the table is said behind. */
    private static final String PLACE_IN_BATCH = "^Row [0-9]+ \\(batch [0-9]+\\)(?:, column \"[^\"]*\")?: ";

    /**
     * Sources that were read, of all exports: they go on behind the last row, so that another reading would miss the
     * first.
     */
    private static final Set<Iterator<?>> READ_BEFORE =
            Collections.synchronizedSet(Collections.newSetFromMap(new WeakHashMap<>()));

    /** Rows that were sent, by sheet. */
    final Map<String, Long> rows = new ConcurrentHashMap<>();
    final AtomicLong retries = new AtomicLong();
    long batches;
    /** Whether the numbers of batches are the caller's. */
    volatile boolean isNumbered;
    private final Calls calls;
    private final Task task;

    Sender(Calls calls, Task task) {
        this.calls = calls;
        this.task = task;
    }

    /** An acknowledgement. */
    record Stored(long rows, boolean replayed, long bytes) {
    }

    /** Rows of one sheet. */
    record Sending(RowEncoder encoder, String sheet, Consumer<Stored> onBatch) {
    }

    /**
     * Cuts rows into batches, numbered behind those before, and returns once all are stored. After an error nothing is
     * on its way any more, and the same rows are the same batches again.
     */
    void send(Iterator<?> source, Sending sending) {
        long before = batches;
        ExecutorService threads = Executors.newFixedThreadPool(calls.settings.inFlight, action -> {
            Thread thread = new Thread(action, "sluice-sender");
            thread.setDaemon(true);
            return thread;
        });
        boolean isDone = false;
        try {
            long sent = sendAll(once(source), sending, new Window(threads, sending.onBatch()));
            rows.put(sending.sheet(), sent);
            isDone = true;
        } finally {
            batches = isDone ? batches : before;
            threads.shutdownNow();
            join(threads);
        }
    }

    /** Sends rows as the one batch of this number. */
    void sendNumbered(Iterator<?> source, Sending sending, long sequence) {
        isNumbered = true;
        once(source);
        JsonBytes json = new JsonBytes();
        long count = 0;
        while (source.hasNext()) {
            sending.encoder().encode(source.next(), ++count, json.ascii(count == 1 ? '[' : ','));
        }
        byte[] body = json.ascii(count == 0 ? "[]" : "]").copy();
        rows.merge(sending.sheet(), count, Long::sum);
        sending.onBatch().accept(put(sequence, body, 0, sending.sheet()));
    }

    private static Iterator<?> once(Iterator<?> rows) {
        // One that is empty is not kept: that of an empty list may be the same for all of them.
        boolean wasRead = rows.hasNext() ? !READ_BEFORE.add(rows) : READ_BEFORE.contains(rows);
        if (wasRead) {
            throw new UsageException("These rows were read before: run the query again, or make the iterator anew.");
        }
        return rows;
    }

    private long sendAll(Iterator<?> source, Sending sending, Window window) {
        Settings settings = calls.settings;
        long sent = rows.getOrDefault(sending.sheet(), 0L);
        JsonBytes json = new JsonBytes();
        int count = 0;
        while (source.hasNext()) {
            sending.encoder().encode(source.next(), sent + count + 1, json.ascii(count == 0 ? '[' : ','));
            count++;
            int factor = 1 << Math.min(batches / BATCHES_OF_ONE_SIZE, 3);
            if (json.length() >= (long) settings.batchBytes * Math.min(factor, 4)
                    || count >= (long) settings.batchRows * factor) {
                window.put(json, ++batches, sent, sending.sheet());
                sent += count;
                count = 0;
            }
        }
        if (count > 0) {
            window.put(json, ++batches, sent, sending.sheet());
            sent += count;
        }
        window.drain();
        return sent;
    }

    private Stored put(long sequence, byte[] json, long rowsBefore, String sheet) {
        boolean packs = calls.settings.gzip != null ? calls.settings.gzip : !calls.isLocal;
        packs &= json.length >= PACKED_BYTES_MIN;
        byte[] body = packs ? packed(json) : json;
        Map<String, String> headers = new HashMap<>();
        headers.put("Content-Type", "application/json");
        headers.put("X-Content-SHA256", Task.sha256Hex(body));
        if (packs) {
            headers.put("Content-Encoding", "gzip");
        }
        String path = task.path("/batches/" + sequence + (sheet.isEmpty() ? "" : "?sheet=" + Task.escaped(sheet)));
        Calls.Request request = new Calls.Request("PUT", path, headers, body);
        try {
            Map<String, Object> answer = calls.repeat(() -> calls.answerTo(request, task.id), () -> 0,
                    retries::incrementAndGet);
            long count = answer.get("rows") instanceof Number number ? number.longValue() : 0;
            return new Stored(count, Boolean.TRUE.equals(answer.get("replayed")), json.length);
        } catch (SluiceException error) {
            if (error.status() == 0) {
                throw error;
            }
            Map<String, Object> place = new LinkedHashMap<>();
            if (error.row() != null) {
                place.put("row", error.row() + rowsBefore);
                place.put("batch_row", error.row());
            }
            place.put("batch", sequence);
            if (!sheet.isEmpty()) {
                place.put("sheet", sheet);
            }
            Known known = error.known().and(place).because(error.getCause());
            throw error instanceof TransportException ? new TransportException(error.detail(), error.code(), known)
                    : Problem.named(error.code(), error.detail().replaceFirst(PLACE_IN_BATCH, ""), known);
        }
    }

    private static byte[] packed(byte[] json) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(json.length / 4);
        try (OutputStream gzip = new GZIPOutputStream(bytes) {
            {
                def.setLevel(1);
            }
        }) {
            gzip.write(json);
        } catch (IOException error) {
            throw new IllegalStateException(error); // memory takes everything
        }
        return bytes.toByteArray();
    }

    /** Waits for threads that were asked to stop. */
    private static void join(ExecutorService threads) {
        boolean wasInterrupted = Thread.interrupted();
        try {
            threads.awaitTermination(5, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            wasInterrupted = true;
        }
        if (wasInterrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Some batches on their way at a time. What is acknowledged is reported on the thread that sends. */
    private final class Window {
        private final CompletionService<Stored> done;
        private final Consumer<Stored> onBatch;
        private int running;

        Window(ExecutorService threads, Consumer<Stored> onBatch) {
            this.done = new ExecutorCompletionService<>(threads);
            this.onBatch = onBatch;
        }

        /** Sends what was written, and returns once another batch may be sent. */
        void put(JsonBytes json, long sequence, long rowsBefore, String sheet) {
            byte[] body = json.ascii(']').copy();
            json.reset(0);
            done.submit(() -> Sender.this.put(sequence, body, rowsBefore, sheet));
            running++;
            for (Future<Stored> one = done.poll(); one != null; one = done.poll()) {
                report(one);
            }
            while (running >= calls.settings.inFlight) {
                take();
            }
        }

        void drain() {
            while (running > 0) {
                take();
            }
        }

        private void take() {
            try {
                report(done.take());
            } catch (InterruptedException error) {
                throw Calls.interrupted(task.id, error);
            }
        }

        private void report(Future<Stored> one) {
            running--;
            try {
                onBatch.accept(one.get());
            } catch (ExecutionException error) {
                if (error.getCause() instanceof RuntimeException failure) {
                    throw failure;
                }
                throw new IllegalStateException(error.getCause());
            } catch (InterruptedException error) {
                throw Calls.interrupted(task.id, error);
            }
        }
    }
}
