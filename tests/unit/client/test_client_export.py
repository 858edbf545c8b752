"""An export through the client: sent in order of need, waited for, saved whole, cancelled when it fails."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from sluice.client import Client, Export, Row, SluiceApiError, Status
from sluice.client.rows import cut
from sluice.domain.limits import Limits
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.http_client import HttpRelay, http_relay
from tests.support.scripted_server import Answer, Asked, scripted_server

COLUMNS = {"id": "number", "name": "string"}
ROWS = [[number, f"name {number}, Zoë"] for number in range(12_000)]
CSV = "\ufeffid,name\r\n" + "".join(f'{number},"name {number}, Zoë"\r\n' for number in range(12_000))


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[HttpRelay]:
    with http_relay(tmp_path / "service") as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> Iterator[Client]:
    with Client(relay.url, relay.memory.token(), compress=True) as made:
        yield made


@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_table_is_sent_and_its_file_saved(client: Client, tmp_path: Path, in_flight: int) -> None:
    sequences: list[int] = []
    export = client.send_table(
        iter(ROWS),
        columns=COLUMNS,
        format="csv",
        filename="rows",
        in_flight=in_flight,
        on_batch=lambda receipt: sequences.append(receipt.sequence),
    )
    done = export.wait()
    assert export.save_to(tmp_path / "rows.csv") == done
    content = (tmp_path / "rows.csv").read_bytes()
    assert content.decode() == CSV
    assert (done.filename, done.rows_written, done.file_size_bytes) == ("rows.csv", 12_000, len(content))
    assert done.checksum_sha256 == hashlib.sha256(content).hexdigest()
    assert sequences == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "service"]


def test_batches_go_one_by_one_in_any_order_and_again(client: Client) -> None:
    export = client.open(format="csv", columns=COLUMNS)
    assert [export.put(sequence, [[sequence, "x"]]).replayed for sequence in (2, 1, 2)] == [False, False, True]
    with pytest.raises(SluiceApiError) as caught:
        export.close(batches=3)
    assert (caught.value.code, caught.value.facts["missing"]) == ("BATCHES_MISSING", [3])
    assert export.close(batches=2, rows=2).rows_received == 2
    assert export.wait().rows_written == 2


def test_each_sheet_gets_its_rows(client: Client, tmp_path: Path) -> None:
    export = client.open(format="xlsx", sheets={"Orders": {"id": "number"}, "Lines & more": ["order", "article"]})
    export.put(1, [[1]], sheet="Orders")
    export.put(2, [{"article": "tea", "order": 1}], sheet="Lines & more")
    assert export.close(sheets={"Orders": 1, "Lines & more": 1}).sheets == {"Orders": 1, "Lines & more": 1}
    export.wait()
    export.save_to(tmp_path / "shop.xlsx")
    book = openpyxl.load_workbook(tmp_path / "shop.xlsx")
    assert {sheet.title: list(sheet.iter_rows(min_row=2, values_only=True)) for sheet in book.worksheets} == {
        "Orders": [(1,)],
        "Lines & more": [("1", "tea")],
    }


def test_the_same_key_goes_on_with_the_same_export(client: Client) -> None:
    first = client.open(format="csv", columns=COLUMNS, idempotency_key="schlüssel-1")
    first.put(1, ROWS[:10])
    again = client.send_table(iter(ROWS[:10]), columns=COLUMNS, format="csv", idempotency_key="schlüssel-1")
    assert again.id == first.id
    assert first.wait().batches == 1
    with pytest.raises(SluiceApiError, match="IDEMPOTENCY_KEY_REUSED"):
        client.open(format="csv", columns=["id"], idempotency_key="schlüssel-1")
    assert client.open(format="csv", columns=COLUMNS).id != client.open(format="csv", columns=COLUMNS).id
    with pytest.raises(ValueError, match="printable"):
        client.open(format="csv", columns=COLUMNS, idempotency_key="a\nb")


def test_who_sends_a_table_has_the_export_before_a_row_is_read(client: Client) -> None:
    happened: list[object] = []

    def rows() -> Iterator[list[object]]:
        happened.append("read")
        yield from ROWS[:2]

    def send() -> Export:
        return client.send_table(
            rows(), columns=COLUMNS, format="csv", idempotency_key="once", on_open=lambda one: happened.append(one.id)
        )

    export = send()
    assert happened == [export.id, "read"]
    assert send().id == export.id
    assert happened == [export.id, "read", export.id], "an earlier run has closed it"


@pytest.mark.parametrize(
    ("bad", "column"), [([9, "x", "too wide"], None), (["x", "no number"], "id"), ([1, float("nan")], "name")]
)
@pytest.mark.parametrize("key", [None, "k"])
def test_a_bad_row_is_counted_from_the_start_of_the_table(
    client: Client, bad: list[Any], column: str | None, key: str | None
) -> None:
    rows = [*ROWS[:11_000], bad, *ROWS]
    with pytest.raises(SluiceApiError) as caught:
        client.send_table(rows, columns=COLUMNS, format="csv", idempotency_key=key)
    assert (caught.value.facts["row"], caught.value.facts.get("column")) == (11_001, column)
    assert [status.state for status in client.list()] == ["cancelled" if key is None else "open"]


def test_an_error_of_a_whole_batch_names_the_batch(tmp_path: Path) -> None:
    with (
        http_relay(tmp_path, limits=Limits(batch_rows_max=100)) as relay,
        Client(relay.url, relay.memory.token()) as client,
        pytest.raises(SluiceApiError, match="BATCH_TOO_LARGE") as caught,
    ):
        client.open(format="csv", columns=COLUMNS).send([ROWS[:100], ROWS[:101]])
    assert caught.value.facts["batch"] == 2


def test_what_a_source_of_rows_raises_comes_through_and_cancels(client: Client) -> None:
    def rows() -> Iterator[list[Any]]:
        yield from ROWS
        raise KeyError("the database went away")

    with pytest.raises(KeyError):
        client.send_table(rows(), columns=COLUMNS, format="csv")
    assert [status.state for status in client.list(state="cancelled")] == ["cancelled"]


def test_all_exports_are_listed_page_by_page(client: Client) -> None:
    made = [client.open(format="csv", columns=COLUMNS).id for _ in range(5)]
    assert [status.task_id for status in client.list(page=2)] == made[::-1]
    assert list(client.list(state="failed")) == []


def test_another_file_is_made_from_the_same_rows(client: Client, tmp_path: Path) -> None:
    export = client.send_table(ROWS[:2], columns=COLUMNS, format="xlsx", filename="a")
    export.wait()
    again = export.render(format="jsonl", filename="b", idempotency_key="again")
    assert export.render(format="jsonl", filename="b", idempotency_key="again").id == again.id
    again.wait()
    assert again.save_to(str(tmp_path / "b.jsonl")).filename == "b.jsonl"
    assert [json.loads(line)["id"] for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [0, 1]


def test_a_link_is_not_shown_by_accident(client: Client) -> None:
    export = client.send_table(ROWS[:2], columns=COLUMNS, format="csv")
    export.wait()
    link = export.link()
    assert link.url.startswith("http")
    assert link.url not in repr(link)


def test_without_a_file_there_is_neither_link_nor_download(client: Client, tmp_path: Path) -> None:
    export = client.open(format="csv", columns=COLUMNS)
    (tmp_path / "old.csv").write_text("precious")
    for call in (export.link, lambda: export.save_to(tmp_path / "old.csv")):
        with pytest.raises(SluiceApiError, match="NOT_READY") as caught:
            call()
        assert caught.value.retryable
    assert [export.cancel().state for _ in range(2)] == ["cancelled"] * 2
    with pytest.raises(SluiceApiError, match="CANCELLED"):
        export.save_to(tmp_path / "old.csv")
    with pytest.raises(SluiceApiError, match="CANCELLED") as caught:
        export.wait()
    assert caught.value.facts == {"task": export.id}
    assert (tmp_path / "old.csv").read_text() == "precious"


def test_cancelling_leaves_a_whole_file_alone_and_deleting_does_not(client: Client, tmp_path: Path) -> None:
    export = client.send_table(ROWS[:2], columns=COLUMNS, format="csv")
    export.wait()
    with pytest.raises(SluiceApiError, match="ALREADY_COMPLETED"):
        export.cancel()
    export.save_to(tmp_path / "rows.csv")
    for _ in range(2):
        export.delete()
    with pytest.raises(SluiceApiError, match="TASK_DELETED"):
        export.cancel()
    running = client.open(format="csv", columns=COLUMNS)
    running.delete()
    assert running.status().state == "cancelled"


def test_a_block_that_fails_once_the_file_is_there_leaves_it(client: Client, tmp_path: Path) -> None:
    export = client.send_table(ROWS[:2], columns=COLUMNS, format="csv")
    export.wait()
    with pytest.raises(KeyboardInterrupt), export.cancel_on_error():
        raise KeyboardInterrupt
    assert export.save_to(tmp_path / "rows.csv").state == "completed"


# The rest is what only a service that misbehaves shows.


def test_a_release_that_cannot_cancel_is_not_told_to_delete_instead() -> None:
    """It answers the call as it answers one for an export that is not there."""

    def of_old(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, json.dumps(TASK).encode())
        problem = {"code": "TASK_NOT_FOUND", "detail": "There is no such task for this credential."}
        return Answer(404, json.dumps(problem).encode())

    with scripted_server(of_old) as server:
        export = export_at(server.url)
        with pytest.raises(SluiceApiError, match=r"UNEXPECTED_ANSWER.*cannot cancel without deleting"):
            export.cancel()
        with pytest.raises(KeyboardInterrupt), export.cancel_on_error():
            raise KeyboardInterrupt
    assert [asked.method for asked in server.asked] == ["POST", "GET"] * 2


def test_cancelling_what_is_not_there_is_said_so() -> None:
    problem = {"code": "TASK_NOT_FOUND", "detail": "There is no such task for this credential."}
    answering = scripted_server(lambda _: Answer(404, json.dumps(problem).encode()))
    with answering as server, pytest.raises(SluiceApiError, match="TASK_NOT_FOUND"):
        export_at(server.url).cancel()
    assert [asked.method for asked in server.asked] == ["POST", "GET"]


FILE = b"0123456789"
TASK = {
    "task_id": "t",
    "state": "completed",
    "filename": "out.csv",
    "file_size_bytes": len(FILE),
    "checksum_sha256": hashlib.sha256(FILE).hexdigest(),
    "a_member_of_a_newer_service": 1,
}


def service(**answers: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """A service whose every call succeeds, but for ``put``, ``status``, ``bytes`` and ``close``."""

    def answer(asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        kind = {"/bytes": "bytes", "/v1/exports/t": "status", "/v1/exports/t/close": "close"}.get(path, "")
        if "/batches/" in path:
            kind = "put"
        if kind in answers:
            return answers[kind](asked)
        if kind == "put":
            return receipt(asked)
        if path.endswith("/file"):
            return Answer(200, b'{"url": "/bytes", "expires_at": "2099-01-01T00:00:00Z"}')
        return Answer(200, FILE) if kind == "bytes" else Answer(200, json.dumps(TASK).encode())

    return answer


def receipt(asked: Asked) -> Answer:
    sequence = int(asked.path.rpartition("/")[2])
    return Answer(200, json.dumps({"sequence": sequence, "rows": 1, "sha256": "", "replayed": False}).encode())


def export_at(url: str, clock: FakeClock | None = None) -> Export:
    return Client(url, clock=clock or FakeClock(), randomness=SeededRandomness()).export("t")


def test_several_batches_are_under_way_at_a_time() -> None:
    barrier = threading.Barrier(4)

    def put(asked: Asked) -> Answer:
        barrier.wait(timeout=30)
        return receipt(asked)

    with scripted_server(service(put=put)) as server:
        export_at(server.url).send([[[number]] for number in range(8)])
    closing = json.loads(server.asked[-1].body)
    assert closing == {"batches": 8, "rows": 8}


def test_no_more_batches_are_read_than_are_under_way() -> None:
    read: list[int] = []
    acknowledged: list[int] = []

    def batches() -> Iterator[list[list[int]]]:
        for number in range(20):
            read.append(len(acknowledged))
            yield [[number]]

    with scripted_server(service()) as server:
        export_at(server.url).send(batches(), in_flight=3, on_batch=lambda one: acknowledged.append(one.sequence))
    assert acknowledged == list(range(1, 21))
    assert all(number - done <= 3 for number, done in enumerate(read))


def test_a_batch_that_fails_for_a_moment_is_put_again_and_the_order_stays() -> None:
    tries: Counter[str] = Counter()
    clock, sequences = FakeClock(), list[int]()

    def put(asked: Asked) -> Answer:
        tries[asked.path] += 1
        return Answer(503, b"") if tries[asked.path] <= 2 else receipt(asked)

    with scripted_server(service(put=put)) as server:
        export_at(server.url, clock).send(
            [[[number]] for number in range(6)], on_batch=lambda one: sequences.append(one.sequence)
        )
    assert sequences == [1, 2, 3, 4, 5, 6]
    assert set(tries.values()) == {3}
    assert len(clock.slept) == 12


@pytest.mark.parametrize(("refusal", "is_waited_for"), [(b'{"code": "BATCH_CONFLICT"}', True), (b"a proxy", False)])
def test_what_is_under_way_is_answered_before_a_refusal_and_given_up_where_no_service_answers(
    refusal: bytes, *, is_waited_for: bool
) -> None:
    both_came, is_over = threading.Barrier(3), threading.Event()
    ended: list[bool] = []

    def put(asked: Asked) -> Answer:
        both_came.wait()
        if asked.path.endswith("/1"):
            return Answer(409, refusal)
        is_over.wait(0.3 if is_waited_for else None)
        ended.append(is_over.is_set())
        return Answer(503) if asked.path.endswith("/2") else receipt(asked)  # which is not put again

    with scripted_server(service(put=put)) as server:
        with pytest.raises(SluiceApiError):
            export_at(server.url).send([[[1]], [[2]], [[3]]])
        is_over.set()
    assert len(server.asked) == 3
    assert ended == [False, False] if is_waited_for else False not in ended


def test_waiting_ends_when_its_time_is_over() -> None:
    clock, seen = FakeClock(), list[Status]()
    composing = json.dumps({**TASK, "state": "composing"}).encode()
    with (
        scripted_server(service(status=lambda _: Answer(200, composing))) as server,
        pytest.raises(SluiceApiError, match="composing after 1 s; it goes on") as caught,
    ):
        export_at(server.url, clock).wait(1, on_progress=seen.append)
    assert (caught.value.code, caught.value.retryable) == ("NOT_READY", True)
    assert {status.state for status in seen} == {"composing"}
    assert all(float(asked.path.partition("wait=")[2]) <= 1 for asked in server.asked)


@pytest.mark.parametrize("error", [None, {"code": "INVALID_VALUE", "message": "bad", "who": "client"}])
def test_waiting_for_an_export_that_ended_without_a_file_says_why(error: dict[str, str] | None) -> None:
    task = json.dumps({**TASK, "state": "failed" if error else "expired", "error": error}).encode()
    with (
        scripted_server(service(status=lambda _: Answer(200, task))) as server,
        pytest.raises(SluiceApiError) as caught,
    ):
        export_at(server.url).wait()
    assert (caught.value.code, caught.value.status) == (error["code"] if error else "EXPIRED", None)


@pytest.mark.parametrize(
    ("second", "asked_for"),
    [
        (Answer(206, FILE[4:]), ["", "bytes=4-"]),
        (Answer(200, FILE), ["", "bytes=4-"]),
    ],
    ids=["from where it broke", "from the start"],
)
def test_a_download_that_breaks_off_goes_on(tmp_path: Path, second: Answer, asked_for: list[str]) -> None:
    answers = [Answer(200, FILE, sent_bytes=4), second]
    ranges: list[str] = []

    def deliver(asked: Asked) -> Answer:
        ranges.append(asked.headers.get("range", ""))
        return answers.pop(0)

    with scripted_server(service(bytes=deliver)) as server:
        counted: list[int] = []
        export_at(server.url).save_to(tmp_path / "out", on_bytes=counted.append)
    assert (tmp_path / "out").read_bytes() == FILE
    assert ranges == asked_for
    assert counted[-1] == len(FILE)


def test_a_download_that_breaks_off_behind_the_last_byte_is_whole(tmp_path: Path) -> None:
    answers = [Answer(200, FILE, {"content-length": "11"}), Answer(416, b'{"code": "INVALID_REQUEST"}')]
    with scripted_server(service(bytes=lambda _: answers.pop(0))) as server:
        export_at(server.url).save_to(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == FILE


def test_a_download_with_the_wrong_bytes_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    with (
        scripted_server(service(bytes=lambda _: Answer(200, b"0123456780"))) as server,
        pytest.raises(SluiceApiError, match="RESULT_VERIFY_FAILED"),
    ):
        export_at(server.url).save_to(tmp_path / "out")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out", b"old")]


def test_a_full_disk_is_not_the_servers_fault(tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with scripted_server(service()) as server, pytest.raises(OSError, match="No space left"):
        export_at(server.url).save_to(tmp_path / "out", on_bytes=full)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_without_what_is_needed_is_not_one_of_the_service() -> None:
    with (
        scripted_server(service(put=lambda _: Answer(200, b"{}"))) as server,
        pytest.raises(SluiceApiError, match="UNEXPECTED_ANSWER"),
    ):
        export_at(server.url).put(1, [[1]])


class Cursor:
    """As psycopg 3.1 has it: no iterator, and yet it goes on where it was."""

    def __init__(self, rows: list[list[object]]) -> None:
        self._left = iter(rows)

    def fetchone(self) -> list[object] | None:
        return next(self._left, None)

    def __iter__(self) -> Iterator[list[object]]:
        return self._left


def test_rows_that_a_call_which_failed_has_read_are_no_table(client: Client) -> None:
    """As a loop that tries again with the same cursor: it would go on where it stopped."""
    bad: list[list[object]] = [[1, "a"], [2, float("nan")], [3, "c"]]
    for source in (iter(bad), Cursor(bad), (row for row in bad), zip([1, 2, 3], ["a", float("nan"), "c"], strict=True)):
        with pytest.raises(SluiceApiError, match="INVALID_VALUE"):
            client.send_table(source, columns=COLUMNS, format="csv")
        for key in (None, "k"):
            with pytest.raises(ValueError, match="read before"):
                client.send_table(source, columns=COLUMNS, format="csv", idempotency_key=key)
        with pytest.raises(ValueError, match="read before"):
            client.send_sheets({"A": (source, COLUMNS)})


def test_batches_and_rows_of_a_call_which_failed_are_refused_by_the_same_call_again(client: Client) -> None:
    bad: list[list[object]] = [[1, "a"], [2, float("nan")], [3, "c"]]

    def again(call: Callable[[], object]) -> None:
        with pytest.raises(SluiceApiError, match="INVALID_VALUE"):
            call()
        with pytest.raises(ValueError, match="read before"):
            call()

    one, book = client.open(format="csv", columns=COLUMNS), client.open(format="xlsx", sheets={"A": COLUMNS})
    batches, sheets, rows, single = cut(row for row in bad), ([row] for row in bad), iter(bad), (row for row in bad)
    again(lambda: one.send(batches))
    again(lambda: book.send_sheets({"A": sheets}))
    again(lambda: one.send(cut(rows)))
    again(lambda: one.put(1, single))
    assert one.status().batches == 0
    stored = (row for row in ROWS[:2])
    assert one.put(1, stored).rows == 2
    with pytest.raises(ValueError, match="read before"):
        one.put(1, stored)


def test_a_cursor_that_was_read_to_its_end_may_be_executed_again(client: Client) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        cursor = database.cursor()
        for count in (2, 3):
            cursor.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, 'x' FROM n",
                (count,),
            )
            assert client.send_table(cursor, columns=COLUMNS, format="csv").wait().rows_written == count
    spent = (row for row in ROWS[:2])
    client.send_table(spent, columns=COLUMNS, format="csv")
    with pytest.raises(ValueError, match="read before"):
        client.send_table(spent, columns=COLUMNS, format="csv")


def test_rows_that_were_read_to_their_end_are_no_empty_table(client: Client) -> None:
    """As a program that makes a second file of what it made the first of."""
    sources: list[Iterable[Row]] = [map(list, ROWS[:2]), csv.reader(["1,a", "2,b"]), iter(ROWS[:2]), Cursor(ROWS[:2])]
    with closing(sqlite3.connect(":memory:")) as database:
        sources.append(database.execute("SELECT 1, 'a' UNION SELECT 2, 'b'"))
        for source in sources:
            assert client.send_table(source, columns=COLUMNS, format="csv").wait().rows_written == 2
            for name in ("table", "table", "sheets"):
                with pytest.raises(ValueError, match="read before"):
                    send_again(client, source, name)
    newest = next(client.list())
    assert newest.state == "cancelled"
    empty: Iterator[Row] = iter([])
    for _ in range(2):
        assert client.send_table(empty, columns=COLUMNS, format="csv").wait().rows_written == 0


def send_again(client: Client, source: Iterable[Row], name: str) -> None:
    if name == "table":
        client.send_table(source, columns=COLUMNS, format="csv")
    else:
        client.send_sheets({"A": (source, COLUMNS)})


def test_batches_and_rows_of_one_that_were_read_to_their_end_are_none_again(client: Client) -> None:
    one, other = client.open(format="csv", columns=COLUMNS), client.open(format="csv", columns=COLUMNS)
    batches, rows = iter([ROWS[:2], ROWS[2:4]]), iter(ROWS[:2])
    one.send(batches)
    assert other.put(1, rows).rows == 2
    for call in (partial(other.send, batches), partial(other.put, 2, rows), partial(other.send, cut(rows))):
        with pytest.raises(ValueError, match="read before"):
            call()
    assert other.status().batches == 1


def test_a_run_that_stopped_is_given_up_and_one_that_is_closed_or_sent_stays(relay: HttpRelay) -> None:
    class Moving(FakeClock):
        """While one waits, another run sends a batch."""

        def sleep(self, seconds: float) -> None:
            running.put(running.status().batches + 1, ROWS[:1])
            super().sleep(seconds)

    def send(client: Client, key: str) -> Export:
        return client.send_table(iter(ROWS[:3]), columns=COLUMNS, format="csv", idempotency_key=key, restart="stopped")

    def connect(clock: FakeClock) -> Client:
        return Client(relay.url, relay.memory.token(), clock=clock, randomness=SeededRandomness(1))

    with connect(FakeClock()) as client, connect(Moving()) as beside:
        stopped = client.open(format="csv", columns=COLUMNS, idempotency_key="k")
        stopped.put(1, ROWS[:2])
        anew = send(client, "k")
        assert anew.id != stopped.id
        assert stopped.status().state == "cancelled"
        assert send(client, "k").id == anew.id, "it is closed"
        assert anew.wait().rows_written == 3
        running = client.open(format="csv", columns=COLUMNS, idempotency_key="other")
        running.put(1, ROWS[:1])
        with pytest.raises(SluiceApiError, match="NOT_READY: Another run"):
            send(beside, "other")
        assert running.status().state == "open"
