"""What the server was asked, as tests look at it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.emulators.tablestore.messages import Message
from infra.emulators.tablestore.plainbuffer_reading import read_row
from infra.emulators.tablestore.values import NamedKey

_ROW_FIELDS = ("primary_key", "row", "row_change")


@dataclass
class Call:
    """One request, in the list from when it came in."""

    operation: str
    message: Message = None
    """The request's protocol buffer; None if it could not be read or was not let in."""
    status: int = 0
    """Of the answer; 0 while there is none, and for ever if the connection was reset."""
    code: str = ""
    """The error's code; empty for none."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Name the tables or indexes it was about."""
        if self.message is None:
            return ()
        if hasattr(self.message, "tables"):
            return tuple(table.table_name for table in self.message.tables)
        if hasattr(self.message, "table_meta"):
            return (self.message.table_meta.table_name,)
        name = getattr(self.message, "table_name", "") or getattr(self.message, "main_table_name", "")
        return (name,) if name else ()

    @property
    def table(self) -> str:
        """Name the first of its tables; empty for none."""
        return self.tables[0] if self.tables else ""

    @property
    def keys(self) -> tuple[NamedKey, ...]:
        """Give the primary keys of its rows; those of a range's ends are none."""
        return tuple(read_row(row).key for row in _rows_of(self.message))

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns it changes, or asks for; empty for a read of all."""
        changed = tuple(change.name for row in _rows_of(self.message) for change in read_row(row).changes)
        return changed or tuple(name for part in _parts(self.message) for name in getattr(part, "columns_to_get", ()))

    @property
    def request_bytes(self) -> int:
        return 0 if self.message is None else int(self.message.ByteSize())


def _rows_of(message: Message) -> Iterator[bytes]:
    for part in _parts(message):
        for field in _ROW_FIELDS:
            encoded = getattr(part, field, b"")
            yield from filter(None, [encoded] if isinstance(encoded, bytes) else encoded)
        yield from (row.row_change for row in getattr(part, "rows", ()))


def _parts(message: Message) -> tuple[Message, ...]:
    """Return the message itself, or for a batch its tables."""
    if message is None or hasattr(message, "table_meta"):
        return ()
    return tuple(message.tables) if hasattr(message, "tables") else (message,)
