"""One composer in a process of its own: started, given one request at a time, killed when it must be."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId

READY = b"{}"
"""What a worker writes once it takes requests, and every ``BEAT_S`` while it has one."""
BEAT_S = 1.0
START_S = 120.0
"""A worker that takes no requests after so long is as good as dead."""
OVERTAKEN_S = 10.0
"""How long a worker whose task was taken from it may give no sign of life."""
LAST_WORDS_CHARS = 900
"""How much is kept of what a worker wrote to standard error, from the end: a log line takes a text of 1,000."""

_SLICES = 8
"""A silence is waited for in so many waits, each of which a stop of the whole machine uses up at most one of."""
_READ_BYTES = 1 << 16


SOURCES = Path(__file__).resolve().parents[3]
"""The folder that our package is imported from."""


def module_command(module: str) -> list[str]:
    """Give the command line that starts one of our modules, which imports nothing from where it is started.

    Unless that is where our own code is: ``python -m sluice`` in a source tree imports from there itself.
    """
    safe_path = [] if Path.cwd() == SOURCES else ["-P"]
    return [sys.executable, *safe_path, "-m", module]


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
    """The line from a worker that ends a request; of the lines before it, all but signs of life are log lines."""

    outcome: str = ""


class _EventFields(msgspec.Struct, frozen=True):
    epoch: int = 0


class _Line(msgspec.Struct, frozen=True):
    """What is read of any line of a worker."""

    outcome: str = ""
    event: str = ""
    fields: _EventFields = _EventFields()


class WorkerDied(Exception):
    """The process ended without an answer, or gave no sign of life and has to be ended."""


class Ending(NamedTuple):
    """How a worker ended."""

    exit_code: int | None
    """Negative: the signal. None while the system has not ended it yet."""
    last_words: str
    """What it wrote to standard error since its last request, from the end."""


class WorkerProcess:
    """A running worker. Used by one thread at a time, except for ``kill`` and ``hurry``.

    ``settings`` go to its standard input. Signs of life count, not progress: a
    worker may wait for a slow disk as long as it can say so.
    """

    def __init__(
        self, command: Sequence[str], *, settings: bytes, note: Callable[[bytes], object], silence_s: float
    ) -> None:
        self._note = note
        self._timeout_s = self._silence_s = silence_s
        self._process = subprocess.Popen(  # noqa: S603 - the command is our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._said = bytearray()
        self._words = b""
        self._ended = False
        """Its standard output is closed."""
        self._pipes = select.poll()  # unlike select, for descriptors of any number
        self._pipes.register(self._pipe(self._process.stdout), select.POLLIN)
        self._pipes.register(self._pipe(self._process.stderr), select.POLLIN)
        with suppress(OSError):  # one that is dead already is found when it does not become ready
            self._tell(settings)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self) -> None:
        """Return when it takes requests. Raises ``WorkerDied``."""
        self._timeout_s = max(START_S, self._silence_s)
        self._next_line()

    def compose(self, manifest: ManifestRef, owner: str, *, on_epoch: Callable[[int], object]) -> str:
        """Have one task composed by the attempt ``owner``; returns the outcome.

        ``on_epoch`` gets the attempt's number once it has the task. Raises
        ``WorkerDied``, also for a worker without a sign of life for ``silence_s``.
        """
        self._timeout_s = self._silence_s
        try:
            self._tell(msgspec.json.encode(ComposeRequest.of(manifest, owner)))
        except OSError:
            raise WorkerDied("it does not take requests") from None
        while True:
            line = self._next_line()
            if line == READY:
                continue
            with suppress(msgspec.MsgspecError):
                said = msgspec.json.decode(line, type=_Line)
                if said.outcome:
                    return said.outcome
                if said.event == Event.ATTEMPT_STARTED:
                    on_epoch(said.fields.epoch)
            self._note(line)

    def take_words(self) -> str:
        """Return what it wrote to standard error since the last call; a worker that is well writes nothing there."""
        words, self._words = self._words, b""
        return words.decode("utf-8", "replace").strip()[-LAST_WORDS_CHARS:]

    def close(self, *, grace_s: float = 5) -> None:
        """End an idle worker: it leaves when its input does."""
        with suppress(OSError):  # a dead worker left a request unread
            self._pipe_in.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end(grace_s)

    def kill(self) -> None:
        """End the process now, whatever it does. Its task is taken over by another attempt."""
        self._process.kill()

    def hurry(self) -> None:
        """Wait for signs of life of this request for ``OVERTAKEN_S`` at most. May be called by any thread."""
        self._timeout_s = min(self._timeout_s, OVERTAKEN_S)

    def bury(self, *, grace_s: float = 5) -> Ending:
        """End the process and say how it ended. One that hangs in the system is left to it."""
        self._process.kill()
        with suppress(OSError):
            self._pipe_in.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        while self._read(timeout_s=0):
            pass
        self._end(grace_s)
        return Ending(self._process.returncode, self.take_words())

    def _end(self, grace_s: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _tell(self, line: bytes) -> None:
        data = memoryview(line + b"\n")
        while data:
            data = data[self._pipe_in.write(data) :]

    def _next_line(self) -> bytes:
        """Return its next line. Raises ``WorkerDied`` when there is none, or nothing for ``_timeout_s``."""
        silent = 0
        while (end := self._said.find(b"\n")) < 0:
            if self._ended:
                raise WorkerDied("it ended")
            silent = 0 if self._read(timeout_s=self._timeout_s / _SLICES) else silent + 1
            if silent == _SLICES:
                raise WorkerDied("no sign of life")
        line = bytes(self._said[:end])
        del self._said[: end + 1]
        return line

    def _read(self, *, timeout_s: float) -> bool:
        """Wait for something and take it. False: there was nothing."""
        ready = self._pipes.poll(timeout_s * 1000)
        for descriptor, _ in ready:
            data = os.read(descriptor, _READ_BYTES)
            if not data:
                self._pipes.unregister(descriptor)
                self._ended |= descriptor == self._pipe(self._process.stdout)
            elif descriptor == self._pipe(self._process.stdout):
                self._said += data
            else:
                self._words = (self._words + data)[-_READ_BYTES:]
        return bool(ready)

    @property
    def _pipe_in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> int:
        assert pipe is not None
        return pipe.fileno()
