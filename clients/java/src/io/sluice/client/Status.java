package io.sluice.client;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An export as it was when the service answered. Times are ISO 8601 in UTC.
 *
 * @param state open, sealed, composing; completed, failed, cancelled, expired
 * @param rows that the service has stored
 * @param rowsWritten that are in the file, or in what there is of it
 * @param percent of the way to the file; where rows were announced, sending them is 75 of it
 * @param secondsLeft until the file is there, as far as the service can say; or null
 * @param bytes of the file, or null
 * @param sha256 of the file, or null
 * @param warnings what the writer had to count, by kind
 * @param expiresAt or null
 * @param answer all that was answered, what this release does not know too
 */
public record Status(String taskId, String state, String filename, String format, long rows, long rowsWritten,
        long batches,
        double percent, Double secondsLeft, Long bytes, String sha256, Map<String, Long> warnings, String expiresAt,
        Map<String, Object> answer) {
    private static final Set<String> FAILED = Set.of("failed", "cancelled", "expired");

    static Status of(Map<String, Object> answer) {
        Number left = member(answer, "eta_seconds", Number.class);
        Number bytes = member(answer, "file_size_bytes", Number.class);
        return new Status(required(answer, "task_id"), required(answer, "state"), text(answer, "filename"),
                text(answer, "format"),
                whole(answer, "rows_received"), whole(answer, "rows_written"), whole(answer, "batches"),
                number(answer, "progress_percent").doubleValue(), left == null ? null : left.doubleValue(),
                bytes == null ? null : bytes.longValue(), member(answer, "checksum_sha256", String.class),
                        warningsOf(answer),
                member(answer, "expires_at", String.class), Collections.unmodifiableMap(answer));
    }

    boolean isOpen() {
        return state.equals("open");
    }

    /** Why there is no file and never will be; null while there may be one. */
    SluiceException failure() {
        if (!FAILED.contains(state)) {
            return null;
        }
        Map<?, ?> error = member(answer, "error", Map.class);
        error = error == null ? Map.of() : error;
        String code = text(error, "code").isEmpty() ? state.toUpperCase(java.util.Locale.ROOT) : text(error, "code");
        String message = text(error, "message").isEmpty() ? "The export is " + state + "." : text(error, "message");
        boolean retryable = Boolean.TRUE.equals(error.get("retryable"));
        return new ExportFailedException(message, code, Known.of(taskId, retryable, text(error, "who")));
    }

    private static Map<String, Long> warningsOf(Map<String, Object> answer) {
        Map<String, Long> warnings = new LinkedHashMap<>();
        List<?> list = member(answer, "warnings", List.class);
        for (Object one : list == null ? List.of() : list) {
            if (!(one instanceof Map<?, ?> warning)) {
                throw unexpected("warnings");
            }
            warnings.put(required(warning, "kind"), whole(warning, "count"));
        }
        return Collections.unmodifiableMap(warnings);
    }

    private static String required(Map<?, ?> answer, String name) {
        String text = member(answer, name, String.class);
        if (text == null) {
            throw unexpected(name);
        }
        return text;
    }

    private static String text(Map<?, ?> answer, String name) {
        String text = member(answer, name, String.class);
        return text == null ? "" : text;
    }

    private static long whole(Map<?, ?> answer, String name) {
        return number(answer, name).longValue();
    }

    private static Number number(Map<?, ?> answer, String name) {
        Number number = member(answer, name, Number.class);
        return number == null ? 0 : number;
    }

    private static <T> T member(Map<?, ?> answer, String name, Class<T> kind) {
        Object value = answer.get(name);
        if (value != null && !kind.isInstance(value)) {
            throw unexpected(name);
        }
        return kind.cast(value);
    }

    private static SluiceException unexpected(String name) {
        return Problem.unexpected("the answer's " + name + " is not what a Sluice service answers there", "");
    }
}
