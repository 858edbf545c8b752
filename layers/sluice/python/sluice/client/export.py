"""One export of the service: batches go in, a file comes out."""

from __future__ import annotations

import gzip
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from sluice.client.answers import Answer
from sluice.client.calls import Calls, is_refusal
from sluice.client.connections import Request
from sluice.client.errors import UNEXPECTED_ANSWER, SluiceApiError
from sluice.client.rows import READ_ONCE, Row, encode_rows
from sluice.client.status import Receipt, Status
from sluice.client.watched import WatchedExport

IN_FLIGHT = 4
_GZIP_BYTES_MIN = 1_024


class Export(WatchedExport):
    """An export by its id. Thread-safe; every call may be repeated."""

    def __init__(
        self,
        calls: Calls,
        task_id: str,
        *,
        compress: bool,
        columns: Mapping[str, Sequence[str]] | None = None,
        watch_url: str | None = None,
        opened_as: str | None = None,
    ) -> None:
        super().__init__(calls, task_id, f"/v1/exports/{quote(task_id, safe='')}")
        self.opened_as = opened_as
        """The state that the open found: an earlier run under its key may have closed it. None unless opened here."""
        self.watch_url = watch_url
        """For the browser of who asked: shows this export and its file without the API key. None unless it was opened
        here, and where the service offers none."""
        self._columns = columns or {}
        """Names of the columns by sheet, for errors; of the one table by the empty text."""
        self._compress = compress

    def put(self, sequence: int, rows: Iterable[Row], *, sheet: str | None = None) -> Receipt:
        """Store a batch; ``sequence`` counts from 1, in any order. Errors name the row of the batch.

        Raise ``ValueError`` for an iterator that an earlier call began to read: what is left is another batch.
        """
        with READ_ONCE.reading(rows, rows) as once:
            request = self._batch(sequence, once if isinstance(once, Sequence) else list(once), sheet)
            return Receipt.of(self._calls.repeat(lambda: self._calls.attempt(request)))

    def close(
        self, *, batches: int | None = None, rows: int | None = None, sheets: Mapping[str, int] | None = None
    ) -> Status:
        """Fix the rows and have the file written. Totals that are given are checked, ``sheets`` by name."""
        totals = {"batches": batches, "rows": rows, "sheets": sheets}
        body = {name: total for name, total in totals.items() if total is not None}
        return Status.of(self._calls.json("POST", f"{self._path}/close", body))

    def send(
        self,
        batches: Iterable[Sequence[Row]],
        *,
        in_flight: int = IN_FLIGHT,
        on_batch: Callable[[Receipt], object] = lambda _: None,
    ) -> Status:
        """Put all batches of a table, numbered from 1, some at a time, and close with the totals counted.

        Errors name the row of the table. ``on_batch`` is called in the order of the batches. Raise ``ValueError`` for
        an iterator of batches that an earlier call began to read: it goes on behind those.
        """
        return self._send({None: batches}, in_flight, on_batch)

    def send_sheets(
        self,
        sheets: Mapping[str, Iterable[Sequence[Row]]],
        *,
        in_flight: int = IN_FLIGHT,
        on_batch: Callable[[Receipt], object] = lambda _: None,
    ) -> Status:
        """As ``send``, for the batches of each sheet by its name, one sheet after the other."""
        return self._send(sheets, in_flight, on_batch)

    def render(
        self,
        *,
        format: str | None = None,  # noqa: A002 - the API's name
        filename: str | None = None,
        options: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> Export:
        """Have another file made from the same rows; ``options`` replace all of this export."""
        changes = {"format": format, "filename": filename, "options": options}
        body = {name: value for name, value in changes.items() if value is not None}
        headers = self._calls.key_header(idempotency_key)
        answer = self._calls.json("POST", f"{self._path}/render", body, headers=headers)
        return Export(self._calls, answer.text("task_id"), compress=self._compress)

    def cancel(self) -> Status:
        """Stop an export that has not ended: from the return on it never gets a file. Nothing is ever deleted.

        Repeatable. Raises ALREADY_COMPLETED for one that has its file, TASK_CLOSED for one that failed, EXPIRED, and
        UNEXPECTED_ANSWER where the service is of a release without this call.
        """
        return self._cancel()

    def delete(self) -> None:
        """Delete an export that has ended, with its file; cancel one that has not. Repeatable."""
        self._calls.json("DELETE", self._path)

    @contextmanager
    def cancel_on_error(self) -> Iterator[Export]:
        """Cancel the export when the block fails, unless it has its file by then.

        If that fails too, the export expires by itself.
        """
        try:
            yield self
        except BaseException:
            with suppress(SluiceApiError):
                self._cancel(retry_for_s=0)
            raise

    def _cancel(self, *, retry_for_s: float | None = None) -> Status:
        try:
            return Status.of(self._calls.json("POST", f"{self._path}/cancel", retry_for_s=retry_for_s))
        except SluiceApiError as error:
            if error.code != "TASK_NOT_FOUND":
                raise
        # Services before this call answer the same. DELETE in its place would take a file that is there by now.
        self._calls.json("GET", self._path, retry_for_s=retry_for_s)  # raises it where there is no such export
        detail = (
            "the service has the export, but is of a release that cannot cancel without deleting; nothing was done. "
            "Deleting stops an export that is running, and removes one that has ended with its file"
        )
        raise SluiceApiError(UNEXPECTED_ANSWER, detail)

    def _send(
        self,
        sheets: Mapping[str, Iterable[Sequence[Row]]] | Mapping[None, Iterable[Sequence[Row]]],
        in_flight: int,
        on_batch: Callable[[Receipt], object],
    ) -> Status:
        sequence = 0
        totals = dict.fromkeys(sheets, 0)
        with ExitStack() as reading, self._window(in_flight, on_batch) as put:
            given = [
                (sheet, reading.enter_context(READ_ONCE.reading(batches, batches))) for sheet, batches in sheets.items()
            ]
            of_all_sheets = ((sheet, batch) for sheet, batches in given for batch in batches)
            for sequence, (sheet, batch) in enumerate(of_all_sheets, start=1):
                place = _Place(sequence, totals[sheet], sheet)
                with place.in_errors():
                    request = self._batch(sequence, batch, sheet)
                put(request, place)
                totals[sheet] += len(batch)
        named = {sheet: rows for sheet, rows in totals.items() if sheet is not None}
        return self.close(batches=sequence, rows=sum(totals.values()), sheets=named or None)

    def _batch(self, sequence: int, rows: Sequence[Row], sheet: str | None) -> Request:
        body = encode_rows(rows, self._columns.get(sheet or "", ()))
        headers = {}
        if self._compress and len(body) >= _GZIP_BYTES_MIN:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        headers["X-Content-SHA256"] = hashlib.sha256(body).hexdigest()
        query = "" if sheet is None else f"?sheet={quote(sheet, safe='')}"
        return self._calls.request("PUT", f"{self._path}/batches/{sequence}{query}", body, headers)

    @contextmanager
    def _window(
        self, in_flight: int, on_batch: Callable[[Receipt], object]
    ) -> Iterator[Callable[[Request, _Place], None]]:
        """Put batches from threads of its own, at most ``in_flight`` at a time.

        Only first tries are made there: pauses and repeats are the caller's,
        so that the oldest batch is settled first and Ctrl-C ends a pause.

        Where the service refuses one, those on their way are answered before
        that is raised: who looks on next would take them for another run's.
        """
        waiting: deque[tuple[Request, _Place, Future[Answer]]] = deque()

        def settle() -> None:
            request, place, first = waiting.popleft()
            tries = [first.result]
            try:
                with place.in_errors():
                    answer = self._calls.repeat(lambda: tries.pop()() if tries else self._calls.attempt(request))
            except SluiceApiError as error:
                if is_refusal(error):
                    wait([one for *_, one in waiting])
                raise
            on_batch(Receipt.of(answer))

        connections = self._calls.new_connections()
        pool = ThreadPoolExecutor(in_flight, thread_name_prefix="sluice-client")
        try:

            def put(request: Request, place: _Place) -> None:
                if len(waiting) == in_flight:
                    settle()
                first = pool.submit(self._calls.attempt, request, connections=connections)
                waiting.append((request, place, first))

            yield put
            while waiting:
                settle()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            connections.close()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a batch is in what is sent."""

    sequence: int
    rows_before: int
    """Of the same sheet."""
    sheet: str | None

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Count the row of an error from the start of the table; name the batch where an error has no row."""
        try:
            yield
        except SluiceApiError as error:
            row = error.facts.get("row")
            if isinstance(row, int):
                error.facts |= {"row": row + self.rows_before, "batch": self.sequence, "batch_row": row}
            elif error.status is not None:
                error.facts.setdefault("batch", self.sequence)
            if self.sheet is not None:
                error.facts.setdefault("sheet", self.sheet)
            raise
