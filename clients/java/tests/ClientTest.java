package io.sluice.client;

import com.sun.net.httpserver.HttpServer;
import java.lang.reflect.Proxy;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Types;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/** What the conformance suite does not reach; the second half runs against the service at SLUICE_URL. */
public final class ClientTest {
    private static final Settings FAST = new Settings().pause(Duration.ofMillis(10)).pauseMax(Duration.ofMillis(50));
    private static int passed;

    /** Something that is tried. */
    interface Action {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        rowsAreJson();
        whatIsNoCellIsRefused();
        whatIsWrongInItselfIsRefusedBeforeAnythingIsSent();
        pausesDouble();
        answersAreErrors();
        jsonIsRead();
        aCallWithoutAnAnswerEnds();
        whatIsOnItsWayIsAnsweredBeforeARefusal(false);
        whatIsOnItsWayIsAnsweredBeforeARefusal(true);
        writesAndSteps();
        failuresOfWrites();
        foundExports();
        progressAndSources();
        sourcesAreComparedByIdentity();
        waitingBesideAWriteEnds();
        aStreamInAStreamIsReadOneRowAfterTheOther();
        rowsOfADatabase();
        timesOfADatabase();
        System.out.println(passed + " checks passed");
    }

    private static void rowsAreJson() {
        Map<Object, String> rows = new LinkedHashMap<>();
        rows.put(Arrays.asList(1, "a", null, true), "[1,\"a\",null,true]");
        rows.put(List.of(), "[]");
        rows.put(Map.of("name", "王伟 😀"), "{\"name\":\"王伟 😀\"}");
        rows.put(new Object[] {0.1, -0.5, 3.0, -0.0, 1e300, 0.1f, 2.5e15}, "[0.1,-0.5,3,0,1.0E300,0.1,2.5E15]");
        rows.put(List.of(new BigInteger("20250314000000000123"), new BigDecimal("1.10"), Long.MIN_VALUE),
                "[20250314000000000123,1.10,-9223372036854775808]");
        rows.put(List.of("a\"\\\n\u0001\u2028/é", 'x',
                new StringBuilder("b")), "[\"a\\\"\\\\\\n\\u0001\u2028/é\",\"x\",\"b\"]");
        LocalDateTime time = LocalDateTime.of(2026, 11, 30, 8, 0);
        rows.put(List.of(LocalDate.of(2026, 11, 2), time, time.atZone(ZoneId.of("Asia/Shanghai")),
                OffsetDateTime.parse("2026-11-30T08:00Z"),
                Instant.ofEpochSecond(0)), "[\"2026-11-02\",\"2026-11-30T08:00:00\",\"2026-11-30T08:00:00+08:00\","
                + "\"2026-11-30T08:00:00Z\",\"1970-01-01T00:00:00Z\"]");
        rows.put(List.of(java.sql.Date.valueOf("2026-11-02"), java.sql.Timestamp.valueOf(time), new java.util.Date(0)),
                "[\"2026-11-02\",\"2026-11-30 08:00:00.0\",\"1970-01-01T00:00:00Z\"]");
        java.sql.Time part = new java.sql.Time(java.sql.Time.valueOf("10:11:12").getTime() + 987);
        rows.put(List.of(LocalTime.of(10, 11), OffsetTime.parse("10:11:12.5+05:00"), part,
                java.sql.Time.valueOf("10:11:12")),
                "[\"10:11:00\",\"10:11:12.5+05:00\",\"10:11:12.987\",\"10:11:12\"]");
        OffsetDateTime old = OffsetDateTime.parse("1900-12-31T00:00:00+08:05:43");
        rows.put(List.of(old, old.atZoneSameInstant(ZoneId.of("Asia/Shanghai"))),
                "[\"1900-12-30T15:54:17Z\",\"1900-12-30T15:54:17Z\"]");
        rows.put(List.of(new UUID(0, 1), Thread.State.NEW), "[\"00000000-0000-0000-0000-000000000001\",\"NEW\"]");
        rows.forEach((row, json) -> same(json, encoded(row, false)));
        same("[1,\"a\ufffdb😀\"]", encoded(List.of(1, "a\ud800b😀"), true));
    }

