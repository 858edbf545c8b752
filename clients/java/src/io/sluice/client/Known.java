package io.sluice.client;

import java.util.LinkedHashMap;
import java.util.Map;

/** What is known of an error beside its text; status 0 where there was no answer. */
record Known(int status, boolean retryable, long retryAfter, String who, String requestId, String taskId,
        Map<String, Object> facts, Throwable cause) implements java.io.Serializable {
    static final Known NOTHING = new Known(0, false, 0, "", "", "", Map.of(), null);

    static Known of(String taskId, boolean retryable, String who) {
        return new Known(0, retryable, 0, who, "", taskId, Map.of(), null);
    }

    /** What only the client saw, with its place. */
    static Known at(Map<String, Object> facts) {
        return new Known(0, false, 0, "client", "", "", facts, null);
    }

    Known because(Throwable reason) {
        return new Known(status, retryable, retryAfter, who, requestId, taskId, facts, reason);
    }

    /** With facts that are added, or replace those of the same name. */
    Known and(Map<String, Object> more) {
        Map<String, Object> all = new LinkedHashMap<>(facts);
        all.putAll(more);
        return new Known(status, retryable, retryAfter, who, requestId, taskId, all, cause);
    }
}
