"""What the sinks of database servers have in common: one session, one delivery."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Generic, TypeVar

from sluice.adapters.databases.interruption import Interruption
from sluice.domain.dataset import ServerConnection
from sluice.domain.secret import Secret
from sluice.domain.target import TableTarget
from sluice.ports.sink import SinkError

Where = TypeVar("Where", bound=ServerConnection)
Writer = TypeVar("Writer")
Begun = TypeVar("Begun")
Slot = Callable[[Interruption], AbstractContextManager[None]]
"""One of the sessions that there may be, until the block ends."""


def no_bound(interruption: Interruption) -> AbstractContextManager[None]:
    """A slot where sessions are not counted."""
    del interruption
    return nullcontext()


class ServerSink(ABC, Generic[Where, Writer, Begun]):
    """A target on a server; the session is opened by the first call and used by all."""

    def __init__(
        self,
        connection: Where,
        target: TableTarget,
        *,
        password: Callable[[], Secret],
        folder: Path,
        slot: Slot = no_bound,
    ) -> None:
        self._connection = connection
        self._target = target
        self._password = password
        self._folder = folder
        self._slot = slot
        self._interruption = Interruption()
        self._place = f"table {target.table} of {connection.name}"
        self._session = ExitStack()
        self._writer: Writer | None = None
        self._begun: Begun | None = None

    def interrupt(self) -> None:
        """As the port says."""
        self._interruption.interrupt()

    def close(self) -> None:
        """As the port says."""
        self._writer = None
        self._session.close()

    def _taken_over(self) -> Begun:
        if self._begun is None:
            raise SinkError(f"{self._place}: the delivery has not begun")
        return self._begun

    def _connected(self) -> Writer:
        self._interruption.check()
        if self._writer is None:
            self._session.enter_context(self._slot(self._interruption))
            self._writer = self._session.enter_context(self._open())
        return self._writer

    @abstractmethod
    def _open(self) -> AbstractContextManager[Writer]:
        """Connect. Raises ``SourceError``."""
