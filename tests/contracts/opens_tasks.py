"""How the contract suites of task stores get a store."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.ports.task_store import TaskStore


class OpensTasks(ABC):
    """An adapter's test class says how its store is opened, and what it cannot promise."""

    lag_s = 0.0
    """How far listings, counts and what is due may lag behind."""

    @abstractmethod
    def open_store(self, folder: Path) -> TaskStore:
        """Open a new and empty store; ``folder`` is its own, if it needs one. Closed if it has ``close``."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[TaskStore]:
        store = self.open_store(tmp_path)
        yield store
        getattr(store, "close", lambda: None)()

    def soon(self, read: Callable[[], Any], expected: Any) -> None:
        """Assert that ``read`` answers ``expected``, now or within the store's lag."""
        tries_end = time.monotonic() + self.lag_s
        while read() != expected and time.monotonic() < tries_end:
            time.sleep(0.05)
        assert read() == expected
