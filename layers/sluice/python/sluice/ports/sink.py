"""Where the rows of a sealed task are loaded to, each once, whatever dies on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sluice.domain.manifest import Claim
from sluice.domain.schema import ColumnSpec
from sluice.domain.target import Receipt


class SinkError(Exception):
    """Rows cannot be loaded into a target as it is. Its text is for an operator, and quotes no value of a row."""


class SinkUnavailable(SinkError):
    """A target does not answer, or broke off. Trying again may help."""


class SinkFenced(SinkError):
    """Another attempt of the same delivery, begun later, has the target. Nothing of this one is loaded any more."""


class RowsRefused(SinkError):
    """The target does not take some rows of a chunk as they are. Nothing of the chunk is in it."""

    def __init__(self, reason: str, *, rows: Sequence[int], column: str = "") -> None:
        """``rows`` are indexes in the chunk, from 0 on: the first ones that are refused; ``reason`` quotes no value."""
        super().__init__(reason)
        self.reason = reason
        self.rows = tuple(rows)
        self.column = column


class Delivery(NamedTuple):
    """What is loaded, and by which attempt."""

    id: str
    """Names the delivery in the target's ledger: the same in each of its attempts, and of no other delivery."""
    epoch: int
    """Of the attempt. The target takes nothing of an earlier one once a later one has begun."""
    columns: Sequence[ColumnSpec]
    rows: int
    """Of all chunks."""
    chunks: int


class Sink(Protocol):
    """A target of one delivery, for one attempt.

    Calls come one after the other, from any thread. Each raises ``SinkError``; one that the target does not answer
    raises ``SinkUnavailable``, and whether it was carried out is seen by the next attempt, in ``begin``.
    """

    def begin(self, delivery: Delivery) -> frozenset[int]:
        """Take the target over from earlier attempts; gives the sequences of chunks that it holds already.

        From here on nothing of an earlier attempt is taken: its next call raises ``SinkFenced``. The table is made,
        checked against the columns, and widened, as the target says. Raises ``SinkFenced`` where a later attempt has
        begun, and ``SinkError`` for a table that is not as the columns need it.
        """

    def load(self, claim: Claim, columns: Sequence[Sequence[str | None]]) -> None:
        """Take a chunk and its entry in the ledger: both, or nothing.

        ``columns`` has ``claim.rows`` texts of each column, null as None. A chunk that is there already changes
        nothing. Raises ``RowsRefused`` for values that the table does not take.
        """

    def finish(self) -> Receipt:
        """Make all chunks seen, in one step where the mode has one. To repeat it gives the same receipt.

        Raises ``SinkError`` where chunks or rows are missing.
        """

    def abandon(self) -> None:
        """Remove what was loaded aside and not made seen, and what the ledger says of it. Repeating it is harmless.

        Rows that ``append`` has loaded stay where they are, for others may have used them; and so does what the ledger
        says of them: a delivery that is loaded after all adds none twice.
        """

    def interrupt(self) -> None:
        """End what is under way, from any thread: it raises ``SinkUnavailable`` soon, as all does that begins later."""

    def close(self) -> None:
        """Let go of the connection. Repeating it is harmless."""
