"""Actors: each runs production code until its next call to a store, then waits for the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # ships no types

from tests.support.simulation.faults import Crashed
from tests.support.simulation.oracle import Violation

T = TypeVar("T")


class Request(NamedTuple):
    """One call that an actor wants to make."""

    call: str
    action: Callable[[], object]


def ask(call: str, action: Callable[[], T]) -> T:
    """Called by the stores inside an actor: hand the call to the scheduler, return what it answers."""
    return cast("T", getcurrent().parent.switch(Request(call, action)))


class Actor:
    """One process's work: a request being served, a composer, a sweep.

    ``frozen_until`` is the step of the schedule before which it gets no turn.
    """

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self.name = name
        self.result: object = None
        self.error: BaseException | None = None
        self.done = False
        self.frozen_until = 0
        self.calls = 0
        self._request: Request | None = None
        self._green = greenlet(work)

    def request(self) -> Request | None:
        """The call it waits for; runs the actor up to its first. None: it has ended."""
        if self._request is None and not self.done:
            self._go(self._green.switch)
        return self._request

    def answer(self, value: object) -> None:
        """Let the call return, and run to the next one."""
        self._go(self._green.switch, value)

    def refuse(self, error: BaseException) -> None:
        """Let the call raise, and run to the next one."""
        self._go(self._green.throw, error)
        if isinstance(error, Crashed) and not self.done:
            raise Violation(f"{self.name} made a call after its process died")

    def _go(self, switch: Callable[..., object], *given_to: object) -> None:
        self.calls += 1
        self._request = None
        try:
            given = switch(*given_to)
        except BaseException as error:
            if isinstance(error, Violation):
                raise
            self.done, self.error = True, error
            return
        if self._green.dead:
            self.done, self.result = True, given
        else:
            self._request = cast("Request", given)
