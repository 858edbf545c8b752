"""A client of the service: small, synchronous, nothing but the standard library."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import urlencode, urlsplit

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.client.calls import RETRY_FOR_S, Calls
from sluice.client.connections import TIMEOUTS, Timeouts
from sluice.client.datasets import Datasets, user_headers
from sluice.client.errors import SluiceApiError
from sluice.client.export import IN_FLIGHT, Export
from sluice.client.frames import Frame, Table
from sluice.client.rows import Columns, Row, encode_columns
from sluice.client.status import ENDED, Receipt, Status
from sluice.domain.secret import Secret
from sluice.ports.clock import Clock, Randomness

Restart: TypeAlias = Literal[True, False, "stopped"]
QUIET_S = 5.0
"""A run whose batches do not grow for so long has stopped."""
_OVER = ENDED - {"completed"}
_OVER_CODES = {"EXPIRED", "TASK_CLOSED", "TASK_DELETED"}
"""What a cancel answers for an export that is over without a file."""
_SUCCESSORS_MAX = 50
"""Exports of one key, one after the other."""
_OWN_KEYS = "sluice:"
"""What the keys begin with under which a key of the caller's goes on; no caller's key begins so."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Client:
    """One service, reached with one API key. Thread-safe; close it, or use it in a ``with`` block.

    Calls are repeated for up to ``retry_for_s`` while the network or the
    service fails for a moment; ``on_retry`` is called with the reason before
    each pause. Batches are packed with gzip except on this machine. The key
    goes to the server of ``url`` only.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeouts: Timeouts = TIMEOUTS,
        retry_for_s: float = RETRY_FOR_S,
        compress: bool | None = None,
        tls: ssl.SSLContext | None = None,
        on_retry: Callable[[str], object] = lambda _: None,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        """Raise ``ValueError`` for an address or a key that cannot be one."""
        secret = Secret(token)
        del token  # a trace with local variables shows what is one
        self._calls = Calls(
            url,
            secret,
            timeouts=timeouts,
            tls=tls,
            clock=clock or SystemClock(),
            randomness=randomness or SystemRandomness(),
            retry_for_s=retry_for_s,
            on_retry=on_retry,
        )
        self._compress = urlsplit(url).hostname not in _LOOPBACK if compress is None else compress

    def __repr__(self) -> str:
        is_made = "_calls" in vars(self)  # a trace shows one that is not, too
        return f"Client({self._calls.url!r})" if is_made else "Client()"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def open(
        self,
        *,
        format: str,  # noqa: A002 - the API's name
        columns: Columns = (),
        sheets: Mapping[str, Columns] | None = None,
        filename: str = "",
        options: Mapping[str, object] | None = None,
        expected_rows: int | None = None,
        idempotency_key: str | None = None,
    ) -> Export:
        """Open an export of one table of ``columns``, or of several ``sheets`` by name.

        The same key opens the same export, so that a program that crashed goes on under it.
        """
        body: dict[str, Any] = {"format": format, "filename": filename, "options": dict(options or {})}
        declared = {name: encode_columns(given) for name, given in (sheets or {"": columns}).items()}
        if sheets:
            body["sheets"] = [{"name": name, "columns": encoded} for name, encoded in declared.items()]
        else:
            body["columns"] = declared[""]
        if expected_rows is not None:
            body["expected_rows"] = expected_rows
        answer = self._calls.json("POST", "/v1/exports", body, headers=self._calls.key_header(idempotency_key))
        names = {sheet: [str(column.get("name")) for column in encoded] for sheet, encoded in declared.items()}
        return Export(
            self._calls,
            answer.text("task_id"),
            compress=self._compress,
            columns=names,
            watch_url=answer.read("watch_url", str | None) if "watch_url" in answer else None,
            opened_as=Status.of(answer).state,
        )

    def send_table(
        self,
        rows: Iterable[Row] | Frame,
        *,
        format: str,  # noqa: A002 - the API's name
        columns: Columns | None = None,
        filename: str = "",
        options: Mapping[str, object] | None = None,
        expected_rows: int | None = None,
        idempotency_key: str | None = None,
        restart: Restart = False,
        on_open: Callable[[Export], object] = lambda _: None,
        in_flight: int = IN_FLIGHT,
        on_batch: Callable[[Receipt], object] = lambda _: None,
    ) -> Export:
        """Open an export, send all rows and close it; the file is written next: ``wait`` for it.

        Rows are read once, a few batches ahead. A data frame says its columns
        itself. Where this fails, the export is cancelled, unless it has a key:
        then the same call goes on with it, and what an earlier run has closed
        is not read at all. One that failed, was cancelled or deleted, or has
        expired is over: the key begins a new one. ``restart`` gives up what
        was sent under the key, the file too, for rows that have changed;
        "stopped" only what a run left half-way: one that is closed stays, and
        NOT_READY is raised while another run sends.
        ``on_open`` is called with the export before its rows are read.
        """
        table = Table.of(rows, columns)

        def open_under(key: str | None) -> Export:
            return self.open(
                format=format,
                columns=table.columns,
                filename=filename,
                options=options,
                expected_rows=expected_rows,
                idempotency_key=key,
            )

        def send(export: Export) -> Status:
            with table.batches() as batches:
                return export.send(batches, in_flight=in_flight, on_batch=on_batch)

        return self._send(open_under, send, idempotency_key, restart=restart, on_open=on_open)

    def send_sheets(
        self,
        sheets: Mapping[str, Frame | tuple[Iterable[Row], Columns]],
        *,
        filename: str = "",
        options: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
        restart: Restart = False,
        on_open: Callable[[Export], object] = lambda _: None,
        in_flight: int = IN_FLIGHT,
        on_batch: Callable[[Receipt], object] = lambda _: None,
    ) -> Export:
        """As ``send_table``, for a workbook of several sheets: the rows and columns of each, by its name."""
        tables = {
            name: Table.of(*(given if isinstance(given, tuple) else (given, None))) for name, given in sheets.items()
        }

        def open_under(key: str | None) -> Export:
            return self.open(
                format="xlsx",
                sheets={name: table.columns for name, table in tables.items()},
                filename=filename,
                options=options,
                idempotency_key=key,
            )

        def send(export: Export) -> Status:
            with ExitStack() as reading:
                batches = {name: reading.enter_context(table.batches()) for name, table in tables.items()}
                return export.send_sheets(batches, in_flight=in_flight, on_batch=on_batch)

        return self._send(open_under, send, idempotency_key, restart=restart, on_open=on_open)

    def export(self, task_id: str) -> Export:
        """An export by its id; nothing is sent."""
        return Export(self._calls, task_id, compress=self._compress)

    def datasets(
        self,
        user: str | None = None,
        *,
        permissions: Iterable[str] = (),
        attributes: Mapping[str, object] | None = None,
    ) -> Datasets:
        """The tables that the service reads itself, as a user may have them.

        With a key that has the scope ``act_for`` the ``user`` is named here,
        with what it may and what else is known of it; with a token of a user
        nothing is. Raise ``ValueError`` for what cannot be said so.
        """
        return Datasets(self._calls, user_headers(user, permissions, attributes))

    def list(self, *, state: str | None = None, request_id: str | None = None, page: int = 50) -> Iterator[Status]:
        """All exports of the key's tenant, newest first, fetched ``page`` at a time; of a state or a request."""
        wanted = {"state": state, "request_id": request_id}
        query: dict[str, object] = {"limit": page} | {
            name: value for name, value in wanted.items() if value is not None
        }
        while True:
            answer = self._calls.json("GET", f"/v1/exports?{urlencode(query)}")
            yield from map(Status.of, answer.objects("tasks"))
            query["cursor"] = answer.read("cursor", str | None)
            if not query["cursor"]:
                return

    def _send(
        self,
        open_under: Callable[[str | None], Export],
        send: Callable[[Export], Status],
        key: str | None,
        *,
        restart: Restart,
        on_open: Callable[[Export], object],
    ) -> Export:
        """Send to the export of this key, unless an earlier run has closed it; to a new one where there is no key."""
        export = open_under(None) if key is None else self._current(open_under, key, restart=restart)
        with export.cancel_on_error() if key is None else nullcontext():
            on_open(export)
            if export.opened_as == "open":
                send(export)
        return export

    def _current(self, open_under: Callable[[str | None], Export], key: str, *, restart: Restart) -> Export:
        """Open the first export of this key that is not over; with ``restart``, end the one that has rows before."""
        if key.startswith(_OWN_KEYS):
            raise ValueError(f"no key begins with {_OWN_KEYS!r}: the client makes such keys itself")
        digest = hashlib.sha256(key.encode()).hexdigest()
        for number in range(1, _SUCCESSORS_MAX + 1):
            try:
                export = open_under(key if number == 1 else f"{_OWN_KEYS}{number}:{digest}")
            except SluiceApiError as error:
                if error.code != "TASK_DELETED":
                    raise
                continue  # its key is not free again yet
            if export.opened_as in _OVER:
                continue
            if restart and self._is_ended(export, restart):
                restart = False
                continue
            return export
        raise ValueError("the key was begun anew too often; take another")

    def _is_ended(self, export: Export, restart: Restart) -> bool:
        """Give up what was sent to it before; whether its key begins a new one."""
        if restart == "stopped":
            return export.opened_as == "open" and self._has_stopped(export)
        if export.opened_as == "open" and not export.status().batches:
            return False
        export.delete()
        return True

    def _has_stopped(self, export: Export) -> bool:
        """Cancel what a run left half-way, and never delete it: a run may have finished it in this moment."""
        try:
            seen = self._look_on(export)
            if seen.state == "open" and seen.batches:
                seen = export.cancel()
        except SluiceApiError as error:
            if error.code in _OVER_CODES:
                return True
            if error.code != "ALREADY_COMPLETED":
                raise
            seen = export.status()
        export.opened_as = seen.state  # what another run has closed meanwhile is not sent again
        return seen.state in _OVER

    def _look_on(self, export: Export) -> Status:
        """Its status, once nothing was added for a while."""
        seen = export.status()
        clock = self._calls.clock
        quiet_until = clock.monotonic() + (QUIET_S if seen.batches else 0)
        while seen.state == "open" and clock.monotonic() < quiet_until:
            clock.sleep(QUIET_S / 10)
            now = export.status()
            if now.state == "open" and now.batches != seen.batches:
                detail = "Another run is sending under this key."
                raise SluiceApiError("NOT_READY", detail, facts={"task": export.id}, retryable=True, who="client")
            seen = now
        return seen
