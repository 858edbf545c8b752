"""An HTTP server in a process of its own, to be measured: embedded stores or memory, no keys, no composers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from sluice.adapters.directory.key_file import KeyFile
from sluice.api.auth import KeyRing, OpenRing
from sluice.api.http.app import build_http_app
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.api.service import Service
from sluice.app.backends import open_ports
from sluice.app.servers import give_memory_back
from sluice.app.settings.schema import Storage
from sluice.app.settings.validation import Settings
from sluice.domain.events import Event
from sluice.ports.bundle import Ports
from tests.support.memory_service import MemoryService
from tests.support.recorded_journal import RecordedJournal

ROOT = Path(__file__).resolve().parents[2]


class SilentJournal(RecordedJournal):
    """Remembers nothing: a long run would fill the memory."""

    def record(self, event: Event, **fields: object) -> None:
        pass


@contextmanager
def serving_face(folder: Path, stores: str) -> Iterator[int]:
    """Serve; yields the port."""
    with opened_ports(folder, stores) as ports:
        ring = KeyRing(KeyFile(folder / "keys.json"), clock=ports.clock, journal=ports.journal)
        service = Service.over(ports, OpenRing(ring), rate_per_s=0, burst=0)
        face = HttpServer(build_http_app(service), ListenOn(), new_request_id=lambda: "measured")
        try:
            yield face.start()
        finally:
            face.drain(deadline_s=2)


@contextmanager
def opened_ports(folder: Path, stores: str) -> Iterator[Ports]:
    if stores == "memory":
        yield MemoryService(folder, paused=True).ports
        return
    settings = Settings(storage=Storage(data_directory=str(folder / "data")))
    with open_ports(settings, SilentJournal()) as ports:
        yield ports


class HttpProcess:
    """The process under measurement."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self._process = process
        self.pid = process.pid
        self.port = port

    def cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    def peak_bytes(self) -> int:
        """The most that was ever resident (Linux)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


@contextmanager
def http_process(folder: Path, *, stores: str = "memory", one_core: bool = False) -> Iterator[HttpProcess]:
    """Start the process; closing its standard input stops it."""
    command = [sys.executable, "-m", "tests.support.http_process"]
    command += [str(folder), stores, "one-core" if one_core else ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield HttpProcess(psutil.Process(process.pid), int(process.stdout.readline()))
        finally:
            process.stdin.close()


def main(folder: str, stores: str, cores: str) -> None:
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    give_memory_back()  # as a service does
    with serving_face(Path(folder), stores) as port:
        print(port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
