"""Says of a server's errors what they are for a sink; the sessions raise those of sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from sluice.ports.sink import RowsRefused, SinkError, SinkUnavailable
from sluice.ports.source import SourceError, SourceUnavailable

_REASONS = MappingProxyType(
    {
        "22001": "a text is longer than its column takes",
        "22003": "a number is out of the range of its column",
        "22007": "a text is no date or time as its column takes them",
        "22008": "a date or time is out of the range of its column",
        "22021": "a text has a character that the server cannot keep",
        "22P02": "a text is no value of the type of its column",
        "22P04": "a row has other columns than the table",
        "23502": "there is no value where the table needs one",
        "23503": "it refers to a row that is not there",
        "23505": "another row has the same key",
        "23514": "it breaks a rule of the table",
        "23P01": "it is in conflict with another row",
        "P0001": "a trigger of the table refuses it",
    }
)
_CLASSES = MappingProxyType({"22": "a value is none of its column", "23": "it breaks a rule of the table"})


@contextmanager
def sink_errors(place: str) -> Iterator[None]:
    """Errors of a session within become the sink's, of ``place``, the table."""
    try:
        yield
    except SourceUnavailable as error:
        raise SinkUnavailable(f"{place}: {error}") from None
    except SourceError as error:
        raise SinkError(f"{place}: {error}") from None


def refusal_of(state: str, rows: Sequence[int], column: str, constraint: str) -> RowsRefused:
    """Why a server does not take rows, by its SQLSTATE; names are empty where it gives none."""
    reason = _REASONS.get(state) or _CLASSES.get(state[:2], "the server refuses it")
    rule = f" ({constraint})" if constraint else ""
    return RowsRefused(f"{reason}{rule}, SQLSTATE {state}", rows=rows, column=column)
