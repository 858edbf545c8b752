"""One composer in a process of its own: started, given one request at a time, killed when it must be."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

import msgspec

from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId


class ComposeRequest(msgspec.Struct, frozen=True):
    """A request to a worker: one line of JSON on its standard input."""

    tenant: str
    task_id: str
    sha: str
    owner: str = ""
    """Names the attempt that the request may lead to."""

    @classmethod
    def of(cls, manifest: ManifestRef, owner: str) -> ComposeRequest:
        return cls(manifest.task.tenant, manifest.task.task_id, manifest.sha, owner)

    def manifest(self) -> ManifestRef:
        return ManifestRef(TaskRef(TenantId(self.tenant), TaskId(self.task_id)), self.sha)


class ComposeReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The line from a worker that ends a request; every line before it, without an outcome, is a log line."""

    outcome: str = ""


class WorkerDied(Exception):
    """The process ended in the middle of a request."""


class WorkerProcess:
    """A running worker. Used by one thread at a time, except for ``kill``."""

    def __init__(self, command: Sequence[str], note: Callable[[bytes], object]) -> None:
        self._note = note
        self._process = subprocess.Popen(  # noqa: S603 - the command is our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def compose(self, manifest: ManifestRef, owner: str) -> str:
        """Have one task composed by the attempt ``owner``; returns the outcome. Raises ``WorkerDied``."""
        try:
            self._pipe_in.write(msgspec.json.encode(ComposeRequest.of(manifest, owner)) + b"\n")
            self._pipe_in.flush()
        except OSError:
            raise WorkerDied from None
        for line in self._pipe_out:
            with suppress(msgspec.MsgspecError):  # a line that was cut off by a death says nothing
                reply = msgspec.json.decode(line, type=ComposeReply)
                if reply.outcome:
                    return reply.outcome
            self._note(line)
        raise WorkerDied

    def close(self, *, grace_s: float = 5) -> None:
        """End an idle worker: it leaves when its input does."""
        with suppress(OSError):  # a dead worker left a request unread
            self._pipe_in.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe_out.close()

    def kill(self) -> None:
        """End the process now, whatever it does. Its task is taken over by another attempt."""
        self._process.kill()

    @property
    def _pipe_in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _pipe_out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout
