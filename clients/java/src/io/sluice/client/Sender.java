package io.sluice.client;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
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
    void send(Source source, Sending sending) {
        long before = batches;
        ExecutorService threads = Executors.newFixedThreadPool(calls.settings.inFlight, action -> {
            Thread thread = new Thread(action, "sluice-sender");
            thread.setDaemon(true);
            return thread;
        });
        boolean isDone = false;
        try {
            long sent = sendAll(source, sending, new Window(threads, sending.onBatch()));
            rows.put(sending.sheet(), sent);
            isDone = true;
        } finally {
            batches = isDone ? batches : before;
            threads.shutdownNow();
            join(threads);
        }
    }

    /** Sends rows as the one batch of this number. */
    void sendNumbered(Source source, Sending sending, long sequence) {
        isNumbered = true;
        JsonBytes json = new JsonBytes();
        AtomicLong count = new AtomicLong();
        source.giveTo(row -> sending.encoder().encode(row, count.incrementAndGet(),
                json.ascii(count.get() == 1 ? '[' : ',')));
        byte[] body = json.ascii(count.get() == 0 ? "[]" : "]").copy();
        rows.merge(sending.sheet(), count.get(), Long::sum);
        sending.onBatch().accept(put(sequence, body, 0, sending.sheet(), new Semaphore(1)));
    }

    private long sendAll(Source source, Sending sending, Window window) {
        Cutter cutter = new Cutter(sending, window);
        source.giveTo(cutter::add);
        return cutter.finish();
    }

    /** @param requests as many as may be on their way */
    private Stored put(long sequence, byte[] json, long rowsBefore, String sheet, Semaphore requests) {
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
            Map<String, Object> answer = calls.repeat(() -> answerTo(request, requests), () -> 0,
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

    private Map<String, Object> answerTo(Calls.Request request, Semaphore requests) {
        try {
            requests.acquire();
        } catch (InterruptedException error) {
            throw Calls.interrupted(task.id, error);
        }
        try {
            return calls.answerTo(request, task.id);
        } finally {
            requests.release();
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

    /** Cuts rows into batches. */
    private final class Cutter {
        private final Sending sending;
        private final Window window;
        private final JsonBytes json = new JsonBytes();
        private long sent;
        private int count;

        Cutter(Sending sending, Window window) {
            this.sending = sending;
            this.window = window;
            this.sent = rows.getOrDefault(sending.sheet(), 0L);
        }

        void add(Object row) {
            sending.encoder().encode(row, sent + count + 1, json.ascii(count == 0 ? '[' : ','));
            count++;
            int factor = 1 << Math.min(batches / BATCHES_OF_ONE_SIZE, 3);
            if (json.length() >= (long) calls.settings.batchBytes * Math.min(factor, 4)
                    || count >= (long) calls.settings.batchRows * factor) {
                put();
            }
        }

        /** Sends what is left, and returns the rows of the sheet once all are stored. */
        long finish() {
            if (count > 0) {
                put();
            }
            window.drain();
            return sent;
        }

        private void put() {
            window.put(json, ++batches, sent, sending.sheet());
            sent += count;
            count = 0;
        }
    }

    /** Some batches on their way at a time. What is acknowledged is reported on the thread that sends. */
    private final class Window {
        private final CompletionService<Stored> done;
        /** Fair, so that no try begins once all are asked for. */
        private final Semaphore requests = new Semaphore(calls.settings.inFlight, true);
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
            done.submit(() -> Sender.this.put(sequence, body, rowsBefore, sheet, requests));
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
                if (Problem.isRefusal(error.getCause())) {
                    awaitAnswers();
                }
                if (error.getCause() instanceof RuntimeException failure) {
                    throw failure;
                }
                throw new IllegalStateException(error.getCause());
            } catch (InterruptedException error) {
                throw Calls.interrupted(task.id, error);
            }
        }

        /** Until no request is on its way: {@code restartIfStopped()} would take what comes late for another run's. */
        private void awaitAnswers() {
            try {
                requests.acquire(calls.settings.inFlight); // and keeps them: what pauses is not tried again
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
