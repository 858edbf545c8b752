"""An HTTP face for benchmarks: over the embedded stores or in memory, without keys and without composers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.memory_service import MemoryService
from tests.support.recorded_journal import RecordedJournal

from sluice.adapters.key_file import KeyFile
from sluice.api.auth import KeyRing, OpenRing
from sluice.api.http_app import build_http_app
from sluice.api.http_server import HttpFace, ListenOn
from sluice.api.rate_limit import RateLimiter
from sluice.api.service import Service
from sluice.domain.events import Event
from sluice.ports.outside import Outside
from sluice.usecases.find_task import Definitions
from sluice.wiring.build import open_outside
from sluice.wiring.settings import Settings
from sluice.wiring.settings_schema import Storage


class SilentJournal(RecordedJournal):
    """Remembers nothing: a benchmark would fill the memory."""

    def record(self, event: Event, **fields: object) -> None:
        pass


@contextmanager
def bench_face(folder: Path, stores: str) -> Iterator[int]:
    """Serve; yields the port."""
    with bench_outside(folder, stores) as outside:
        ring = KeyRing(KeyFile(folder / "keys.json"), clock=outside.clock, journal=outside.journal)
        service = Service(
            outside=outside,
            definitions=Definitions(outside),
            ring=OpenRing(ring),
            rate_limiter=RateLimiter(clock=outside.clock, journal=outside.journal, per_s=0),
        )
        face = HttpFace(build_http_app(service), ListenOn(), new_request_id=lambda: "bench")
        try:
            yield face.start()
        finally:
            face.drain(deadline_s=2)


@contextmanager
def bench_outside(folder: Path, stores: str) -> Iterator[Outside]:
    if stores == "memory":
        yield MemoryService(folder, paused=True).outside
        return
    settings = Settings(storage=Storage(data_directory=str(folder / "data")))
    with open_outside(settings, SilentJournal()) as outside:
        yield outside
