package io.sluice.client;

import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.HashSet;
import java.util.Set;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * One Sluice service, reached with one API key. The key goes to that server only. May be used by any number of threads.
 */
public final class Client {
    private static final Map<String, String> FORMATS =
            Map.of("xlsx", "xlsx", "csv", "csv", "jsonl", "jsonl", "ndjson", "jsonl", "parquet", "parquet");

    private final Calls calls;

    /**
     * @param url such as {@code https://exports.example.com}
     * @param key the API key; empty where the service asks for none
     */
    public Client(String url, String key) {
        this(url, key, new Settings());
    }

    public Client(String url, String key, Settings settings) {
        this.calls = new Calls(url, key, settings.copy());
    }

    /** The client of the environment: SLUICE_URL (by default the service on this machine), SLUICE_KEY. */
    public static Client fromEnv() {
        return fromEnv(new Settings());
    }

    public static Client fromEnv(Settings settings) {
        String url = System.getenv().getOrDefault("SLUICE_URL", "");
        String key = System.getenv().getOrDefault("SLUICE_KEY", "");
        return new Client(url.isEmpty() ? "http://127.0.0.1:9091" : url, key, settings);
    }

    /** Describes an export; nothing is sent yet. The format is what the name ends with: xlsx, csv, jsonl or parquet. */
    public Export export(String filename) {
        String ending = filename.substring(filename.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
        if (!FORMATS.containsKey(ending)) {
            throw new UsageException("The name \"" + filename
                    + "\" says no format; it ends with .xlsx, .csv, .jsonl, .ndjson or "
                    + ".parquet, or export() is given one.");
        }
        return export(filename, FORMATS.get(ending));
    }

    /** Describes an export of this format, however its name ends. */
    public Export export(String filename, String format) {
        return new Export(calls, new Definition(filename, format), null);
    }

    /** Takes up an export by its id, in another process too; nothing is asked yet. */
    public Export find(String taskId) {
        if (taskId.isEmpty()) {
            throw new UsageException("find() takes the id of an export, as id() gave it.");
        }
        return new Export(calls, new Definition("", ""), new Task(calls, taskId, null));
    }

    /** All exports of this key's tenant, newest first; pages are fetched as they are read. */
    public Stream<Status> list() {
        return list("");
    }

    /** Those in this state. */
    public Stream<Status> list(String state) {
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(new Pages(state), 0), false);
    }

    private final class Pages implements Iterator<Status> {
        private final String state;
        private final Set<String> seen = new HashSet<>();
        private String cursor = "";
        private Iterator<?> page = List.of().iterator();

        Pages(String state) {
            this.state = state;
        }

        @Override
        public boolean hasNext() {
            while (!page.hasNext() && cursor != null) {
                fetch();
            }
            return page.hasNext();
        }

        @Override
        @SuppressWarnings("unchecked")
        public Status next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            return Status.of(page.next() instanceof Map<?, ?> task ? (Map<String, Object>) task : Map.of());
        }

        private void fetch() {
            boolean isNew = seen.add(cursor); // a list that leads in a circle ends
            String query = "?limit=100" + (state.isEmpty() ? "" : "&state=" + Task.escaped(state))
                    + (cursor.isEmpty() ? "" : "&cursor=" + Task.escaped(cursor));
            Map<String, Object> answer = calls.call(Calls.Request.plain("GET", "/v1/exports" + query), "");
            Object next = answer.get("cursor") == null ? "" : answer.get("cursor");
            if (!isNew || !(answer.get("tasks") instanceof List<?> tasks) || !(next instanceof String text)) {
                throw Problem.unexpected("the answer is no page of a list", "");
            }
            page = tasks.iterator();
            cursor = text.isEmpty() ? null : text;
        }
    }
}
