"""The composer as a process: reads requests from standard input, composes, answers on standard output.

Started by ``WorkerPool``; imports neither the command line nor the servers, to keep its memory small.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from sluice.adapters.system_clock import SystemClock
from sluice.adapters.workers.process import ComposeReply, ComposeRequest
from sluice.app.backends import open_ports
from sluice.app.settings.validation import load_settings
from sluice.app.telemetry.event_levels import Level
from sluice.app.telemetry.log_lines import JournalLines
from sluice.app.telemetry.process_gauges import peak_resident_bytes
from sluice.app.writer_imports import load_writers
from sluice.domain.events import Event
from sluice.ports.bundle import Ports
from sluice.ports.log_context import bound_context
from sluice.usecases.composing.compose_export import compose_export

CRASHED = "crashed"
"""The outcome of an unforeseen error; the task was given back before."""


def main(arguments: list[str] | None = None) -> None:
    """Serve requests until standard input ends. Signals are the parent's business."""
    options = _parse(arguments)
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with _private_output() as pipe:
        # Every event goes to the parent, which logs by its own level and feeds its metrics.
        journal = JournalLines(partial(_write, pipe), clock=SystemClock(), level=Level.DEBUG, component="composer")
        settings = load_settings(options.config, {"storage.data_directory": str(options.data)})
        with open_ports(settings, journal) as ports:
            load_writers()
            # What was imported stays; the collector need not look at it again.
            gc.freeze()
            for line in sys.stdin.buffer:
                _write(pipe, answer(ports, line))


def answer(ports: Ports, line: bytes) -> str:
    """Compose one task; returns the line that says how it ended."""
    request = msgspec.json.decode(line, type=ComposeRequest)
    manifest = request.manifest()
    with bound_context(task_id=manifest.task.task_id):
        try:
            outcome = compose_export(ports, manifest, owner=request.owner).value
        except Exception as error:  # noqa: BLE001 - a worker outlives a task that crashes; the error is reported
            ports.journal.record(Event.SYSTEM_ERROR, error=error)
            outcome = CRASHED
        ports.journal.record(Event.MEMORY_SNAPSHOT, peak_rss_bytes=peak_resident_bytes(), pid=os.getpid())
    return msgspec.json.encode(ComposeReply(outcome)).decode()


def _write(pipe: IO[bytes], line: str) -> None:
    """Write one line. The parent being gone is no reason to leave a file half composed."""
    with suppress(BrokenPipeError):
        pipe.write(line.encode() + b"\n")
        pipe.flush()


def _private_output() -> IO[bytes]:
    """Keep standard output for answers alone: whatever else prints goes to standard error."""
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return pipe


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compose_worker", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=None)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