    private static void whatIsNoCellIsRefused() {
        Map<Object, List<String>> rows = new LinkedHashMap<>();
        rows.put(List.of(1, "a\ud800b"), Arrays.asList("INVALID_TEXT", "name"));
        rows.put(List.of(1, "a\udc00"), Arrays.asList("INVALID_TEXT", "name"));
        rows.put(Map.of("at", "\ud800"), Arrays.asList("INVALID_TEXT", "at"));
        rows.put(List.of(Double.NaN), Arrays.asList("INVALID_VALUE", "id"));
        rows.put(List.of(1, 2, Float.POSITIVE_INFINITY), Arrays.asList("INVALID_VALUE", "3"));
        rows.put(List.of(1, List.of("secret")), Arrays.asList("INVALID_VALUE", "name"));
        rows.put(List.of("secret".getBytes()), Arrays.asList("INVALID_VALUE", "id"));
        rows.put(Map.of("name", new Object()), Arrays.asList("INVALID_VALUE", "name"));
        rows.put(Map.of(1, "secret"), Arrays.asList("INVALID_REQUEST", null));
        rows.put(Map.of("\ud800", 1), Arrays.asList("INVALID_TEXT", null));
        rows.put("secret", Arrays.asList("INVALID_REQUEST", null));
        rows.put(new int[] {1}, Arrays.asList("INVALID_REQUEST", null));
        rows.put(Path.of("secret"), Arrays.asList("INVALID_REQUEST", null));
        rows.forEach((row, expected) -> {
            SluiceException error = refused(InvalidRowException.class, expected.get(0), () -> encoded(row, false));
            same(Arrays.asList(expected.get(1), 5L, "client", false),
                    Arrays.asList(error.column(), error.row(), error.who(), error.retryable()));
            same(false, error.getMessage().contains("secret"));
        });
    }

    private static void whatIsWrongInItselfIsRefusedBeforeAnythingIsSent() {
        Client client = new Client("https://exports.example.com", "slc_x");
        List<Action> wrong = List.of(
                () -> new Client("exports.example.com", ""), () -> new Client("ftp://e", ""),
                        () -> new Client("https://me:secret@e", ""),
                () -> new Client("https://e?secret", ""), () -> new Client("https://e f", ""),
                        () -> new Client("https://e", "slc\r\nX: 1"),
                () -> new Settings().tries(0), () -> new Settings().pause(Duration.ZERO),
                () -> new Settings().http(HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build()),
                () -> client.export("orders"), () -> Column.of("a", "int"), () -> client.export("a.csv").open(),
                        () -> client.find(""),
                () -> client.export("a.csv").key(""), () -> client.export("a.csv").key("sluice:2:x"),
                () -> client.export("a.csv").key("订单"), () -> client.export("a.csv").expect(-1),
                () -> client.export("a.csv").options(Map.of("style", new Object())),
                () -> client.export("a.xlsx").columns(Column.string("a")).sheet("A", Column.string("a")),
                () -> client.export("a.csv").columns(Column.string("a")).await());
        wrong.forEach(call -> same(false, refused(UsageException.class, "USAGE",
                call).getMessage().contains("secret")));
    }

    private static void pausesDouble() {
        same(new Settings().copy().http, new Settings().tries(2).copy().http); // one for all clients
        same(false, new Settings().copy().http.equals(new Settings().connectTimeout(Duration.ofDays(1)).copy().http));
        Settings settings = new Settings().tries(6).pause(Duration.ofSeconds(1)).pauseMax(Duration.ofSeconds(4));
        for (double chance : List.of(0.0, 1.0)) {
            Retry retry = new Retry(settings, () -> 0, () -> chance);
            for (double bound : List.of(1.0, 2.0, 4.0, 4.0, 4.0)) {
                same(bound * (1 + chance) / 2, retry.pause(0, true));
            }
            same(-1.0, retry.pause(0, true));
        }
        same(7.5, new Retry(settings, () -> 0, () -> 0).pause(7, true));
        same(30.5, new Retry(settings, () -> 0, () -> 0).pause(3600, true));
        double[] now = {100};
        Retry first = new Retry(new Settings().tries(99).pause(Duration.ofSeconds(1)).pauseMax(Duration.ofSeconds(1)),
                () -> now[0], () -> 1);
        now[0] = 109;
        same(1.0, first.pause(0, false));
        now[0] = 109.1;
        same(-1.0, first.pause(0, false));
        same(1.0, first.pause(0, true));
    }

