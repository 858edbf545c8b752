"""The sender's side: a script that opens, sends, closes, and sends again whatever was not answered."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef
from tests.support.simulation.actions import PARAMS, SHARED_PARAMS, SHEETS, SHEETS_PARAMS, Action, Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.oracle import Rows, Violation

ENDED = {ErrorCode.CANCELLED, ErrorCode.EXPIRED, ErrorCode.TASK_DELETED}


class Op(NamedTuple):
    """One request of the sender."""

    name: str
    action: Action


Script = Generator[Op, Actor, None]
"""Yields requests, is sent the actors that ended."""


def table(batches: int, *, variant: str = "a", empty: int = 0) -> list[Rows]:
    """``batches`` batches of one to three rows that say whose they are; batch ``empty`` has none."""
    return [
        tuple((str(sequence), f"{variant}{row}") for row in range(1, 2 + sequence % 3)) if sequence != empty else ()
        for sequence in range(1, batches + 1)
    ]


def sheet_of(sequence: int, sheets: int) -> int:
    """Which of ``sheets`` tables a batch belongs to: they take turns, the first batch is not the first table's."""
    return sequence % sheets


@dataclass(slots=True)
class Sender:
    """One export, sent as a careful client sends it. ``ref`` is known once it is open.

    ``counts_rows``: the close gives totals. ``forgiving``: another sender may
    have taken a sequence, or have sent more batches.
    """

    actions: Actions
    batches: Sequence[Rows]
    order: Sequence[int] = ()
    key: str = "order-1"
    shares: bool = False
    """Whether the task may have the file of another one with the same rows."""
    sheets: int = 1
    """Tables that the task declares."""
    counts_rows: bool = True
    forgiving: bool = False
    ref: TaskRef | None = None
    closing: bool = False
    done: bool = False
    """Nothing is left to do for the sender."""
    ended: bool = False
    """It was told that the task has ended without a file."""

    def script(self) -> Script:
        params = SHARED_PARAMS if self.shares else PARAMS if self.sheets == 1 else SHEETS_PARAMS
        opened = yield from self._insist(Op("open", self.actions.open(self.key, params=params)))
        if not isinstance(opened.result, TaskRef):
            raise Violation(f"an open was refused: {opened.error!r}")
        self.ref = opened.result
        for sequence in self.order or range(1, len(self.batches) + 1):
            yield from self._put(self.ref, sequence)
            if self.ended:
                break
        else:
            yield from self._close(self.ref, len(self.batches))
        self.done = True

    def _put(self, ref: TaskRef, sequence: int) -> Script:
        action = self.actions.put(ref, sequence, self.batches[sequence - 1], sheet=sheet_of(sequence, self.sheets))
        answered = yield from self._insist(Op(f"put {sequence}", action))
        code = code_of(answered)
        if code in ENDED:
            self.ended = True
        elif code is not None and not (code is ErrorCode.BATCH_CONFLICT and self.forgiving):
            raise Violation(f"batch {sequence} was refused: {answered.error!r}")

    def _close(self, ref: TaskRef, batches: int) -> Script:
        self.closing = True
        rows = sum(map(len, self.batches)) if self.counts_rows else None
        sheets = self._sheet_rows() if self.counts_rows else None
        while True:
            action = self.actions.close(ref, batches=batches, rows=rows, sheets=sheets)
            answered = yield from self._insist(Op("close", action))
            code = code_of(answered)
            if code is None:
                return
            if code in ENDED:
                self.ended = True
                return
            if code is not ErrorCode.BATCHES_EXTRA or not self.forgiving:
                raise Violation(f"the close was refused: {answered.error!r}")
            batches = max(_facts(answered)["extra"])
            rows = None

    def _sheet_rows(self) -> dict[str, int] | None:
        """What a sender of several tables counts for each."""
        if self.sheets == 1:
            return None
        counted = dict.fromkeys(SHEETS, 0)
        for sequence, rows in enumerate(self.batches, 1):
            counted[SHEETS[sheet_of(sequence, self.sheets)]] += len(rows)
        return counted

    def _insist(self, op: Op) -> Generator[Op, Actor, Actor]:
        """Make a request again until it is answered, with a yes or a no."""
        while True:
            answered = yield op
            if answered.error is None or code_of(answered) not in {None, ErrorCode.STORE_UNAVAILABLE}:
                return answered


def code_of(actor: Actor) -> ErrorCode | None:
    """The code an actor was refused with; None when it was not, or when nothing was heard."""
    return actor.error.code if isinstance(actor.error, SluiceError) else None


def _facts(actor: Actor) -> dict[str, list[int]]:
    assert isinstance(actor.error, SluiceError)
    return actor.error.facts  # type: ignore[return-value]  # this error's facts are lists of sequences
