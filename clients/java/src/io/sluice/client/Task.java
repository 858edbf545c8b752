package io.sluice.client;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;

/** The calls about one export of the service, by its id. */
final class Task {
    /** What the keys begin with under which a key of the caller's goes on; no caller's key begins so. */
    static final String OWN_KEYS = "sluice:";
    private static final double POLL_SECONDS = 20;
    /** How many keys are tried behind one whose exports are over. */
    private static final int SUCCESSORS_MAX = 50;

    final String id;
    /** Where a browser may watch it; only the open says that. */
    final String watchUrl;
    private final Calls calls;

    Task(Calls calls, String id, String watchUrl) {
        this.calls = calls;
        this.id = id;
        this.watchUrl = watchUrl;
    }

    /** An export that was opened, and how it was then. */
    record Opened(Task task, Status status) {
    }

    /** Opens an export, or finds the first of its key that is not over. */
    static Opened open(Calls calls, String key, Map<String, Object> body) {
        Calls.Request open = Calls.Request.json("POST", "/v1/exports", body);
        for (int number = 1; number <= SUCCESSORS_MAX; number++) {
            String one = number == 1 ? key : OWN_KEYS + number + ":" + sha256Hex(key.getBytes(StandardCharsets.UTF_8));
            try {
                Map<String, Object> answer = calls.call(open.with("Idempotency-Key", one), "");
                Status status = Status.of(answer);
                if (status.failure() == null) {
                    String watchUrl = answer.get("watch_url") instanceof String url ? url : null;
                    return new Opened(new Task(calls, status.taskId(), watchUrl), status);
                }
            } catch (ExportFailedException error) {
                if (!error.code().equals("TASK_DELETED")) { // the key of one that was deleted is not free again yet
                    throw error;
                }
            }
        }
        throw new UsageException("The key was begun anew too often; take another.");
    }

    /** A key that no other export has. */
    static String newKey() {
        return UUID.randomUUID().toString();
    }

    static String sha256Hex(byte[] bytes) {
        return HexFormat.of().formatHex(sha256().digest(bytes));
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Java has it
        }
    }

    static String escaped(String text) {
        return java.net.URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    String path(String behind) {
        return "/v1/exports/" + escaped(id) + behind;
    }

    Map<String, Object> call(String method, String behind, Map<String, ?> body) {
        return calls.call(body == null ? Calls.Request.plain(method, path(behind)) : Calls.Request.json(method,
                path(behind), body), id);
    }

    Status status() {
        return Status.of(call("GET", "", null));
    }

    String link() {
        if (call("GET", "/file?redirect=false", null).get("url") instanceof String url) {
            return url;
        }
        throw Problem.unexpected("the answer has no link", id);
    }

    Download download() {
        return new Download(calls, this::link, status().sha256());
    }

    /** Another file of the same rows; the answer is the id of its export. */
    String render(Map<String, ?> body) {
        Calls.Request request = Calls.Request.json("POST", path("/render"), body).with("Idempotency-Key", newKey());
        return Status.of(calls.call(request, id)).taskId();
    }

    /** Waits until the file is there. */
    Status await(Duration time, Consumer<Status> onStatus) {
        double seconds = time.toNanos() / 1e9;
        double until = Calls.now() + seconds;
        double poll = Math.min(POLL_SECONDS, calls.settings.answerTimeout.toNanos() / 2e9);
        while (true) {
            double left = until - Calls.now();
            String wait = String.format(java.util.Locale.ROOT, "?wait=%.3f", Math.max(0, Math.min(poll, left)));
            Status status = Status.of(call("GET", wait, null));
            onStatus.accept(status);
            if (status.state().equals("completed")) {
                return status;
            }
            SluiceException failure = status.failure();
            if (failure != null) {
                throw failure;
            }
            if (left <= 0) {
                throw new NotReadyException("The export is " + status.state() + " after " + seconds
                        + " seconds; it goes on",
                        "NOT_READY", Known.of(id, true, "client"));
            }
            Calls.sleep(Duration.ofMillis(100), id); // a service that stops answers at once
        }
    }

    /** Cancels it with one try, for a sender that failed. It expires by itself; what failed before is what matters. */
    void giveUp() {
        boolean wasInterrupted = Thread.interrupted();
        try {
            calls.answerTo(Calls.Request.json("POST", path("/cancel"), Map.of()), id);
        } catch (SluiceException error) {
            // as said
        } finally {
            if (wasInterrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
