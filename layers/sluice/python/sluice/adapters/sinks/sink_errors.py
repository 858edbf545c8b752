"""Says of a server's errors what they are for a sink; the sessions raise those of sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sluice.ports.sink import SinkError, SinkUnavailable
from sluice.ports.source import SourceError, SourceUnavailable


@contextmanager
def sink_errors(place: str) -> Iterator[None]:
    """Errors of a session within become the sink's, of ``place``, the table."""
    try:
        yield
    except SourceUnavailable as error:
        raise SinkUnavailable(f"{place}: {error}") from None
    except SourceError as error:
        raise SinkError(f"{place}: {error}") from None