    private static void answersAreErrors() {
        HttpHeaders headers = HttpHeaders.of(Map.of("retry-after", List.of("7"), "x-request-id", List.of("r1")),
                (name, value) -> true);
        SluiceException large = Problem.of(413, headers, "<html>", "https://e", "t1");
        same(List.of("UNEXPECTED_ANSWER", 413, false, "t1", "r1", Duration.ofSeconds(7)), List.of(large.code(),
                large.status(),
                large.retryable(), large.taskId(), large.requestId(), large.retryAfter()));
        same(true, large.getMessage().contains("client_max_body_size"));
        same("UNEXPECTED_ANSWER", Problem.of(400, headers, "{\"code\":\"\\u001b[2J\"}", "https://e", "").code());
        SluiceException full = Problem.of(429,
                headers, "{\"code\":\"QUEUE_FULL\",\"detail\":\"d\",\"who\":\"platform\",\"retryable\":true,"
                + "\"request_id\":\"r\",\"status\":429,\"open\":4}", "https://e", "t");
        same(List.of(true, "platform", "r", Map.of("open", 4L), "QUEUE_FULL: d (export t, request r)", true),
                List.of(full.retryable(),
                full.who(), full.requestId(), full.facts(), full.getMessage(), full instanceof BusyException));
        Known row = Known.at(Map.of("row", 2L));
        same(InvalidRowException.class, Problem.named("INVALID_REQUEST", "a cell too many", row).getClass());
        same(UsageException.class, Problem.named("INVALID_REQUEST", "No JSON.", Known.NOTHING).getClass());
        Map<String, Object> right = Json.objectIn("{\"task_id\":\"t\",\"state\":\"failed\",\"error\":{\"code\":\"X\"},"
                + "\"warnings\":[{\"kind\":\"k\",\"count\":2}]}");
        same("X", Status.of(right).failure().code());
        same(Map.of("k", 2L), Status.of(right).warnings());
        for (String name : List.of("task_id", "state", "warnings", "error", "progress_percent")) {
            Map<String, Object> odd = new LinkedHashMap<>(right);
            odd.put(name, List.of("x"));
            refused(TransportException.class, "UNEXPECTED_ANSWER", () -> Status.of(odd).failure());
        }
    }

    private static void jsonIsRead() {
        same(Arrays.asList(1L, -2.5, 1e30, "a\n\u00e9\"", true, null, Map.of("x", List.of())),
                Json.parse(" [1, -2.5, 1e30, \"a\\n\\u00e9\\\"\", true, null, {\"x\": []}] "));
        for (String text : List.of(
                "", "{", "[1,]", "{\"a\"}", "\"a", "\"\\x\"", "\"\\u12\"", "tru", "1 2", "-", "1d", "[".repeat(200))) {
            same(null, Json.objectIn(text));
            try {
                Json.parse(text);
                throw new AssertionError("it was read: " + text);
            } catch (IllegalArgumentException error) {
                passed++;
            }
        }
    }

    private static void aCallWithoutAnAnswerEnds() throws Exception {
        try (ServerSocket silent = new ServerSocket(0)) {
            String url = "http://127.0.0.1:" + silent.getLocalPort();
            AtomicInteger again = new AtomicInteger();
            Settings settings = new Settings().tries(3).pause(Duration.ofMillis(1)).answerTimeout(Duration.ofMillis(20))
                    .onRetry((error, pause) -> again.incrementAndGet());
            SluiceException error = refused(TransportException.class, "UNREACHABLE", () -> new Client(url, "",
                    settings).find("t").status());
            same(Arrays.asList(true, "t", 0, 2), Arrays.asList(error.retryable(), error.taskId(), error.status(),
                    again.get()));
            Thread.currentThread().interrupt();
            refused(TransportException.class, "INTERRUPTED", () -> new Client(url, "").find("t").status());
            same(true, Thread.interrupted());
        }
    }

