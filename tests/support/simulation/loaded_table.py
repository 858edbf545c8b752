"""A table of another system that rows are loaded into, with its ledger: the target of deliveries in a simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from sluice.domain.manifest import Claim
from sluice.domain.target import Receipt
from sluice.ports.sink import Delivery, SinkError, SinkFenced, SinkUnavailable
from sluice.ports.store_errors import OutcomeUnknown
from tests.support.simulation.oracle import Rows

T = TypeVar("T")
Gate = Callable[[str, Callable[[], T]], T]
FENCED, MISSING = "fenced", "missing"
BROKE_OFF = "the target broke off"


class LoadedTable:
    """Takes a chunk with its entry in the ledger, and nothing of an attempt that a later one has overtaken.

    It gives no chunk twice a place: what a sender loads again under another sequence would be there twice.
    """

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}
        self.ledger: dict[str, dict[int, Rows]] = {}

    def become(self, other: LoadedTable) -> None:
        """Go on as another would."""
        self.epochs = dict(other.epochs)
        self.ledger = {delivery: dict(chunks) for delivery, chunks in other.ledger.items()}

    def rows_of(self, delivery: str) -> Rows:
        """What it holds of a delivery, in the order of the chunks."""
        return tuple(row for _, rows in sorted(self.ledger.get(delivery, {}).items()) for row in rows)

    def begin(self, delivery: Delivery) -> frozenset[int] | str:
        if delivery.epoch < self.epochs.get(delivery.id, 0):
            return FENCED
        self.epochs[delivery.id] = delivery.epoch
        return frozenset(self.ledger.setdefault(delivery.id, {}))

    def load(self, delivery: Delivery, sequence: int, rows: Rows) -> str:
        if delivery.epoch < self.epochs[delivery.id]:
            return FENCED
        self.ledger[delivery.id].setdefault(sequence, rows)
        return ""

    def finish(self, delivery: Delivery) -> Receipt | str:
        if delivery.epoch < self.epochs[delivery.id]:
            return FENCED
        if len(self.ledger[delivery.id]) != delivery.chunks:
            return MISSING
        return Receipt(len(self.rows_of(delivery.id)))


class LoadingSink:
    """Implements ``Sink`` over it; each call is one that the scheduler hands on."""

    def __init__(self, table: LoadedTable, gate: Gate[object]) -> None:
        self._table, self._gate = table, gate
        self._delivery: Delivery | None = None

    def begin(self, delivery: Delivery) -> frozenset[int]:
        self._delivery = delivery
        there = self._call("begin", partial(self._table.begin, delivery))
        assert isinstance(there, frozenset)
        return there

    def load(self, claim: Claim, columns: Sequence[Sequence[str | None]]) -> None:
        assert self._delivery is not None
        rows = tuple(tuple(str(cell) for cell in row) for row in zip(*columns, strict=True))
        self._call("load", partial(self._table.load, self._delivery, claim.sequence, rows))

    def finish(self) -> Receipt:
        assert self._delivery is not None
        receipt = self._call("finish", partial(self._table.finish, self._delivery))
        assert isinstance(receipt, Receipt)
        return receipt

    def abandon(self) -> None:
        """Nothing is loaded aside."""

    def interrupt(self) -> None:
        """Nothing is under way but the call that the scheduler has."""

    def close(self) -> None:
        """There is no connection."""

    def _call(self, name: str, action: Callable[[], object]) -> object:
        try:
            answer = self._gate(f"sink.{name}", action)
        except OutcomeUnknown as error:
            raise SinkUnavailable(BROKE_OFF) from error
        if answer == MISSING:
            raise SinkError("chunks are missing")
        if answer == FENCED:
            raise SinkFenced("a later attempt has begun")
        return answer
