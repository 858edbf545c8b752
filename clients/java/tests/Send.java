package io.sluice.client;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * The sender of the conformance suite (tests/senders): does one job, given as JSON on standard input, and says on
 * standard output, in a line of JSON each, how far it is and how it ended.
 */
public final class Send {
    private static final PrintStream OUT = new PrintStream(new FileOutputStream(FileDescriptor.out), true,
            StandardCharsets.UTF_8);

    private static final Map<Object, Object> OWN_VALUES = Map.of("broken text", "broken \ud800 text",
            "a moment of long ago", OffsetDateTime.parse("1900-12-31T00:00:00+08:05:43"));

    private final Map<?, ?> job;
    private Progress last = Progress.BEGINNING;

    private Send(Map<?, ?> job) {
        this.job = job;
    }

    /** What a source of rows throws, as a database whose server has gone. */
    private static final class SourceException extends RuntimeException {
        SourceException() {
            super("the database went away");
        }
    }

    public static void main(String[] arguments) throws IOException {
        String text = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        try {
            Map<?, ?> job = (Map<?, ?>) Json.parse(text);
            if (job.get("notice") instanceof String notice) {
                say("event", "done", "notice", verified(notice, job));
            } else {
                new Send(job).run();
            }
        } catch (SourceException error) {
            say("event", "failed", "code", "SOURCE", "retryable", false, "message", error.getMessage());
        } catch (SluiceException error) {
            say("event", "failed", "kind", error.getClass().getSimpleName(), "code", error.code(), "row", error.row(),
                    "column", error.column(), "status", error.status(), "retryable", error.retryable(),
                    "task_id", error.taskId(), "request_id", error.requestId(), "message", error.getMessage());
        }
    }

    private void run() {
        Client client = new Client(text("url"), job.get("key") instanceof String key ? key : "", settings());
        Map<?, ?> sheets = job.get("sheets") instanceof Map<?, ?> some ? some : Map.of();
        Export orders = job.get("task_id") instanceof String id ? reporting(client.find(id)) : sent(client, sheets);
        sheets.forEach((name, one) -> orders.write(rows((Long) ((Map<?, ?>) one).get("rows")), (String) name));
        Number wait = job.get("wait_s") instanceof Number seconds ? seconds : 120;
        Status status = orders.await(durationOf(wait));
        if (job.get("save_to") instanceof String path) {
            orders.saveTo(Path.of(path));
        }
        say("event", "done", "task_id", orders.id(), "rows", status.rows(), "warnings", status.warnings(),
                "watch_url", job.containsKey("columns") ? orders.watchUrl() : null, "sent", last.rows(),
                "replayed", last.replayed(), "batches", last.batches(), "retries", last.retries());
    }

    /** As a program that tries again with the rows that it has. */
    private Export sent(Client client, Map<?, ?> sheets) {
        Iterator<Object[]> once = job.containsKey("columns") ? rows((Long) job.get("rows")) : null;
        Iterable<Object[]> source = "list".equals(job.get("source")) ? () -> rows((Long) job.get("rows")) : () -> once;
        long left = job.get("again") instanceof Long again ? again : 0;
        while (true) {
            Export orders = reporting(described(client, sheets));
            try {
                if ("stopped".equals(job.get("restart"))) {
                    orders.restartIfStopped(durationOf(job.containsKey("look_s") ? job.get("look_s") : 5L));
                } else if (Boolean.TRUE.equals(job.get("restart"))) {
                    orders.restart();
                }
                if (Boolean.TRUE.equals(job.get("twice"))) {
                    orders.write(source);
                    orders = reporting(described(client, sheets));
                }
                return job.containsKey("columns") ? orders.write(source) : orders;
            } catch (SluiceException error) {
                if (left-- == 0) {
                    throw error;
                }
                say("event", "progress", "rows", 0, "state", error.code());
            }
        }
    }

    private Export reporting(Export orders) {
        return orders.onProgress(progress -> {
            last = progress;
            say("event", "progress", "rows", progress.rows(), "state", progress.state());
        });
    }

    private static Map<String, Object> verified(String notice, Map<?, ?> job) {
        Map<String, Object> headers = new LinkedHashMap<>();
        ((Map<?, ?>) job.get("headers")).forEach((name, value) -> headers.put((String) name, value));
        String[] secrets = ((List<?>) job.get("secrets")).toArray(String[]::new);
        return Webhook.verify(notice.getBytes(StandardCharsets.UTF_8), headers, secrets);
    }

    private static Duration durationOf(Object seconds) {
        return Duration.ofMillis(Math.round(((Number) seconds).doubleValue() * 1000));
    }

    private Export described(Client client, Map<?, ?> sheets) {
        Export export = client.export(text("filename"));
        if (job.get("options") instanceof Map<?, ?> options) {
            Map<String, Object> named = new LinkedHashMap<>();
            options.forEach((name, value) -> named.put((String) name, value));
            export.options(named);
        }
        if (job.get("idempotency_key") instanceof String key) {
            export.key(key);
        }
        if (job.containsKey("columns")) {
            export.columns(columns(job.get("columns")));
        }
        sheets.forEach((name, one) -> export.sheet((String) name, columns(((Map<?, ?>) one).get("columns"))));
        return export;
    }

    private static List<Column> columns(Object given) {
        List<Column> columns = new ArrayList<>();
        if (given instanceof Map<?, ?> named) {
            named.forEach((name, type) -> columns.add(Column.of((String) name, (String) type)));
        } else {
            ((List<?>) given).forEach(name -> columns.add(Column.string((String) name)));
        }
        return columns;
    }

    private Settings settings() {
        Settings settings = new Settings();
        if (job.get("settings") instanceof Map<?, ?> given) {
            given.forEach((name, value) -> {
                Duration duration = durationOf(value);
                switch ((String) name) {
                    case "tries" -> settings.tries(((Number) value).intValue());
                    case "pause" -> settings.pause(duration);
                    case "pause_max" -> settings.pauseMax(duration);
                    case "first_contact" -> settings.firstContact(duration);
                    default -> throw new IllegalArgumentException("no such setting: " + name);
                }
            });
        }
        return settings;
    }

    private Iterator<Object[]> rows(long count) {
        return LongStream.rangeClosed(1, count).mapToObj(this::row).iterator();
    }

    /** Row {@code number} of the table that every sender sends; the suite knows it too. */
    private Object[] row(long number) {
        if (Long.valueOf(number).equals(job.get("fails_at"))) {
            throw new SourceException();
        }
        Object[] cells = {number, "客户 " + number + " 😀, \"quoted\"\n=1+1", number % 2 == 0,
            number % 7 == 0 ? null : number / 4.0, null};
        String digits = Long.toString(number);
        cells[4] = "2025031400000" + "0".repeat(Math.max(0, 7 - digits.length())) + digits;
        if (Long.valueOf(number).equals(job.get("odd_row"))) {
            Object odd = job.get("odd_value");
            cells[((Long) job.get("odd_cell")).intValue()] = OWN_VALUES.getOrDefault(odd, odd);
        }
        return cells;
    }

    private String text(String name) {
        return (String) job.get(name);
    }

    private static void say(Object... members) {
        Map<Object, Object> said = new LinkedHashMap<>();
        Iterator<Object> each = Arrays.asList(members).iterator();
        while (each.hasNext()) {
            said.put(each.next(), each.next());
        }
        OUT.println(new JsonBytes().any(said));
    }
}
