"""Rows are written for COPY as they are read from it: what goes in is what comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.adapters.sinks.copy_rows import copy_rows
from sluice.adapters.sources.copy_text import cells_of, column_of
from sluice.ports.sink import RowsRefused

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("\\\t\n\rN"), max_size=5
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[st.none() | TEXTS] * width), min_size=1, max_size=6)
)


@given(rows=TABLES, piece=st.integers(1, 3))
def test_what_is_written_is_read_again(rows: list[tuple[str | None, ...]], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sluice.adapters.sinks.copy_rows.PIECE_ROWS", piece)
        check(rows)


def check(rows: list[tuple[str | None, ...]]) -> None:
    columns = list(zip(*rows, strict=True))
    written = b"".join(copy_rows(columns, ["c"] * len(columns)))
    cells = cells_of(written)
    assert [tuple(column_of(cells, at, len(columns))) for at in range(len(columns))] == columns
    assert written.count(b"\n") == len(rows)


def test_a_nul_is_refused_where_it_is() -> None:
    with pytest.raises(RowsRefused) as refused:
        copy_rows([["a", None, "b"], ["", "\0", "\0\0"]], ["one", "two"])
    assert (refused.value.rows, refused.value.column) == ((1, 2), "two")
