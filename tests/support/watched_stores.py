"""Stores that can be held up, or that say which of their methods were called."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from threading import Event
from typing import Any

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.store_errors import OutcomeUnknown
from sluice.ports.task_store import TaskStore


class CountedCalls:
    """Passes every call on and remembers its name."""

    def __init__(self, target: Any) -> None:
        self.calls: list[str] = []
        self._target = target

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def called(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            return method(*arguments, **named)

        return called


class HeldUploads(ForwardingStore):
    """Stops every attempt at its first part, until ``release`` is set."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self.reached = Event()
        self.release = Event()

    def put_part(self, upload: Upload, part_number: int, data: bytes) -> PartReceipt:
        self.reached.set()
        assert self.release.wait(30)
        return super().put_part(upload, part_number, data)


class HeldPuts(ForwardingStore):
    """Stops every put, until ``release`` is set."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self.reached = Event()
        self.release = Event()

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        self.reached.set()
        assert self.release.wait(30)
        super().put(key, data, metadata=metadata)


class FailingTasks:
    """A task store of which every method raises."""

    def __init__(self, _tasks: TaskStore, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_arguments: Any, **_named: Any) -> Any:
            raise self._error

        return fail


class FailingStore(ForwardingStore):
    """Breaks off every read after so many blocks of 1 MiB."""

    def __init__(self, store: ObjectStore, *, blocks: int) -> None:
        super().__init__(store)
        self._blocks = blocks

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        for count, block in enumerate(super().read_range(key, start, end)):
            if count == self._blocks:
                raise OutcomeUnknown("the store went away")
            yield block
