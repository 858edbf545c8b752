"""How what Sluice keeps beside a target is called there."""

from __future__ import annotations

import hashlib

DELIVERIES, LEDGER = "sluice_deliveries", "sluice_ledger"
_SIDE, _FORMER = "sluice_side_", "sluice_former_"
FENCED = "a later attempt of the delivery has the table"
ORDER = "sluice_order"
"""The column of a side table that says where a row stands in the delivery."""
_ROWS_BITS = 32


def side_name(delivery: str) -> str:
    """The table that rows of a delivery wait in."""
    return _SIDE + _digest(delivery)


def former_name(delivery: str) -> str:
    """The table that a delivery has replaced, until it is removed."""
    return _FORMER + _digest(delivery)


def places_of(sequence: int, rows: int) -> list[str]:
    """Where the rows of a chunk stand in the delivery: by chunk, then by row."""
    first = sequence << _ROWS_BITS
    return list(map(str, range(first, first + rows)))


def _digest(delivery: str) -> str:
    return hashlib.sha256(delivery.encode()).hexdigest()[:32]
