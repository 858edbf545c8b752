"""Cells hold text or its UTF-8, and nobody can tell which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tables.batch import Batch, Cells
from sluice.tables.values.slices import chars_of, slices

TEXTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6), min_size=1)


def stored(texts: list[str]) -> Cells:
    return Cells.stored("\0".join(texts).encode())


@given(TEXTS)
def test_stored_cells_are_the_cells_they_were_made_of(texts: list[str]) -> None:
    made = Cells.of(texts)
    assert stored(texts) == made
    assert (stored(texts).text, stored(texts).data) == (made.text, made.data)
    assert stored(texts).texts(len(texts)) == texts
    assert not stored(texts).has_nul
    assert repr(stored(texts)) == repr(made)


def test_cells_of_other_texts_or_nulls_differ() -> None:
    assert stored(["a", "b"]) != Cells.of(["a", "c"])
    assert stored(["a", ""]) != Cells.of(["a", None])
    assert Cells.stored(b"a\0", b"\0\1") == Cells.of(["a", None])
    assert Cells.of(["a"]) != "a"


def test_cells_with_a_nul_are_a_list_and_never_joined() -> None:
    cells = Cells.of(["a\0b", "c"])
    assert cells.has_nul
    assert cells.joined == ["a\0b", "c"]
    with pytest.raises(TypeError, match="NUL"):
        _ = cells.data


def test_text_that_is_no_text_has_no_data() -> None:
    with pytest.raises(UnicodeEncodeError):
        _ = Cells.of(["\ud800"]).data


def test_stored_cells_are_decoded_only_when_their_text_is_asked_for() -> None:
    cells = Cells.stored(b"\xff")
    assert (cells.data, cells.joined) == (b"\xff", b"\xff")
    with pytest.raises(UnicodeDecodeError):
        _ = cells.text


@given(st.lists(st.tuples(st.text("a報🎁", max_size=5), st.text("b", max_size=3)), max_size=40), st.integers(1, 50))
def test_slices_are_the_same_rows_in_either_form(rows: list[tuple[str, str]], chars_max: int) -> None:
    made = Batch.of_rows(rows, 2)
    kept = Batch(made.rows, tuple(Cells.stored(cells.data, cells.nulls) for cells in made.columns))
    for batch in (made, kept):
        pieces = list(slices(batch, rows_max=7, chars_max=chars_max))
        assert [row for piece in pieces for row in piece.to_rows()] == rows
        assert all(piece.rows == 1 or chars_of(piece) <= 2 * chars_max for piece in pieces)
