"""What a read shows of a row: the columns it asks for, their versions, and the filter over both."""

from __future__ import annotations

from typing import NamedTuple

from infra.emulators.tablestore.conditions import Predicate, always, read_predicate
from infra.emulators.tablestore.limits import READ_COLUMNS_MAX
from infra.emulators.tablestore.messages import Message
from infra.emulators.tablestore.plainbuffer import ReadCell, ReadRow
from infra.emulators.tablestore.refusals import invalid
from infra.emulators.tablestore.rows import Row, Versions


class View(NamedTuple):
    """What one read asks for."""

    names: frozenset[str]
    """Empty for all."""
    start_column: str
    end_column: str
    """Exclusive; empty for no end."""
    times: tuple[int, int] | None
    """From, and up to without it."""
    versions_max: int | None
    matches: Predicate

    def of(self, row: Row) -> ReadRow | None:
        """Return what this read sees of ``row``; None if it does not see the row at all.

        The filter looks at what is read, not at what is stored: a column that
        was not asked for is missing to it.
        """
        seen = Row(row.key, {name: kept for name in self._names(row) if (kept := self._kept(row.columns[name]))})
        if self.names and not seen.columns and self.names.isdisjoint(name for name, _ in row.key):
            return None
        if not self.matches(seen.versions_of):
            return None
        return ReadRow(
            row.key,
            [ReadCell(name, value, timestamp) for name, kept in seen.columns.items() for timestamp, value in kept],
        )

    def _names(self, row: Row) -> list[str]:
        names = self.names & row.columns.keys() if self.names else row.columns
        return sorted(name for name in names if self._in_range(name))

    def _in_range(self, name: str) -> bool:
        return name >= self.start_column and (not self.end_column or name < self.end_column)

    def _kept(self, versions: Versions) -> Versions:
        if self.times is not None:
            start, end = self.times
            versions = tuple(version for version in versions if start <= version.timestamp < end)
        return versions[: self.versions_max]


def read_view(request: Message) -> View:
    """Return what ``request``, any of the reads, asks for."""
    if not request.HasField("max_versions") and not request.HasField("time_range"):
        raise invalid("No version condition is specified while querying row.")
    if request.HasField("max_versions") and request.max_versions < 1:
        raise invalid("The max_versions must be greater than 0.")
    if len(request.columns_to_get) > READ_COLUMNS_MAX:
        raise invalid(f"The number of columns to get exceeds the limit: {READ_COLUMNS_MAX}.")
    return View(
        names=frozenset(request.columns_to_get),
        start_column=request.start_column,
        end_column=request.end_column,
        times=_times(request.time_range) if request.HasField("time_range") else None,
        versions_max=request.max_versions if request.HasField("max_versions") else None,
        matches=read_predicate(request.filter) if request.HasField("filter") else always,
    )


def _times(message: Message) -> tuple[int, int]:
    if message.HasField("specific_time"):
        return message.specific_time, message.specific_time + 1
    return message.start_time, message.end_time
