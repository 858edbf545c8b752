"""Runs the driver of PostgreSQL, which is made for an event loop, step by step for those who have none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, TypeVar

from sluice.adapters.databases.postgresql_guard import MessageGuard
from sluice.ports.source import SourceUnavailable

CLOSING_STEPS = 5
"""So many turns of a loop close every connection in it; two are needed for one with TLS."""
T = TypeVar("T")


class OwnLoop(asyncio.SelectorEventLoop):
    """A loop that knows the connections made in it, of which the driver forgets some that fail, and guards them."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Any] = []
        self.guards: list[MessageGuard] = []
        self._waiting: asyncio.Task[Any] | None = None

    def wait(self, call: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Run until this is there, or ``break_off`` is called: then ``SourceUnavailable``."""

        async def waited_for() -> T:
            return await asyncio.wait_for(call(), seconds)

        self._waiting = self.create_task(waited_for())
        try:
            found: T = self.run_until_complete(self._waiting)
        except asyncio.CancelledError:
            raise SourceUnavailable("it was interrupted from here") from None
        finally:
            self._waiting = None
        return found

    def break_off(self) -> None:
        """End what is waited for, in the loop's own thread; the next wait where nothing is."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def create_connection(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        return self._taken(await super().create_connection(lambda: MessageGuard(protocol_factory()), *args, **options))

    async def create_unix_connection(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        return self._taken(
            await super().create_unix_connection(lambda: MessageGuard(protocol_factory()), *args, **options)
        )

    def _taken(self, made: tuple[Any, MessageGuard]) -> tuple[Any, Any]:
        transport, guard = made
        self.opened.append(transport)
        self.guards.append(guard)
        return transport, guard.driver

    async def end(self) -> None:
        """Cut off every connection."""
        for transport in self.opened:
            transport.abort()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 1)
        for _ in range(CLOSING_STEPS):
            await asyncio.sleep(0)


@contextmanager
def quiet_loop() -> Iterator[OwnLoop]:
    """A loop that logs no errors: what a server makes fail is raised, and its texts belong in no log.

    It is not asyncio's ``Runner``, which at each step has the arguments of the one before printed, blocks of rows too.
    """
    with closing(OwnLoop()) as loop:
        loop.set_exception_handler(lambda _loop, _context: None)
        try:
            yield loop
        finally:
            loop.run_until_complete(loop.end())
            loop.run_until_complete(loop.shutdown_default_executor())
