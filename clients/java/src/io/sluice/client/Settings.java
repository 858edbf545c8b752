package io.sluice.client;

import java.net.http.HttpClient;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiConsumer;

/**
 * How a client sends. Each setting has a default that suits a script or a queue job; a web request wants
 * {@code tries(2)}. A client keeps what it was given: changes that come later change nothing.
 */
public final class Settings {
    /** Of all clients, by their time-outs: each has threads and file handles, and cannot be closed. */
    private static final Map<Duration, HttpClient> SHARED = new ConcurrentHashMap<>();

    int batchBytes = 262_144;
    int batchRows = 5_000;
    int inFlight = 4;
    int tries = 8;
    double pause = 0.2;
    double pauseMax = 20;
    double firstContact = 10;
    Duration connectTimeout = Duration.ofSeconds(5);
    Duration answerTimeout = Duration.ofSeconds(60);
    Boolean gzip;
    boolean substitutes;
    HttpClient http;
    BiConsumer<SluiceException, Duration> onRetry = (error, pause) -> { };

    /** A batch is sent once its JSON has so many bytes (262,144). */
    public Settings batchBytes(int bytes) {
        batchBytes = positive(bytes, "batchBytes");
        return this;
    }

    /** A batch is sent once it has so many rows (5,000). */
    public Settings batchRows(int rows) {
        batchRows = positive(rows, "batchRows");
        return this;
    }

    /** So many batches are on their way at a time (4). */
    public Settings inFlight(int batches) {
        inFlight = positive(batches, "inFlight");
        return this;
    }

    /** So often one call is tried, the first time included (8). */
    public Settings tries(int tries) {
        this.tries = positive(tries, "tries");
        return this;
    }

    /** Before the second try (0.2 s); each further pause is twice as long, half of it random. */
    public Settings pause(Duration first) {
        pause = positive(seconds(first), "pause");
        return this;
    }

    /** No pause is longer (20 s), unless the service asks for it. */
    public Settings pauseMax(Duration longest) {
        pauseMax = positive(seconds(longest), "pauseMax");
        return this;
    }

    /** A server that was never reached is given up after this time (10 s). */
    public Settings firstContact(Duration bound) {
        firstContact = positive(seconds(bound), "firstContact");
        return this;
    }

    /** Until a connection is there (5 s). */
    public Settings connectTimeout(Duration bound) {
        positive(seconds(bound), "connectTimeout");
        connectTimeout = bound;
        return this;
    }

    /** Until a call is answered, and until the next byte of its answer comes (60 s). */
    public Settings answerTimeout(Duration bound) {
        positive(seconds(bound), "answerTimeout");
        answerTimeout = bound;
        return this;
    }

    /** Whether batches are packed; without it, where the service is on another machine. */
    public Settings gzip(boolean packs) {
        gzip = packs;
        return this;
    }

    /** Whether U+FFFD takes the place of what is not Unicode (a surrogate without its other half) in texts. */
    public Settings substitute(boolean substitutes) {
        this.substitutes = substitutes;
        return this;
    }

    /** Makes the requests: one with a proxy or an authority of your own. It must not follow redirects. */
    public Settings http(HttpClient client) {
        if (client.followRedirects() != HttpClient.Redirect.NEVER) {
            throw new UsageException("The HTTP client follows redirects, and would take the API key elsewhere: "
                    + "make one with NEVER.");
        }
        http = client;
        return this;
    }

    /** Called before each further try, with what failed and how long the pause is; from any thread. */
    public Settings onRetry(BiConsumer<SluiceException, Duration> listener) {
        onRetry = listener;
        return this;
    }

    Settings copy() {
        Settings copy = new Settings();
        copy.batchBytes = batchBytes;
        copy.batchRows = batchRows;
        copy.inFlight = inFlight;
        copy.tries = tries;
        copy.pause = pause;
        copy.pauseMax = pauseMax;
        copy.firstContact = firstContact;
        copy.connectTimeout = connectTimeout;
        copy.answerTimeout = answerTimeout;
        copy.gzip = gzip;
        copy.substitutes = substitutes;
        copy.http = http != null ? http
                : SHARED.computeIfAbsent(connectTimeout, time -> HttpClient.newBuilder().connectTimeout(time).build());
        copy.onRetry = onRetry;
        return copy;
    }

    private static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    private static <T extends Number> T positive(T value, String name) {
        if (!(value.doubleValue() > 0)) {
            throw new UsageException("The setting " + name + " is above zero.");
        }
        return value;
    }
}