    /** Unless the thread is interrupted meanwhile; none of them is sent again. */
    private static void whatIsOnItsWayIsAnsweredBeforeARefusal(boolean interrupts) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        ExecutorService threads = Executors.newCachedThreadPool();
        server.setExecutor(threads);
        CountDownLatch allCame = new CountDownLatch(3);
        CountDownLatch isOver = new CountDownLatch(1);
        AtomicInteger came = new AtomicInteger();
        AtomicInteger answered = new AtomicInteger();
        Thread writer = Thread.currentThread();
        server.createContext("/", asked -> {
            String path = asked.getRequestURI().getPath();
            asked.getRequestBody().readAllBytes();
            String answer = "{\"task_id\": \"t\", \"state\": \"open\"}";
            int status = 200;
            try {
                if (path.contains("/batches/")) {
                    came.incrementAndGet();
                    allCame.countDown();
                    allCame.await();
                    answer = "{\"code\": \"BATCH_CONFLICT\"}";
                    status = path.endsWith("/1") ? 409 : 503;
                    if (status == 503) {
                        isOver.await(interrupts ? 60_000 : 300, TimeUnit.MILLISECONDS);
                        answered.incrementAndGet();
                    } else if (interrupts) {
                        threads.execute(() -> {
                            Calls.sleep(Duration.ofMillis(300), "t");
                            writer.interrupt();
                        });
                    }
                }
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            }
            byte[] bytes = answer.getBytes(StandardCharsets.UTF_8);
            asked.sendResponseHeaders(status, bytes.length);
            asked.getResponseBody().write(bytes);
            asked.close();
        });
        server.start();
        try {
            Settings settings = new Settings().batchRows(1);
            Export orders = new Client("http://127.0.0.1:" + server.getAddress().getPort(), "", settings)
                    .export("a.csv").columns(Column.string("a")).key("k");
            refused(SourceChangedException.class, "BATCH_CONFLICT", () -> orders.write(rows(3)));
            same(List.of(interrupts, interrupts ? 0 : 2, 3), List.of(Thread.interrupted(), answered.get(), came.get()));
        } finally {
            isOver.countDown();
            server.stop(0);
            threads.shutdown();
        }
    }

    private static void writesAndSteps() throws Exception {
        Export orders = table("a.csv").write(rows(2));
        refused(UsageException.class, "USAGE", () -> orders.write(rows(2)));
        Export steps = table("a.csv").push(rows(1)).push(List.of(Map.of("a", 2))).close();
        same("1|2", linesOf(steps));
        refused(UsageException.class, "USAGE", () -> steps.options(Map.of()));
        same("1|2", linesOf(table("a.csv").write(LongStream.rangeClosed(1, 2).mapToObj(one -> new Object[] {one}))));
        same("1|2", linesOf(table("a.csv").write(rows(2).iterator())));
        Export shop = client(FAST).export("a.xlsx").sheet("A", Column.string("a")).sheet("B", Column.string("b"));
        shop.write(rows(1), "A");
        refused(UsageException.class, "USAGE", () -> shop.write(rows(1)));
        refused(UsageException.class, "USAGE", () -> shop.write(rows(1), "C"));
        Export half = client(FAST).export("a.xlsx").sheet("A", Column.string("a")).sheet("B",
                Column.string("b")).write(rows(1), "A");
        same(true, refused(UsageException.class, "USAGE", () -> half.await(Duration.ZERO)).getMessage().contains("B"));
        Export open = table("a.csv").push(rows(1));
        refused(UsageException.class, "USAGE", () -> open.await(Duration.ZERO));
    }

    private static void failuresOfWrites() throws Exception {
        Export orders = table("a.csv");
        String id = orders.id();
        SluiceException bad = refused(InvalidRowException.class, "INVALID_VALUE",
                () -> orders.write(List.of(List.of(1), List.of(Double.NaN))));
        same(List.of(2L, "a"), List.of(bad.row(), bad.column()));
        same("cancelled", client(FAST).find(id).status().state());
        same(id, refused(ExportFailedException.class, "CANCELLED", () -> client(FAST).find(id).await()).taskId());
        same("1|2", linesOf(orders.write(rows(2))));

        Export keyed = client(new Settings().batchRows(2)).export("a.csv").columns(Column.string("a")).key("half-way "
                + UUID.randomUUID());
        List<Object> rows = new ArrayList<>(rows(9));
        rows.set(7, List.of(new Object()));
        same(8L, refused(InvalidRowException.class, "INVALID_VALUE", () -> keyed.write(rows)).row());
        Iterator<?> once = rows(9).iterator();
        same("1|2|3|4|5|6|7|8|9", linesOf(keyed.write(once)));
        Export other = table("a.csv");
        Iterator<?> broken = Stream.of(List.of(new Object()), List.of(1)).iterator();
        refused(InvalidRowException.class, "INVALID_VALUE", () -> other.write(broken));
        refused(UsageException.class, "USAGE", () -> other.write(broken));
        refused(UsageException.class, "USAGE", () -> table("a.csv").write(broken));
        refused(UsageException.class, "USAGE", () -> table("a.csv").pushBatch(1, () -> cast(broken)));
        same("", linesOf(table("a.csv").write(java.util.Collections.emptyList())));
        same("", linesOf(table("a.csv").write(java.util.Collections.emptyList())));
        try {
            table("a.csv").write(Stream.of(1, 2).map(one -> {
                throw new IllegalStateException("no such table");
            }));
            throw new AssertionError("nothing was thrown");
        } catch (IllegalStateException error) {
            same("no such table", error.getMessage());
        }
        Export typed = client(FAST).export("a.csv").columns(Column.number("a"));
        same(3L, refused(InvalidRowException.class, "INVALID_VALUE",
                () -> typed.write(List.of(List.of(1), List.of(2), List.of("many")))).row());
    }

    private static void foundExports() throws Exception {
        Export first = table("found.csv");
        Export found = client(FAST).find(first.id());
        refused(UsageException.class, "USAGE", () -> found.write(rows(1)));
        refused(UsageException.class, "USAGE", () -> found.push(rows(1)));
        refused(UsageException.class, "USAGE", found::restart);
        refused(UsageException.class, "USAGE", found::restartIfStopped);
        found.pushBatch(2, List.of(List.of(2))).pushBatch(1, List.of(List.of(1)));
        refused(UsageException.class, "BATCHES_MISSING", () -> found.close(3, 2));
        same("1|2", linesOf(found.close(2, 2)));
        Export other = found.renderAs("jsonl", Map.of(), "other.jsonl");
        same("{\"a\":\"1\"}|{\"a\":\"2\"}", linesOf(other));
        List<String> names = client(FAST).list("completed").map(Status::filename).toList();
        same(true, names.contains("found.csv") && names.contains("other.jsonl"));
        refused(RefusedException.class, "ALREADY_COMPLETED", found::cancel);
        SluiceException where = refused(TransportException.class, "NOT_WRITTEN",
                () -> found.saveTo(Path.of("/no such folder/a.csv")));
        same(false, where.retryable());
        found.delete();
        refused(ExportFailedException.class, "TASK_DELETED", found::status);
    }

    private static void progressAndSources() throws Exception {
        List<String> seen = new ArrayList<>();
        Export orders = client(new Settings().inFlight(1)).export("a.csv").columns(Column.string("a")).expect(12_000)
                .onProgress(progress -> seen.add(progress.rows() + " " + progress.percent()));
        orders.write(rows(12_000));
        same(List.of("5000 31.25", "10000 62.5", "12000 75.0"), List.copyOf(seen));
        orders.await();
        same("12000 100.0", seen.get(seen.size() - 1));
        Export packed = client(new Settings().gzip(true)).export("a.csv").columns(Column.string("a")).write(rows(3000));
        same(3000L, packed.await().rows());
    }

    /** Equal to another one of as many rows, and to itself only until it gives one. */
    record Queue(java.util.LinkedList<Object> left) implements Iterator<Object> {
        @Override
        public boolean hasNext() {
            return !left.isEmpty();
        }

        @Override
        public Object next() {
            return left.poll();
        }
    }

    private static void sourcesAreComparedByIdentity() throws Exception {
        Queue broken = new Queue(new java.util.LinkedList<>(List.of(List.of(1), List.of(new Object()), List.of(3))));
        refused(InvalidRowException.class, "INVALID_VALUE", () -> table("a.csv").write(broken));
        refused(UsageException.class, "USAGE", () -> table("a.csv").write(broken));
        Queue rest = new Queue(new java.util.LinkedList<>(List.of(List.of(3))));
        same(broken, rest);
        same("3", linesOf(table("a.csv").write(rest)));
        Stream<List<Integer>> stream = Stream.of(List.of(1));
        same("1", linesOf(table("a.csv").write(stream)));
        refused(UsageException.class, "USAGE", () -> table("a.csv").write(stream));
    }

    private static void waitingBesideAWriteEnds() throws Exception {
        Export orders = table("a.csv");
        CountDownLatch isRead = new CountDownLatch(1);
        CountDownLatch goesOn = new CountDownLatch(1);
        Thread writer = new Thread(() -> orders.write(Stream.of(1).map(one -> {
            isRead.countDown();
            try {
                goesOn.await();
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            }
            return List.of(one);
        })));
        writer.start();
        isRead.await();
        refused(NotReadyException.class, "NOT_READY", () -> orders.await(Duration.ofMillis(10)));
        Thread.currentThread().interrupt();
        refused(TransportException.class, "INTERRUPTED", orders::close);
        same(true, Thread.interrupted());
        goesOn.countDown();
        same("1", linesOf(orders));
        writer.join();
    }

    private static void aStreamInAStreamIsReadOneRowAfterTheOther() throws Exception {
        AtomicInteger made = new AtomicInteger();
        List<Integer> madeAtTheFirst = new ArrayList<>();
        Export orders = client(new Settings().inFlight(1)).export("a.csv").columns(Column.string("a"))
                .onProgress(progress -> madeAtTheFirst.add(made.get()));
        orders.write(Stream.of("January").flatMap(month -> LongStream.rangeClosed(1, 12_000).mapToObj(number -> {
            made.incrementAndGet();
            return List.of(number);
        })));
        same(12_000L, orders.await().rows());
        same(5000, madeAtTheFirst.get(0));
    }

    private static void rowsOfADatabase() throws Exception {
        ResultSet whole = resultOf(3, 0);
        same("1|2|3", linesOf(table("a.csv").write(Rows.of(whole))));
        refused(UsageException.class, "USAGE", () -> Rows.of(whole));
        whole.beforeFirst(); // as where a driver gives the same result for a statement that is run again
        same("1|2|3", linesOf(table("a.csv").write(Rows.of(whole))));
        ResultSet broken = resultOf(3, 2);
        try {
            table("a.csv").write(Rows.of(broken));
            throw new AssertionError("the query failed");
        } catch (IllegalStateException error) {
            same("The query failed while its rows were read: the server went away", error.getMessage());
            same(SQLException.class, error.getCause().getClass());
        }
        refused(UsageException.class, "USAGE", () -> table("a.csv").write(Rows.of(broken)));
    }

    private static void timesOfADatabase() throws Exception {
        Map<String, Object> cells = new LinkedHashMap<>();
        cells.put("timestamp", LocalDateTime.parse("2026-03-29T02:30:00")); // no such time in Berlin
        cells.put("timestamptz", OffsetDateTime.parse("2026-03-29T01:30:00Z"));
        cells.put("TIMESTAMP WITH TIME ZONE", OffsetDateTime.parse("1900-12-31T00:00:00+08:05:43"));
        cells.put("TIMESTAMP WITHOUT TIME ZONE", LocalDateTime.MAX);
        cells.put("date", LocalDate.parse("2026-03-29"));
        cells.put("time", LocalTime.parse("10:11:12.987654"));
        cells.put("timetz", OffsetTime.parse("10:11:12.5+05:00"));
        cells.put("TIME", LocalTime.MAX);
        cells.put("varchar", "x");
        List<Column> columns = cells.keySet().stream().map(Column::string).toList();
        same("2026-03-29T02:30:00,2026-03-29T01:30:00Z,1900-12-30T15:54:17Z,text of 4,2026-03-29,10:11:12.987654,"
                + "10:11:12.5+05:00,text of 8,x",
                linesOf(client(FAST).export("a.csv").columns(columns).write(Rows.of(resultOf(1, 0, cells)))));
        cells.replaceAll((type, cell) -> null);
        same("driver,driver,driver,driver,driver,text of 6,text of 7,text of 8,driver",
                linesOf(client(FAST).export("a.csv").columns(columns).write(Rows.of(resultOf(1, 0, cells)))));
    }

    private static final Map<String, Integer> TYPES = Map.of("timestamp", Types.TIMESTAMP, "timestamptz",
            Types.TIMESTAMP, "TIMESTAMP WITH TIME ZONE", Types.TIMESTAMP_WITH_TIMEZONE, "TIMESTAMP WITHOUT TIME ZONE",
            Types.TIMESTAMP, "date", Types.DATE, "time", Types.TIME, "timetz", Types.TIME, "TIME", Types.TIME);

    private static ResultSet resultOf(int rows, int brokenAt) {
        return resultOf(rows, brokenAt, null);
    }

    /**
     * A result as a driver's, which breaks off in place of a row.
     *
     * @param cells of each row, by the names of their types, null where the driver has no class but its own; or null for
     *        one column that counts
     */
    private static ResultSet resultOf(int rows, int brokenAt, Map<String, Object> cells) {
        List<String> names = cells == null ? List.of("varchar") : List.copyOf(cells.keySet());
        AtomicInteger at = new AtomicInteger();
        return (ResultSet) Proxy.newProxyInstance(ClientTest.class.getClassLoader(),
                new Class<?>[] {ResultSet.class, ResultSetMetaData.class}, (result, method, arguments) -> {
                    switch (method.getName()) {
                        case "next":
                            if (at.incrementAndGet() == brokenAt) {
                                throw new SQLException("the server went away");
                            }
                            return at.get() <= rows;
                        case "getColumnCount":
                            return names.size();
                        case "getColumnType":
                            return TYPES.getOrDefault(names.get((int) arguments[0] - 1), Types.VARCHAR);
                        case "getColumnTypeName":
                            return names.get((int) arguments[0] - 1);
                        case "getMetaData":
                            return result;
                        case "getObject":
                            Object cell = cells == null ? String.valueOf(at.get())
                                    : cells.get(names.get((int) arguments[0] - 1));
                            if (cell == null && arguments.length == 2) {
                                throw new java.sql.SQLFeatureNotSupportedException("no such class");
                            }
                            return cell == null ? "driver" : cell;
                        case "getString":
                            return "text of " + arguments[0];
                        case "getRow":
                            return at.get() > rows ? 0 : at.get();
                        case "isAfterLast":
                            return at.get() > rows;
                        case "beforeFirst":
                            at.set(0);
                            return null;
                        case "hashCode":
                            return System.identityHashCode(at);
                        default:
                            return result == arguments[0]; // equals
                    }
                });
    }

    @SuppressWarnings("unchecked")
    private static Iterator<Object> cast(Iterator<?> rows) {
        return (Iterator<Object>) rows;
    }

    private static Export table(String name) {
        return client(FAST).export(name).columns(Column.string("a"));
    }

    private static Client client(Settings settings) {
        return Client.fromEnv(settings);
    }

    private static List<List<Object>> rows(int count) {
        return LongStream.rangeClosed(1, count).mapToObj(one -> List.<Object>of(one)).toList();
    }

    /** The rows of a file of text, behind its header. */
    private static String linesOf(Export export) throws Exception {
        Status status = export.await();
        Path file = Files.createTempFile("sluice", "." + status.format());
        export.saveTo(file);
        List<String> lines = Files.readAllLines(file);
        Files.delete(file);
        return String.join("|", lines.subList(status.format().equals("csv") ? 1 : 0, lines.size()));
    }

    private static String encoded(Object row, boolean substitutes) {
        JsonBytes json = new JsonBytes();
        new RowEncoder(List.of("id", "name"), "", substitutes).encode(row, 5, json);
        return json.toString();
    }

    private static SluiceException refused(Class<? extends SluiceException> kind, String code, Action action) {
        try {
            action.run();
        } catch (SluiceException error) {
            same(List.of(kind, code), List.of(error.getClass(), error.code()));
            return error;
        } catch (Exception error) {
            throw new AssertionError("another error", error);
        }
        throw new AssertionError("nothing was refused; expected " + code);
    }

    private static void same(Object expected, Object found) {
        if (!Objects.equals(expected, found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
        passed++;
    }
}
