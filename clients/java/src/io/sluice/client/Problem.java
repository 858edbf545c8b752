package io.sluice.client;

import java.net.ConnectException;
import java.net.http.HttpHeaders;
import java.security.GeneralSecurityException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** What answers that are no success mean, and failures without an answer. */
final class Problem {
    private static final Set<Integer> TRANSIENT = Set.of(408, 425, 429, 502, 503, 504);
    /** Members of an answer that are no facts of its own. */
    private static final Set<String> KNOWN =
            Set.of("type", "title", "status", "detail", "code", "who", "retryable", "request_id");

    private Problem() {
    }

    /** Whether the same request, made again in a moment, may succeed by itself. */
    static boolean isTransient(SluiceException error) {
        return TRANSIENT.contains(error.status())
                || error.retryable() && (error.status() >= 500 || error.code().equals("UNREACHABLE"));
    }

    /** Whether the service itself has answered this, and not a network or a proxy on the way to it. */
    static boolean isRefusal(Throwable error) {
        return error instanceof SluiceException answer && answer.status() != 0 && !(error instanceof TransportException);
    }

    /**
     * The error of an answer; null for a success.
     *
     * @param server its address, for the message
     */
    static SluiceException of(int status, HttpHeaders headers, String text, String server, String taskId) {
        if (status >= 200 && status < 300) {
            return null;
        }
        Map<String, Object> problem = Json.objectIn(text);
        if (problem == null || !(problem.get("code") instanceof String code) || !code.matches("[A-Z][A-Z0-9_]*")) {
            return unexpected(status, headers, server, taskId);
        }
        Map<String, Object> facts = new LinkedHashMap<>(problem);
        facts.keySet().removeAll(KNOWN);
        Object detail = problem.getOrDefault("detail", problem.get("title"));
        return named(code, textOf(detail), new Known(status, Boolean.TRUE.equals(problem.get("retryable")),
                retryAfter(headers), textOf(problem.get("who")), textOf(problem.get("request_id")), taskId, facts,
                        null));
    }

    /** The error of a code of the service. */
    static SluiceException named(String code, String detail, Known known) {
        switch (code) {
            case "ROW_WIDTH_MISMATCH", "INVALID_VALUE", "INVALID_TEXT", "CELL_TOO_LONG":
                return new InvalidRowException(detail, code, known);
            case "BATCH_CONFLICT", "BATCHES_EXTRA", "TOTALS_MISMATCH", "ALREADY_CLOSED", "TASK_CLOSED":
                return new SourceChangedException(detail, code, known);
            case "STORE_UNAVAILABLE", "STORAGE_FULL", "QUEUE_FULL", "QUOTA_EXCEEDED", "RATE_LIMITED", "SENDER_TOO_SLOW":
                return new BusyException(detail, code, known);
            case "UNAUTHENTICATED", "PERMISSION_DENIED":
                return new AuthException(detail, code, known);
            case "NOT_READY":
                return new NotReadyException(detail, code, known);
            case "CANCELLED", "EXPIRED", "TASK_DELETED", "CHUNK_MISSING", "CHUNK_CORRUPT", "ROW_COUNT_MISMATCH",
                    "RESULT_VERIFY_FAILED", "RESULT_TOO_LARGE", "RESULT_MISSING", "RESULT_DAMAGED", "TASK_DAMAGED",
                    "ATTEMPTS_EXHAUSTED", "FAILED":
                return new ExportFailedException(detail, code, known);
            case "UNSUPPORTED_FORMAT", "UNSUPPORTED_ENCODING", "TOO_MANY_BATCHES", "TOO_MANY_ROWS", "TOO_MANY_COLUMNS",
                    "BATCH_TOO_LARGE", "SEQ_OUT_OF_RANGE", "BATCHES_MISSING", "IDEMPOTENCY_KEY_REUSED":
                return new UsageException(detail, code, known);
            case "INVALID_REQUEST": // with a row: one that is none, a name or a cell too many
                return known.facts().containsKey("row") ? new InvalidRowException(detail, code, known)
                        : new UsageException(detail, code, known);
            default:
                return new RefusedException(detail, code, known);
        }
    }

    /** The error of a request without an answer. */
    static SluiceException unreachable(Throwable error, String server, String taskId) {
        boolean isFinal = false;
        String why = "no reason is known";
        for (Throwable one = error; one != null; one = one.getCause()) {
            if (one instanceof SluiceException ours) {
                return ours;
            }
            // Certificates that are not trusted, which no other try changes.
            isFinal |= one instanceof GeneralSecurityException;
            if (one instanceof ConnectException && one.getMessage() == null) {
                why = "no connection"; // what Java says of it is how it closed what it had not opened
                break;
            }
            why = one.getMessage() != null ? one.getMessage() : one.getClass().getSimpleName();
        }
        Known known = Known.of(taskId, !isFinal, "").because(error);
        return new TransportException(server + " cannot be reached: " + why, "UNREACHABLE", known);
    }

    static TransportException unexpected(String detail, String taskId) {
        return new TransportException(detail, "UNEXPECTED_ANSWER", Known.of(taskId, false, ""));
    }

    private static SluiceException unexpected(int status, HttpHeaders headers, String server, String taskId) {
        String detail = server + " answered " + status + ", not as a Sluice service does";
        if (status == 413) {
            detail += "; a gateway before it takes no request of that size "
                    + "(nginx: client_max_body_size; Function Compute: 32 MB)";
        } else if (status < 400) {
            detail += "; it points elsewhere, where the API key is not sent: use the address that it points to";
        }
        String requestId = headers.firstValue("x-request-id").filter(id -> id.matches("[!-~]{1,128}")).orElse("");
        return new TransportException(detail, "UNEXPECTED_ANSWER", new Known(status, TRANSIENT.contains(status),
                retryAfter(headers), "", requestId, taskId, Map.of(), null));
    }

    private static long retryAfter(HttpHeaders headers) {
        String text = headers.firstValue("retry-after").orElse("");
        return text.matches("[0-9]{1,6}") ? Long.parseLong(text) : 0; // a date there is not used
    }

    private static String textOf(Object value) {
        return value instanceof String text ? text : "";
    }
}
