"""The worker as a process: takes requests on standard input, reads sources and composes, answers on standard output.

Started by ``WorkerPool``; imports neither the command line nor the servers, to keep its memory small.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from sluice.adapters.system_clock import SystemClock
from sluice.adapters.workers.process import BEAT_S, READY, ComposeReply, ComposeRequest
from sluice.app.backends import open_ports
from sluice.app.settings.validation import load_settings
from sluice.app.sources import for_readers
from sluice.app.telemetry.log_lines import JournalLines
from sluice.app.telemetry.process_gauges import peak_resident_bytes
from sluice.app.writer_imports import load_writers
from sluice.domain.events import Event, Level
from sluice.ports.bundle import Ports
from sluice.ports.log_context import bound_context
from sluice.usecases.work_off import work_off

CRASHED = "crashed"
"""The outcome of an unforeseen error; the task was given back before."""


def main() -> None:
    """Serve requests until standard input ends; its first line are the settings. Signals are the parent's business."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb", buffering=0) as pipe:
        os.dup2(2, 1)  # the pipe is for answers alone: whatever else prints goes to standard error
        turn = threading.Lock()

        def write(line: str) -> None:
            """Write one line. The parent being gone is no reason to leave a file half composed."""
            with suppress(BrokenPipeError), turn:
                pipe.write(line.encode() + b"\n")

        # Every event goes to the parent, which logs by its own level and feeds its metrics.
        journal = JournalLines(write, clock=SystemClock(), level=Level.DEBUG, component="composer")
        given = msgspec.json.decode(sys.stdin.buffer.readline(), type=dict[str, object])
        settings = load_settings(None, given)
        with open_ports(settings, journal) as opened:
            ports = for_readers(opened, settings)
            load_writers()
            # What was imported stays; the collector need not look at it again.
            gc.freeze()
            write(READY.decode())
            for line in sys.stdin.buffer:
                write(_answer_alive(ports, line, write))


def answer(ports: Ports, line: bytes) -> str:
    """Compose one task, or read its rows first; returns the line that says how it ended."""
    request = msgspec.json.decode(line, type=ComposeRequest)
    manifest = request.manifest()
    with bound_context(task_id=manifest.task.task_id):
        try:
            outcome = work_off(ports, manifest, owner=request.owner).value
        except Exception as error:  # noqa: BLE001 - a worker outlives a task that crashes; the error is reported
            ports.journal.record(Event.SYSTEM_ERROR, error=error)
            outcome = CRASHED
        ports.journal.record(Event.MEMORY_SNAPSHOT, peak_rss_bytes=peak_resident_bytes(), pid=os.getpid())
    return msgspec.json.encode(ComposeReply(outcome)).decode()


def _answer_alive(ports: Ports, line: bytes, write: Callable[[str], None]) -> str:
    """As ``answer``, with signs of life meanwhile, whatever it waits for: a process that is stopped gives none."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            write(READY.decode())

    thread = threading.Thread(target=beat, name="beats", daemon=True)
    thread.start()
    try:
        return answer(ports, line)
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
