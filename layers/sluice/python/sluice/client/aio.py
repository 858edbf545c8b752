"""The client for programs of asyncio: the same calls, awaited.

Each runs in a thread of the client's own, so that the loop goes on; the standard library has no HTTP of asyncio's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from sluice.client.client import Client
from sluice.client.datasets import Dataset, DatasetExport, Datasets, Preview
from sluice.client.export import Export
from sluice.client.frames import Frame
from sluice.client.rows import READ_ONCE, Columns, Row
from sluice.client.status import Link, Receipt, Status
from sluice.client.watched import WatchedExport
from sluice.domain.secret import Secret

P = ParamSpec("P")
T = TypeVar("T")

CALLS_MAX = 32
"""Calls of one client that are under way at a time; further ones wait for their turn. As many tables beside them."""
_ROWS_AT_ONCE = 1_000
"""Rows that are taken from an asynchronous source in one step between the loop and the thread."""


class AsyncClient:
    """``Client`` for one event loop: takes what it takes. Close it, or use it in an ``async with`` block."""

    def __init__(self, url: str, token: str = "", **settings: Any) -> None:
        """Raise ``ValueError`` for an address or a key that cannot be one."""
        secret = Secret(token)
        del token  # as in ``Client``
        self._client = Client(url, secret.reveal(), **settings)
        self._threads = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="sluice-client")
        self._tables = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="sluice-client")

    def __repr__(self) -> str:
        return f"Async{self._client!r}" if "_client" in vars(self) else "AsyncClient()"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls that are under way end first."""
        await asyncio.to_thread(self._tables.shutdown)
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    async def open(self, **described: Any) -> AsyncExport:
        """As ``Client.open``."""
        return AsyncExport(self, await self.run(partial(self._client.open, **described)))

    async def send_table(
        self, rows: AsyncIterable[Row] | Iterable[Row] | Frame, *, columns: Columns | None = None, **how: Any
    ) -> AsyncExport:
        """As ``Client.send_table``; ``rows`` may be asynchronous.

        Where the call is cancelled, sending ends behind the batches that are
        under way, and the export is cancelled unless it has a key.
        """
        with _Stop(how) as stop, stop.reading(rows) as given:
            call = partial(self._client.send_table, given, columns=columns, **stop.how)
            return AsyncExport(self, await self._send(call))

    async def send_sheets(self, sheets: Mapping[str, Frame | tuple[Iterable[Row], Columns]], **how: Any) -> AsyncExport:
        """As ``Client.send_sheets``, and as ``send_table`` where it is cancelled."""
        with _Stop(how) as stop:
            return AsyncExport(self, await self._send(partial(self._client.send_sheets, sheets, **stop.how)))

    def export(self, task_id: str) -> AsyncExport:
        """An export by its id; nothing is sent."""
        return AsyncExport(self, self._client.export(task_id))

    def datasets(self, user: str | None = None, **known: Any) -> AsyncDatasets:
        """As ``Client.datasets``."""
        return AsyncDatasets(self, self._client.datasets(user, **known))

    async def list(self, **wanted: Any) -> AsyncIterator[Status]:
        """As ``Client.list``."""
        found = self._client.list(**wanted)
        while (status := await self.run(partial(next, found, None))) is not None:
            yield status

    async def run(self, call: Callable[[], T]) -> T:
        """Do ``call`` in a thread of this client."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _send(self, call: Callable[[], Export]) -> Export:
        """Beside the other calls, which its rows may wait for."""
        return await asyncio.get_running_loop().run_in_executor(self._tables, call)


class AsyncWatchedExport:
    """What looks at an export and fetches its file, awaited."""

    def __init__(self, client: AsyncClient, export: WatchedExport) -> None:
        self.id = export.id
        self._client = client
        self._watched = export

    def __repr__(self) -> str:
        return f"Async{self._watched!r}"

    async def status(self) -> Status:
        return await self._run(self._watched.status)

    async def wait(self, timeout_s: float | None = None, **how: Any) -> Status:
        """As ``Export.wait``. A call that is cancelled asks no further question."""
        with _Stop({}) as stop:
            how["on_progress"] = stop.before(_in_loop(how).get("on_progress"))
            return await self._run(self._watched.wait, timeout_s, **how)

    async def link(self) -> Link:
        return await self._run(self._watched.link)

    async def save_to(self, path: str | Path, **how: Any) -> Status:
        return await self._run(self._watched.save_to, path, **_in_loop(how))

    async def _run(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return await self._client.run(partial(call, *arguments, **named))


class AsyncDatasetExport(AsyncWatchedExport):
    """``DatasetExport``, awaited."""

    def __init__(self, client: AsyncClient, export: DatasetExport) -> None:
        super().__init__(client, export)
        self.watch_url = export.watch_url
        self.opened_as = export.opened_as


class AsyncDatasets:
    """``Datasets``, awaited."""

    def __init__(self, client: AsyncClient, datasets: Datasets) -> None:
        self._client = client
        self._datasets = datasets

    def __repr__(self) -> str:
        return f"Async{self._datasets!r}"

    async def list(self) -> Sequence[Dataset]:
        return await self._client.run(self._datasets.list)

    async def show(self, name: str) -> Dataset:
        return await self._client.run(partial(self._datasets.show, name))

    async def preview(self, name: str, **asked: Any) -> Preview:
        return await self._client.run(partial(self._datasets.preview, name, **asked))

    async def export(self, name: str, **asked: Any) -> AsyncDatasetExport:
        return AsyncDatasetExport(self._client, await self._client.run(partial(self._datasets.export, name, **asked)))

    async def exports(self, name: str) -> Sequence[AsyncDatasetExport]:
        found = await self._client.run(partial(self._datasets.exports, name))
        return [AsyncDatasetExport(self._client, one) for one in found]


class AsyncExport(AsyncWatchedExport):
    """``Export``, awaited."""

    def __init__(self, client: AsyncClient, export: Export) -> None:
        super().__init__(client, export)
        self.watch_url = export.watch_url
        self.opened_as = export.opened_as
        self._export = export

    async def put(self, sequence: int, rows: Iterable[Row], *, sheet: str | None = None) -> Receipt:
        """As ``Export.put``."""
        with READ_ONCE.reading(rows, rows) as once:
            return await self._run(self._export.put, sequence, list(once), sheet=sheet)

    async def close(self, **totals: Any) -> Status:
        return await self._run(self._export.close, **totals)

    async def render(self, **changes: Any) -> AsyncExport:
        return AsyncExport(self._client, await self._run(self._export.render, **changes))

    async def cancel(self) -> Status:
        return await self._run(self._export.cancel)

    async def delete(self) -> None:
        await self._run(self._export.delete)


class _Stop:
    """Ends what a thread sends once the caller has gone, also where it waits for a row of the loop."""

    def __init__(self, how: Mapping[str, Any]) -> None:
        self.how = _in_loop(how)
        self.how["on_batch"] = self.before(self.how.get("on_batch"))
        self._over = threading.Event()
        self._reading: Future[list[Row]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._reading is not None:
            self._reading.cancel()

    def reading(self, rows: AsyncIterable[Row] | Iterable[Row] | Frame) -> AbstractContextManager[Any]:
        """Rows for the thread that sends them. Asynchronous ones are read once, as the thread sees to for others."""
        if isinstance(rows, AsyncIterable):
            return READ_ONCE.reading(rows, self._rows_of(rows))
        return nullcontext(rows)

    def _rows_of(self, source: AsyncIterable[Row]) -> Iterator[Row]:
        """The rows of an asynchronous source for the thread that sends them; they are made in the loop."""
        loop, rows = asyncio.get_running_loop(), aiter(source)

        async def some() -> list[Row]:
            found: list[Row] = []
            async for row in rows:
                found.append(row)
                if len(found) == _ROWS_AT_ONCE:
                    break
            return found

        def read() -> Iterator[Row]:
            while not self._over.is_set():
                self._reading = asyncio.run_coroutine_threadsafe(some(), loop)
                if self._over.is_set():  # it was not there to be cancelled
                    self._reading.cancel()
                found = self._reading.result()
                if not found:
                    return
                yield from found
            raise CancelledError

        return read()

    def before(self, callback: Callable[[Any], object] | None) -> Callable[[Any], None]:
        """The callback of a thread, which ends the thread's call once the caller has gone."""

        def called(what: Any) -> None:
            if self._over.is_set():
                raise CancelledError
            if callback is not None:
                callback(what)

        return called


def _in_loop(how: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments whose callbacks, made from a thread, run in the loop."""
    loop = asyncio.get_running_loop()
    return {
        name: partial(loop.call_soon_threadsafe, given) if name.startswith("on_") else given
        for name, given in how.items()
    }
