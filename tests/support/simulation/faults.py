"""What may go wrong with one call to a store, and plans that say when it does."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol


class Fault(StrEnum):
    """How one call goes."""

    OK = "ok"
    ERR_BEFORE = "err_before"
    """Not applied; the caller cannot know (throttled, a server error)."""
    ERR_AFTER = "err_after"
    """Applied, the answer is lost."""
    ERR_LATE = "err_late"
    """The caller gives up waiting; the request is still on its way and lands later."""
    CRASH_BEFORE = "crash_before"
    """The process dies, nothing was sent."""
    CRASH_AFTER = "crash_after"
    """The process dies after the call was applied."""
    CRASH_LATE = "crash_late"
    """The process dies, the request is still on its way and lands later."""

    @property
    def crashes(self) -> bool:
        return self in _CRASHES

    @property
    def applies(self) -> bool:
        """Whether the store sees the request at once."""
        return self in _APPLIED

    @property
    def lands_later(self) -> bool:
        return self in _LATE


_CRASHES = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.CRASH_LATE})
_APPLIED = frozenset({Fault.OK, Fault.ERR_AFTER, Fault.CRASH_AFTER})
_LATE = frozenset({Fault.ERR_LATE, Fault.CRASH_LATE})

FAULTS = tuple(fault for fault in Fault if fault is not Fault.OK)

READS = frozenset({
    "objects.get", "objects.head", "objects.read_range", "objects.list", "objects.list_uploads",
    "tasks.read", "tasks.read_claims", "tasks.read_claim", "tasks.page", "tasks.count", "tasks.due", "tasks.scan",
    "tasks.read_attempts",
})  # fmt: skip
"""Calls that change nothing."""

FAULTS_OF_READS = (Fault.ERR_BEFORE, Fault.CRASH_BEFORE)


def distinct_faults(call: str) -> tuple[Fault, ...]:
    """The faults that can make a difference: a read whose answer is lost never happened, whenever it lands."""
    return FAULTS_OF_READS if call in READS else FAULTS


class Crashed(BaseException):
    """The process that runs this actor was killed. No ``except Exception`` sees it."""


class FaultPlan(Protocol):
    def choose(self, index: int) -> Fault:
        """How call number ``index`` of the whole run goes."""


class NoFaults:
    def choose(self, index: int) -> Fault:
        return Fault.OK


class ScriptedFaults:
    """Exactly these faults, by the number of the call."""

    def __init__(self, faults: Mapping[int, Fault]) -> None:
        self._faults = faults

    def choose(self, index: int) -> Fault:
        return self._faults.get(index, Fault.OK)


class RandomFaults:
    """A share of calls goes wrong, in one of the given ways."""

    def __init__(self, chance: random.Random, rate: float, kinds: Sequence[Fault] = FAULTS) -> None:
        self._chance = chance
        self._rate = rate if kinds else 0.0
        self._kinds = tuple(kinds)

    def choose(self, index: int) -> Fault:
        if self._chance.random() >= self._rate:
            return Fault.OK
        return self._chance.choice(self._kinds)
