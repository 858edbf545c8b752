package io.sluice.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * Whatever this client throws; its class says what to do next.
 *
 * <p>The message has the code, the place and the request id, and never the API key, a link or a cell's value.
 */
public abstract class SluiceException extends RuntimeException {
    private static final List<String> PLACES = List.of("row", "column", "sheet", "batch");

    private final String detail;
    private final String code;
    private final Known known;

    SluiceException(String detail, String code, Known known) {
        super(code + ": " + detail + placeOf(known), known.cause());
        this.detail = detail;
        this.code = code;
        this.known = known;
    }

    /**
     * An error code of the service (docs/errors.md), UNREACHABLE, UNEXPECTED_ANSWER, NOT_WRITTEN, INTERRUPTED or USAGE.
     */
    public String code() {
        return code;
    }

    /** What happened, without the place. */
    public String detail() {
        return detail;
    }

    /** The HTTP status; 0 where there was no answer, and for an export that failed. */
    public int status() {
        return known.status();
    }

    /** Whether the same call may succeed later. */
    public boolean retryable() {
        return known.retryable();
    }

    /** How long the service asks to wait before the next try; zero where it does not say. */
    public Duration retryAfter() {
        return Duration.ofSeconds(known.retryAfter());
    }

    /** Who must act: client, platform or operator; empty where the answer does not say. */
    public String who() {
        return known.who();
    }

    /** The service's log has it too. */
    public String requestId() {
        return known.requestId();
    }

    public String taskId() {
        return known.taskId();
    }

    /** The row of the whole table (of its sheet), counted from 1; null where it is no matter of a row. */
    public Long row() {
        return facts().get("row") instanceof Long row ? row : null;
    }

    /** The name of the column, or null. */
    public String column() {
        Object column = facts().get("column");
        return column == null ? null : column.toString();
    }

    /** What else is known of the place. */
    public Map<String, Object> facts() {
        return Collections.unmodifiableMap(known.facts());
    }

    Known known() {
        return known;
    }

    private static String placeOf(Known known) {
        List<String> places = new ArrayList<>();
        for (String name : PLACES) {
            Object value = known.facts().get(name);
            if (value instanceof String || value instanceof Number) {
                places.add(name + " " + value);
            }
        }
        if (!known.taskId().isEmpty()) {
            places.add("export " + known.taskId());
        }
        if (!known.requestId().isEmpty()) {
            places.add("request " + known.requestId());
        }
        return places.isEmpty() ? "" : " (" + String.join(", ", places) + ")";
    }
}
