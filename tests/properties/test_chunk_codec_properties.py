"""Any rows come back from their chunk, equal rows are the same chunk, and damage is never taken for rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.manifest import Claim
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import Chunk, decode_chunk, encode_batch
from tests.support.canonical_rows import Row, canonical_rows, sha32

MIB = 1024 * 1024
CELL = st.none() | st.text(st.sampled_from(["\0", "a", "é", "张", "🎁", '"']), max_size=5) | st.text(max_size=40)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Row], int]:
    width = draw(st.integers(1, 5))
    return draw(st.lists(st.tuples(*[CELL] * width), max_size=20)), width


def claim_of(chunk: Chunk) -> Claim:
    return Claim(3, chunk.sha, chunk.rows, chunk.size)


@pytest.mark.slow
@given(tables())
def test_any_rows_come_back_and_have_the_digest_of_the_specification(table: tuple[list[Row], int]) -> None:
    rows, width = table
    batch = Batch.of_rows(rows, width)
    chunk = encode_batch(batch)
    canonical = canonical_rows(rows, width)
    assert (chunk.sha, chunk.size, chunk.rows) == (sha32(canonical), len(canonical), len(rows))
    assert decode_chunk(chunk.body, claim_of(chunk), size_max=chunk.size) == batch


@pytest.mark.slow
@given(tables(), st.data())
def test_two_batches_have_one_digest_exactly_when_their_rows_are_equal(
    table: tuple[list[Row], int], data: st.DataObject
) -> None:
    rows, width = table
    other = [tuple(row) for row in rows]
    if rows:
        changed = data.draw(st.integers(0, len(rows) - 1))
        other[changed] = data.draw(st.just(other[changed]) | st.tuples(*[CELL] * width))
    one = encode_batch(Batch.of_rows(rows, width)).sha
    assert (encode_batch(Batch.of_rows(other, width)).sha == one) is (other == rows)


@given(tables(), st.data())
def test_damage_is_refused_or_harmless(table: tuple[list[Row], int], data: st.DataObject) -> None:
    batch = Batch.of_rows(*table)
    chunk = encode_batch(batch)
    position = data.draw(st.integers(0, len(chunk.body) - 1))
    piece = data.draw(st.binary(max_size=4))
    damaged = chunk.body[:position] + piece + chunk.body[position + len(piece) :]
    try:
        found = decode_chunk(damaged, claim_of(chunk), size_max=MIB)
    except SluiceError as error:
        found = None
        code = error.code
    assert found == batch or (found is None and code is ErrorCode.CHUNK_CORRUPT)


@pytest.mark.slow
@given(st.binary(max_size=300), st.integers(-1, 2**40), st.integers(-1, 2**40))
def test_garbage_is_refused_with_one_error(body: bytes, rows: int, size: int) -> None:
    with pytest.raises(SluiceError) as caught:
        decode_chunk(body, Claim(3, "0" * 32, rows, size), size_max=MIB)
    assert caught.value.code is ErrorCode.CHUNK_CORRUPT
