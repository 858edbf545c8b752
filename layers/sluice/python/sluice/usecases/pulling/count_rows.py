"""Count the rows of a source that has no count of its own: by reading them."""

from __future__ import annotations

from sluice.ports.clock import Clock
from sluice.ports.source import COUNT_S, Source, SourceUnavailable


def count_rows(source: Source, limit: int, *, what: str, clock: Clock) -> int:
    """As ``Source.count``; ``what`` names the source where it takes too long."""
    until = clock.monotonic() + COUNT_S
    count = 0
    with source.reading() as slices:
        for part in slices:
            count += part.rows
            if count >= limit:
                return limit
            if clock.monotonic() > until:
                raise SourceUnavailable(f"the rows of {what} were not counted in {COUNT_S} seconds")
    return count
