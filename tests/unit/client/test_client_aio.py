"""The client for asyncio: sources of the loop, many calls at a time, and what is left when a call is cancelled."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sluice.client import Receipt, Row, SluiceApiError, Status
from sluice.client.aio import CALLS_MAX, AsyncClient
from sluice.client.progress import ProgressLine
from tests.support.http_client import HttpRelay, http_relay

COLUMNS = {"id": "number", "name": "string"}


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[HttpRelay]:
    with http_relay(tmp_path / "service") as running:
        yield running


def connect(relay: HttpRelay) -> AsyncClient:
    return AsyncClient(relay.url, relay.memory.token())


async def numbered(count: int) -> AsyncIterator[Row]:
    for number in range(1, count + 1):
        if number % 700 == 0:
            await asyncio.sleep(0)
        yield [number, f"name {number}"]


@pytest.mark.parametrize("count", [0, 1, 1_000, 12_345])
def test_rows_of_the_loop_are_the_rows_of_the_file(relay: HttpRelay, tmp_path: Path, count: int) -> None:
    stored: list[tuple[int, threading.Thread]] = []

    async def main() -> Status:
        async with connect(relay) as sluice:
            export = await sluice.send_table(
                numbered(count),
                format="csv",
                columns=COLUMNS,
                on_batch=lambda receipt: stored.append((receipt.rows, threading.current_thread())),
            )
            done = await export.wait()
            assert await export.save_to(tmp_path / "rows.csv") == done
            return done

    assert asyncio.run(main()).rows_written == count
    expected = "".join(f"{number},name {number}\r\n" for number in range(1, count + 1))
    assert (tmp_path / "rows.csv").read_bytes().decode("utf-8-sig") == "id,name\r\n" + expected
    assert sum(rows for rows, _ in stored) == count
    assert {thread for _, thread in stored} <= {threading.main_thread()}


def test_what_the_source_raises_is_raised_and_the_export_cancelled(relay: HttpRelay) -> None:
    async def broken() -> AsyncIterator[Row]:
        async for row in numbered(2_500):
            yield row
        raise LookupError("the database is gone")

    async def main() -> list[str]:
        async with connect(relay) as sluice:
            with pytest.raises(LookupError, match="the database is gone"):
                await sluice.send_table(broken(), format="csv", columns=COLUMNS)
            return [status.state async for status in sluice.list()]

    assert asyncio.run(main()) == ["cancelled"]


@pytest.mark.parametrize("kind", ["of the loop", "of a list"])
def test_a_call_that_is_cancelled_ends_what_it_sends(relay: HttpRelay, kind: str) -> None:
    read = 0

    def endless() -> Iterator[Row]:
        nonlocal read
        while True:
            read += 1
            yield [read, "x"]

    async def endless_in_the_loop() -> AsyncIterator[Row]:
        for row in endless():
            yield row

    async def main() -> tuple[list[str], int]:
        async with connect(relay) as sluice:
            begun = asyncio.Event()
            rows = endless() if kind == "of a list" else endless_in_the_loop()
            sending = asyncio.create_task(
                sluice.send_table(rows, format="csv", columns=COLUMNS, on_batch=lambda _: begun.set())
            )
            await begun.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
        async with connect(relay) as sluice:  # the first is closed: its threads have ended
            return [status.state async for status in sluice.list()], read

    states, read_then = asyncio.run(main())
    assert states == ["cancelled"]
    assert read == read_then


def test_a_call_that_is_cancelled_while_no_row_comes_ends(relay: HttpRelay) -> None:
    ended: list[str] = []
    silent_now = asyncio.Event()

    async def silent() -> AsyncIterator[Row]:
        try:
            yield [1, "x"]
            silent_now.set()
            await asyncio.Event().wait()
        finally:
            ended.append("the source")

    async def main() -> list[str]:
        async with connect(relay) as sluice:
            sending = asyncio.create_task(sluice.send_table(silent(), format="csv", columns=COLUMNS))
            await silent_now.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
        async with connect(relay) as sluice:  # the first is closed: its threads have ended
            return [status.state async for status in sluice.list()]

    assert asyncio.run(asyncio.wait_for(main(), 60)) == ["cancelled"]
    assert ended == ["the source"]


def test_waiting_that_is_cancelled_asks_no_further(relay: HttpRelay) -> None:
    async def main() -> None:
        async with connect(relay) as sluice:
            export = await sluice.open(format="csv", columns=COLUMNS)
            seen = asyncio.Event()
            waiting = asyncio.create_task(export.wait(poll_s=0.05, on_progress=lambda _: seen.set()))
            await seen.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(asyncio.wait_for(main(), 60))


def test_steps_sheets_and_errors_are_those_of_the_client(relay: HttpRelay) -> None:
    async def main() -> None:
        async with connect(relay) as sluice:
            export = await sluice.open(format="csv", columns=COLUMNS, idempotency_key="k")
            assert (await sluice.open(format="csv", columns=COLUMNS, idempotency_key="k")).id == export.id
            receipts = await asyncio.gather(*(export.put(number, [[number, "x"]]) for number in range(1, 41)))
            assert [receipt.sequence for receipt in receipts] == list(range(1, 41))
            assert (await export.close(batches=40, rows=40)).rows_received == 40
            states: list[str] = []
            assert (await export.wait(on_progress=lambda status: states.append(status.state))).state == "completed"
            await asyncio.sleep(0)
            assert states[-1] == "completed"
            other = await export.render(format="xlsx")
            assert (await other.wait()).format == "xlsx"
            assert (await other.link()).url
            book = await sluice.send_sheets({"A": ([[1]], ["a"]), "B": ([[2], [3]], ["b"])})
            assert (await book.wait()).sheets == {"A": 1, "B": 2}
            await book.delete()
            with pytest.raises(SluiceApiError, match="TASK_DELETED"):
                await sluice.export(book.id).status()
            with pytest.raises(SluiceApiError, match="ALREADY_COMPLETED"):
                await export.cancel()

    asyncio.run(main())


def test_a_batch_of_rows_that_a_call_which_failed_has_read_is_no_empty_batch(relay: HttpRelay) -> None:
    async def main() -> None:
        async with connect(relay) as sluice:
            export = await sluice.open(format="csv", columns=COLUMNS)
            rows = ([number, "x" if number < 3 else float("nan")] for number in range(1, 4))
            with pytest.raises(SluiceApiError, match="INVALID_VALUE"):
                await export.put(1, rows)
            with pytest.raises(ValueError, match="read before"):
                await export.put(1, rows)
            assert (await export.status()).batches == 0

    asyncio.run(main())


@pytest.mark.slow
def test_rows_may_ask_the_client_that_sends_them_however_many_tables_are_sent(relay: HttpRelay) -> None:
    async def main() -> None:
        async with connect(relay) as sluice:
            other = await sluice.open(format="csv", columns=COLUMNS)

            async def rows() -> AsyncIterator[Row]:
                yield [1, (await other.status()).state]

            sends = [sluice.send_table(rows(), format="csv", columns=COLUMNS) for _ in range(CALLS_MAX + 8)]
            assert len(await asyncio.gather(*sends)) == CALLS_MAX + 8

    asyncio.run(asyncio.wait_for(main(), 100))


def test_sheets_of_asynchronous_rows_are_refused_before_anything_is_opened(relay: HttpRelay) -> None:
    async def main() -> None:
        async with connect(relay) as sluice:
            with pytest.raises(ValueError, match="asynchronous"):
                await sluice.send_sheets({"A": (numbered(1), COLUMNS)})
            assert [one async for one in sluice.list()] == []

    asyncio.run(main())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rows_of_the_loop_that_were_read_to_their_end_are_no_empty_table(relay: HttpRelay) -> None:
    class Cursor:
        """As those of asyncpg and aiosqlite: no generator."""

        def __init__(self) -> None:
            self._left = iter([[1, "a"], [2, "b"]])

        def __aiter__(self) -> AsyncIterator[Row]:
            return self

        async def __anext__(self) -> Row:
            for row in self._left:
                return row
            raise StopAsyncIteration

    async def main() -> None:
        async with connect(relay) as sluice:
            cursor, rows = Cursor(), iter([[1, "a"]])
            assert (await (await sluice.send_table(cursor, format="csv", columns=COLUMNS)).wait()).rows_written == 2
            export = await sluice.open(format="csv", columns=COLUMNS)
            assert (await export.put(1, rows)).rows == 1
            with pytest.raises(ValueError, match="there are none left"):
                await sluice.send_table(cursor, format="xlsx", columns=COLUMNS)
            with pytest.raises(ValueError, match="there are none left"):
                await export.put(2, rows)

    asyncio.run(main())


def test_a_progress_line_is_for_terminals_and_shows_no_control_characters() -> None:
    shown, piped = Terminal(), io.StringIO()
    for line in (ProgressLine(shown), ProgressLine(piped)):
        line(Receipt(1, 1_000, "", replayed=False))
        line(Receipt(2, 500, "", replayed=True))
        line(Status(task_id="t", state="comp\x1b[2Josing", progress_percent=80.4))
        line(Status(task_id="t", state="completed", rows_written=1_500))
    assert shown.getvalue().split("\r\x1b[K") == [
        "",
        "1,000 rows sent",
        "1,500 rows sent",
        "comp[2Josing, 80 %",
        "completed, 1,500 rows\n",
    ]
    assert piped.getvalue() == ""
