"""Writes rows as PostgreSQL's COPY takes them, column by column: no step for each cell where none needs one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluice.adapters.sinks.losses import REFUSED_MAX, decoded
from sluice.ports.sink import RowsRefused

PIECE_ROWS = 1_000
_NULL = "\\N"
_EMPTY: dict[str | None, str] = {None: ""}
_NULLS: dict[str | None, str] = {None: _NULL}
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
"""The backslash first."""


def copy_rows(columns: Sequence[Sequence[str | None]], names: Sequence[str]) -> Iterator[bytes]:
    """Lines of cells with tabs between them, some rows at a time, so that the server reads while others are written.

    Raises ``RowsRefused``, before the first, for a NUL, which no text of PostgreSQL has.
    """
    texts = [_column(values, name) for values, name in zip(columns, names, strict=True)]
    starts = range(0, len(texts[0]), PIECE_ROWS)
    return (_joined([column[start : start + PIECE_ROWS] for column in texts]).encode() for start in starts)


def _joined(texts: Sequence[Sequence[str]]) -> str:
    """Rows line by line; a step for each row is taken for the break between its last cell and the next one's first."""
    first, *between, last = texts if len(texts) > 1 else [*texts, ()]
    if not last:
        return "".join(("\n".join(first), "\n"))
    width = len(texts) - 1
    cells = [""] * (len(first) * width + 1)
    cells[0], cells[-1] = first[0], f"{last[-1]}\n"
    for at, column in enumerate(between, 1):
        cells[at::width] = column
    cells[width:-1:width] = list(map("\n".join, zip(last[:-1], first[1:], strict=True)))
    return "\t".join(cells)


def _column(values: Sequence[str | None], name: str) -> Sequence[str]:
    has_null = None in values
    joined = "\0".join(map(_EMPTY.get, values, values) if has_null else values)  # type: ignore[arg-type]  # no None left
    if values and joined.count("\0") >= len(values):
        rows = [row for row, value in enumerate(values) if value is not None and "\0" in value]
        reason = "a text has a NUL character, which no text of PostgreSQL can have"
        raise RowsRefused(reason, rows=rows[:REFUSED_MAX], column=name)
    if not any(character in joined for character, _ in _ESCAPES):
        return list(map(_NULLS.get, values, values)) if has_null else values  # type: ignore[arg-type,return-value]  # so too
    for character, escaped in _ESCAPES:
        joined = joined.replace(character, escaped)
    texts = joined.split("\0")
    return [_NULL if value is None else text for value, text in zip(values, texts, strict=True)] if has_null else texts


def hexadecimal(values: Sequence[str | None], name: str) -> Sequence[str | None]:
    """Bytes that come as base64, as PostgreSQL writes bytes. Raises ``RowsRefused`` for what is no base64."""
    return [None if value is None else f"\\x{value.hex()}" for value in decoded(values, name)]
