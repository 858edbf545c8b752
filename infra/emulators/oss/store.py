"""Everything that operations work on, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from infra.emulators.oss.events import Events
from infra.emulators.oss.key_ring import KeyRing
from infra.emulators.oss.server_clock import ServerClock
from infra.emulators.oss.storage import Storage
from infra.emulators.oss.uploads import Uploads


@dataclass(frozen=True)
class Store:
    region: str
    clock: ServerClock
    keys: KeyRing
    storage: Storage
    uploads: Uploads
    events: Events
