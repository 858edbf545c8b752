"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sluice.ports.store_errors import StoreRefused

PRIVATE_MODE = 0o600


@contextmanager
def alone_in(folder: Path, name: str) -> Iterator[None]:
    """Be the only one that has the lock of this name, which ends with the process. Raises ``StoreRefused``."""
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreRefused(f"another process is at work in {folder}: wait until it has ended") from None
        yield
    finally:
        os.close(descriptor)
