package io.sluice.client;

import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** Calls of the HTTP API, repeated while that can help; every call made here may be repeated. */
final class Calls {
    static final String VERSION = "1.0.0";
    private static final int ANSWER_BYTES_MAX = 64 * 1024 * 1024;
    private static final Set<String> LOCAL = Set.of("localhost", "127.0.0.1", "[::1]");
    private static final String AGENT = "sluice-java/" + VERSION + " java/" + Runtime.version().feature();

    final String server;
    final Settings settings;
    /** Whether the service is on this machine. */
    final boolean isLocal;
    private final String key;
    private volatile boolean wasReached;

    Calls(String server, String key, Settings settings) {
        if (!key.matches("[!-~]*")) {
            throw new UsageException("The API key has a character that no key has: "
                    + "a line break at its end, or \"Bearer\" before it?");
        }
        URI address = addressOf(server);
        this.server = server.replaceAll("/+$", "");
        this.settings = settings;
        this.isLocal = LOCAL.contains(address.getHost().toLowerCase(Locale.ROOT));
        this.key = key;
    }

    /** A request that may be made again and again. */
    record Request(String method, String path, Map<String, String> headers, byte[] body) {
        static Request json(String method, String path, Map<String, ?> body) {
            return new Request(method, path, Map.of("Content-Type", "application/json"),
                    new JsonBytes().any(body).copy());
        }

        static Request plain(String method, String path) {
            return new Request(method, path, Map.of(), null);
        }

        Request with(String header, String value) {
            Map<String, String> all = new java.util.HashMap<>(headers);
            all.put(header, value);
            return new Request(method, path, all, body);
        }
    }

    /** Calls until it succeeds, and decodes the answer. */
    Map<String, Object> call(Request request, String taskId) {
        return repeat(() -> answerTo(request, taskId), () -> 0, () -> { });
    }

    /** One try of a request of the API. */
    Map<String, Object> answerTo(Request request, String taskId) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(URI.create(server + request.path()))
                .setHeader("Accept", "application/json").setHeader("User-Agent", AGENT)
                .method(request.method(), request.body() == null ? BodyPublishers.noBody()
                        : BodyPublishers.ofByteArray(request.body()));
        request.headers().forEach(builder::setHeader);
        if (!key.isEmpty()) {
            builder.setHeader("Authorization", "Bearer " + key);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        HttpResponse<Void> answer = exchange(builder, taskId, info -> block -> {
            if (bytes.size() + block.remaining() > ANSWER_BYTES_MAX) {
                throw Problem.unexpected("the answer is longer than any of a Sluice service", taskId);
            }
            byte[] some = new byte[block.remaining()];
            block.get(some);
            bytes.writeBytes(some);
        });
        String text = bytes.toString(StandardCharsets.UTF_8);
        SluiceException problem = Problem.of(answer.statusCode(), answer.headers(), text, server, taskId);
        if (problem != null) {
            throw problem;
        }
        Map<String, Object> object = text.isEmpty() ? Map.of() : Json.objectIn(text);
        if (object == null) {
            throw Problem.unexpected(server + " answers, but not as a Sluice service does", taskId);
        }
        return object;
    }

    /** Says what takes the bytes of an answer. */
    interface Reader {
        Receiver.Sink sink(HttpResponse.ResponseInfo info);
    }

    /**
     * One exchange with any server. It ends when no byte of the answer comes for the time of {@code answerTimeout}, or
     * when the thread is interrupted.
     */
    HttpResponse<Void> exchange(HttpRequest.Builder request, String taskId, Reader reader) {
        AtomicLong moves = new AtomicLong();
        CompletableFuture<HttpResponse<Void>> answer = settings.http.sendAsync(
                request.version(HttpClient.Version.HTTP_1_1).build(), info -> {
                    wasReached = true;
                    moves.incrementAndGet();
                    return new Receiver(reader.sink(info), moves::incrementAndGet);
                });
        try {
            for (long before = 0;; before = moves.get()) {
                try {
                    return answer.get(settings.answerTimeout.toNanos(), TimeUnit.NANOSECONDS);
                } catch (TimeoutException error) {
                    if (moves.get() == before) {
                        String why = "no answer within " + settings.answerTimeout.toMillis() / 1e3 + " seconds";
                        throw Problem.unreachable(new TimeoutException(why), server, taskId);
                    }
                }
            }
        } catch (ExecutionException error) {
            throw Problem.unreachable(error.getCause(), server, taskId);
        } catch (InterruptedException error) {
            throw interrupted(taskId, error);
        } finally {
            answer.cancel(true); // lets go of what is half done
        }
    }

    /**
     * Does something until it does not fail for a moment, or the tries are over.
     *
     * @param reached tries begin anew where it gives another value than before
     */
    <T> T repeat(Supplier<T> action, LongSupplier reached, Runnable onPause) {
        Retry retry = new Retry(settings, Calls::now, () -> ThreadLocalRandom.current().nextDouble());
        long before = reached.getAsLong();
        while (true) {
            try {
                return action.get();
            } catch (SluiceException error) {
                if (reached.getAsLong() != before) {
                    before = reached.getAsLong();
                    retry.moved();
                }
                double pause = Problem.isTransient(error) ? retry.pause(error.retryAfter().toSeconds(), wasReached)
                        : -1;
                if (pause < 0) {
                    throw error;
                }
                Duration duration = Duration.ofNanos((long) (pause * 1e9));
                settings.onRetry.accept(error, duration);
                onPause.run();
                sleep(duration, error.taskId());
            }
        }
    }

    static void sleep(Duration duration, String taskId) {
        try {
            TimeUnit.NANOSECONDS.sleep(duration.toNanos());
        } catch (InterruptedException error) {
            throw interrupted(taskId, error);
        }
    }

    /** Seconds of a clock that is never set. */
    static double now() {
        return System.nanoTime() / 1e9;
    }

    /** The thread stays interrupted, for the caller to see. */
    static SluiceException interrupted(String taskId, InterruptedException error) {
        Thread.currentThread().interrupt();
        return new TransportException("The thread was interrupted", "INTERRUPTED",
                Known.of(taskId, false, "client").because(error));
    }

    private static URI addressOf(String server) {
        String example = "The address of the service is one such as https://exports.example.com";
        URI address;
        try {
            address = URI.create(server);
        } catch (IllegalArgumentException error) {
            throw new UsageException(example + "."); // what was given may be the key, in the wrong place
        }
        if (!server.matches("(?i)https?://[!-~]+") || address.getHost() == null) {
            throw new UsageException(example + ".");
        }
        if (address.getRawUserInfo() != null || address.getRawQuery() != null || address.getRawFragment() != null) {
            throw new UsageException("The address of the service has no user, no query and no fragment; "
                    + "the API key is given by itself.");
        }
        return address;
    }
}
