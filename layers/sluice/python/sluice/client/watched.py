"""An export as anyone sees it who may look at it: how it is, and its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sluice.client.calls import Calls
from sluice.client.errors import SluiceApiError
from sluice.client.files import save_link
from sluice.client.status import Link, Status

POLL_S = 20.0
"""How long the service may wait before it answers that nothing has changed."""
_PAUSE_S = 0.1
"""Between two questions, for a service that stops and answers at once."""


class WatchedExport:
    """An export by its path at the service, or by its watch address. Thread-safe; every call may be repeated."""

    def __init__(self, calls: Calls, task_id: str, path: str) -> None:
        self.id = task_id
        self._calls = calls
        self._path = path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def status(self) -> Status:
        return Status.of(self._calls.json("GET", self._path))

    def wait(
        self,
        timeout_s: float | None = None,
        *,
        poll_s: float = POLL_S,
        on_progress: Callable[[Status], object] = lambda _: None,
    ) -> Status:
        """Wait until the file is there.

        Raises the export's failure where there will be none, and NOT_READY
        when ``timeout_s`` is over; the export goes on then.
        """
        clock = self._calls.clock
        poll_s = min(poll_s, self._calls.timeouts.answer_s / 2)
        give_up_at = None if timeout_s is None else clock.monotonic() + timeout_s
        while True:
            left_s = poll_s if give_up_at is None else max(0.0, min(poll_s, give_up_at - clock.monotonic()))
            status = Status.of(self._calls.json("GET", f"{self._path}?wait={left_s:.3f}"))
            on_progress(status)
            if status.state == "completed":
                return status
            if status.failure is not None:
                raise status.failure
            if give_up_at is not None and clock.monotonic() >= give_up_at:
                detail = f"The export is {status.state} after {timeout_s:g} s; it goes on."
                raise SluiceApiError("NOT_READY", detail, facts={"task": self.id}, retryable=True, who="client")
            clock.sleep(_PAUSE_S)

    def link(self) -> Link:
        """Make a link to the file."""
        answer = self._calls.json("GET", f"{self._path}/file?redirect=false")
        return Link(answer.text("url"), answer.text("expires_at"))

    def save_to(self, path: str | Path, *, on_bytes: Callable[[int], object] = lambda _: None) -> Status:
        """Save the file: whole and with the checksum that the service recorded, or not at all.

        A download that breaks off goes on where it was. ``on_bytes`` is called with the bytes that are there.
        """
        links = [self.link().url]  # raises what the service says where there is no file
        status = self.status()
        save_link(
            self._calls,
            lambda: links.pop() if links else self.link().url,
            Path(path),
            sha256=status.checksum_sha256 or "",
            on_bytes=on_bytes,
        )
        return status
