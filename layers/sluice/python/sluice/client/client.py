"""A client of the service: small, synchronous, nothing but the standard library."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.client.calls import RETRY_FOR_S, Calls
from sluice.client.connections import TIMEOUTS, Timeouts
from sluice.client.export import IN_FLIGHT, Export, Receipt, Status
from sluice.client.rows import Columns, Row, cut, encode_columns
from sluice.domain.secret import Secret
from sluice.ports.clock import Clock, Randomness

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
        self._calls = Calls(
            url,
            Secret(token),
            timeouts=timeouts,
            tls=tls,
            clock=clock or SystemClock(),
            randomness=randomness or SystemRandomness(),
            retry_for_s=retry_for_s,
            on_retry=on_retry,
        )
        self._compress = urlsplit(url).hostname not in _LOOPBACK if compress is None else compress

    def __repr__(self) -> str:
        return f"Client({self._calls.url!r})"

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
        )

    def send_table(
        self,
        rows: Iterable[Row],
        *,
        format: str,  # noqa: A002 - the API's name
        columns: Columns,
        filename: str = "",
        options: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
        in_flight: int = IN_FLIGHT,
        on_batch: Callable[[Receipt], object] = lambda _: None,
    ) -> Export:
        """Open an export, send all rows and close it; the file is written next: ``wait`` for it.

        Rows are read once, a few batches ahead. Where this fails, the export
        is cancelled, unless it has a key: then the same call goes on with it.
        """
        export = self.open(
            format=format, columns=columns, filename=filename, options=options, idempotency_key=idempotency_key
        )
        if idempotency_key is not None:
            export.send(cut(rows), in_flight=in_flight, on_batch=on_batch)
            return export
        with export.cancel_on_error():
            export.send(cut(rows), in_flight=in_flight, on_batch=on_batch)
        return export

    def export(self, task_id: str) -> Export:
        """An export by its id; nothing is sent."""
        return Export(self._calls, task_id, compress=self._compress)

    def list(self, *, state: str | None = None, page: int = 50) -> Iterator[Status]:
        """All exports of the key's tenant, newest first, fetched ``page`` at a time."""
        query: dict[str, object] = {"limit": page} | ({} if state is None else {"state": state})
        while True:
            answer = self._calls.json("GET", f"/v1/exports?{urlencode(query)}")
            yield from map(Status.of, answer.objects("tasks"))
            query["cursor"] = answer.read("cursor", str | None)
            if not query["cursor"]:
                return
