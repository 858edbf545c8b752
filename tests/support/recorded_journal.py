"""A journal that remembers."""

from __future__ import annotations

from typing import NamedTuple

from sluice.domain.events import Event


class Entry(NamedTuple):
    event: Event
    fields: dict[str, object]


class RecordedJournal:
    """Everything recorded, in order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, event: Event, **fields: object) -> None:
        self.entries.append(Entry(event, fields))

    def events(self) -> list[Event]:
        return [entry.event for entry in self.entries]

    def of(self, event: Event) -> list[dict[str, object]]:
        """The fields of every entry of one kind."""
        return [entry.fields for entry in self.entries if entry.event == event]
