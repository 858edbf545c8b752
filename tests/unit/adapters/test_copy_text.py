"""Rows of COPY are taken apart as they are, wherever blocks of them end; texts become literals and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.adapters.databases.postgresql_literals import NoLiteral, literal, quoted_name
from sluice.adapters.sources import copy_text
from sluice.adapters.sources.copy_text import RowCutter, cells_of, column_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
CELLS = st.one_of(st.none(), TEXTS, st.sampled_from(["\\N", "\\", "\\\\N", "\t", "\n", "\\t", "N", ""]))
ESCAPED = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def sent(rows: list[list[str | None]]) -> bytes:
    """As PostgreSQL's manual says that COPY writes them."""
    lines = [
        "\t".join("\\N" if cell is None else "".join(ESCAPED.get(c, c) for c in cell) for cell in row) for row in rows
    ]
    return "".join(line + "\n" for line in lines).encode()


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=12), st.integers(1, 50), st.integers(1, 40))
def test_cells_come_back_wherever_blocks_end(rows: list[list[str | None]], block: int, slice_bytes: int) -> None:
    data = sent(rows)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(copy_text, "SLICE_ROWS", 2)
        patched.setattr(copy_text, "SLICE_BYTES", slice_bytes)
        cutter = RowCutter(3)
        runs = [run for at in range(0, len(data), block) for run in cutter.add(data[at : at + block])]
        runs += cutter.rest()
    for at in range(3):
        assert [cell for run in runs for cell in column_of(run, at, 3)] == [row[at] for row in rows]
    assert all(len(run) in {3, 6} for run in runs)


def test_bytes_that_are_no_text_are_seen_by_the_check_of_values() -> None:
    for byte in (0x80, 0xC0, 0xFD, 0xFE, 0xFF):
        first, null = column_of(cells_of(b"a" + bytes([byte]) + b"\t\\N\n"), 0, 1)
        assert null is None
        with pytest.raises(UnicodeEncodeError):
            str(first).encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "E''"),
        ("it's", "E'it''s'"),
        ("\\'; DROP TABLE t; --", "E'\\\\''; DROP TABLE t; --'"),
        ("a\nb", "E'a\nb'"),
        (5, "E'5'"),
        (2**70, f"E'{2**70}'"),
        (5.0, "E'5'"),
        (0.1, "E'0.1'"),
        (float("inf"), "E'inf'"),
    ],
)
def test_a_literal_is_a_text_in_quotes(value: str | float, expected: str) -> None:
    assert literal(value) == expected


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_the_server_cannot_store_is_no_literal(value: str) -> None:
    with pytest.raises(NoLiteral):
        literal(value)


def test_a_name_stays_one() -> None:
    assert quoted_name('a"; DROP TABLE t; --') == '"a""; DROP TABLE t; --"'
