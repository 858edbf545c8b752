"""Whether rows of some columns can be rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sluice.domain.suggestion import did_you_mean
from sluice.ports.sink import SinkError


class _TakesValues(Protocol):
    @property
    def is_computed(self) -> bool:
        """The server gives it its values."""

    @property
    def is_needed(self) -> bool:
        """It takes no null, and has no default."""


def check_columns(there: Mapping[str, _TakesValues], names: Sequence[str], key: Sequence[str], place: str) -> None:
    """Raises ``SinkError`` where they cannot; it says the way out."""
    if unkeyed := [name for name in key if name not in names]:
        near = did_you_mean(unkeyed[0], names)
        raise SinkError(f"{place}: the rows have no column {', '.join(unkeyed)}, which is of the key{near}")
    if lacking := [name for name in names if name not in there]:
        near = did_you_mean(lacking[0], there)
        raise SinkError(
            f"{place} has no column {', '.join(lacking)}{near}; it has {', '.join(there)}. Rename the columns of the "
            "rows, add them to the table, or set schema: evolve"
        )
    if computed := [name for name in names if there[name].is_computed]:
        raise SinkError(f"{place} computes its column {', '.join(computed)} itself: leave it out of the rows")
    if needed := [name for name, column in there.items() if column.is_needed and name not in names]:
        raise SinkError(
            f"{place} takes no row without a value in {', '.join(needed)}, and the rows have no such column"
        )


def missing_chunks(place: str, loaded: tuple[int, int], wanted: tuple[int, int]) -> SinkError:
    """For a delivery that is to end before it is whole; each has chunks and rows."""
    (chunks, rows), (of_chunks, of_rows) = loaded, wanted
    return SinkError(f"{place}: {chunks} chunks of {of_chunks} and {rows} rows of {of_rows} are loaded")


def not_made(place: str) -> SinkError:
    """For a table that was made just now and is not found."""
    return SinkError(f"{place} cannot be made under its name: it is longer than the server takes")


def gone(place: str) -> SinkError:
    """For a table that is no longer there, though rows of the delivery were loaded into it."""
    return SinkError(f"{place} is gone, and rows of this run with it, which were loaded before: begin another run")
