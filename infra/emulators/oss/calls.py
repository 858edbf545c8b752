"""The record of what was asked."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """One request; recorded before its answer leaves, so that whoever has the answer finds the record."""

    operation: str
    bucket: str
    key: str
    status: int
    """What the store decided, heard or not; 0 when a fault kept it from deciding anything."""
    code: str = ""
    """Of an error."""
    fault: str = ""
    """The action the request met, by its class's name."""
    request_id: str = ""
