"""What a chunk is, to the byte, and that nothing but what was acknowledged comes out of it."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.manifest import Claim
from sluice.tables.batch import Batch, Cells
from sluice.tables.chunk_codec import Chunk, decode_chunk, encode_batch
from tests.support.canonical_rows import canonical_rows, sha32

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors/chunks-v1.json").read_text())
MIB = 1024 * 1024
ORDERS = Batch.of_rows([("1", "张伟", None), ("2", "", "a\nb"), ("3", "=1+1", '"')], 3)


def claim_of(chunk: Chunk, sequence: int = 7) -> Claim:
    return Claim(sequence, chunk.sha, chunk.rows, chunk.size)


def chunk_of(canonical: bytes, *, rows: int) -> Chunk:
    """A stored chunk with any content under the right digest."""
    return Chunk(sha32(canonical), rows, len(canonical), raw_deflate(canonical, level=6))


def raw_deflate(data: bytes, *, level: int) -> bytes:
    compressor = zlib.compressobj(level, wbits=-15)
    return compressor.compress(data) + compressor.flush()


def raw_inflate(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=-15)


def refused(body: bytes, claim: Claim, *, size_max: int = MIB) -> str:
    """Why the chunk is corrupt."""
    with pytest.raises(SluiceError) as caught:
        decode_chunk(body, claim, size_max=size_max)
    assert caught.value.code is ErrorCode.CHUNK_CORRUPT
    assert caught.value.facts["sequence"] == claim.sequence
    return str(caught.value.facts["reason"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_frozen_vector_has_its_digest(vector: dict[str, Any]) -> None:
    chunk = encode_batch(Batch.of_rows(vector["rows"], vector["width"]))
    assert (chunk.sha, chunk.size, chunk.rows) == (vector["sha"], vector["size"], len(vector["rows"]))
    if "canonical" in vector:
        assert raw_inflate(chunk.body).hex() == vector["canonical"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_frozen_vector_comes_back(vector: dict[str, Any]) -> None:
    rows = [tuple(row) for row in vector["rows"]]
    stored = chunk_of(canonical_rows(rows, vector["width"]), rows=len(rows))
    batch = decode_chunk(stored.body, claim_of(stored), size_max=MIB)
    assert (batch.rows, len(batch.columns), batch.to_rows()) == (len(rows), vector["width"], rows)


@pytest.mark.parametrize("length", [65_535, 65_536])
@pytest.mark.parametrize("cell", ["x", "x\0"], ids=["joined", "listed"])
def test_lengths_are_in_their_shortest_form(cell: str, length: int) -> None:
    for rows in ([(cell * length,)], [(cell,)] * length, [(None,)] * length):
        canonical = canonical_rows(rows, 1)
        chunk = encode_batch(Batch.of_rows(rows, 1))
        assert (chunk.sha, chunk.size) == (sha32(canonical), len(canonical))


def test_row_17_numbers_are_texts_so_another_spelling_is_another_chunk() -> None:
    shas = {encode_batch(Batch.of_rows([(text,)], 1)).sha for text in ("1", "1.0", "01", "1e0", "+1", "", None)}
    assert len(shas) == 7


def test_row_17_the_same_rows_are_the_same_chunk_however_the_batch_was_built() -> None:
    rows = [("1", None), ("2", "x")]
    by_rows = encode_batch(Batch.of_rows(rows, 2))
    assert encode_batch(Batch.of_columns([["1", "2"], [None, "x"]], 2)) == by_rows


def test_row_63_a_batch_of_ten_thousand_nulls_is_small() -> None:
    batch = Batch.of_columns([[None] * 10_000] * 10, 10_000)
    chunk = encode_batch(batch)
    assert len(chunk.body) < 2_000
    assert decode_chunk(chunk.body, claim_of(chunk), size_max=MIB) == batch


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    batch = Batch.of_rows([("a", "b"), ("c", "ok \ud800")], 2)
    with pytest.raises(SluiceError) as caught:
        encode_batch(batch)
    assert caught.value.code is ErrorCode.INVALID_TEXT
    assert caught.value.facts == {"row": 2, "column_number": 2, "reason": "surrogate"}


def test_a_lone_surrogate_beside_a_nul_is_found_too() -> None:
    with pytest.raises(SluiceError) as caught:
        encode_batch(Batch.of_rows([("\0",), ("\udfff",)], 1))
    assert caught.value.facts["row"] == 2


@pytest.mark.parametrize(
    "cells", [Cells("a"), Cells("a\0b\0c"), Cells(["a\0"]), Cells("a\0b", b"\1"), Cells("a\0", b"\0\1\0")], ids=repr
)
def test_a_column_of_another_length_is_never_encoded(cells: Cells) -> None:
    with pytest.raises(ValueError, match="one cell per row"):
        encode_batch(Batch(2, (Cells("x\0y"), cells)))


@pytest.mark.parametrize("canonical", [
    msgspec.msgpack.encode([1, 2, [["a", b""]]]),
    msgspec.msgpack.encode([1, 2, [["a\0b", b""], ["a\0b\0c", b""]]]),
    msgspec.msgpack.encode([1, 2, [[["a\0"], b""]]]),
    msgspec.msgpack.encode([1, 2, [["a\0b", b"\1"]]]),
    msgspec.msgpack.encode([1, 0, [["a", b""]]]),
], ids=["too few", "too many", "list", "nulls", "none"])  # fmt: skip
def test_a_column_of_another_length_is_corrupt_even_under_the_right_digest(canonical: bytes) -> None:
    chunk = chunk_of(canonical, rows=msgspec.msgpack.decode(canonical)[1])
    assert refused(chunk.body, claim_of(chunk)) == "rows"


@pytest.mark.parametrize("canonical", [
    msgspec.msgpack.encode([2, 1, [["a", b""]]]),
    msgspec.msgpack.encode([1, 1, [["a", b""]], 0]),
    msgspec.msgpack.encode({"rows": 1}),
    msgspec.msgpack.encode([1, 1, [["a", b""]]]) + b"\xc0",
    msgspec.msgpack.encode([1, 1, [[7, b""]]]),
    msgspec.msgpack.encode([1, 1, [[b"a", b""]]]),
    b"\x93\x01\x01\x91\x92\x91\xa1\xff\xc4\x00",
    b"\xc1",
], ids=[
    "version 2", "a fourth item", "a map", "trailing", "a number", "no text", "a list not UTF-8", "no MessagePack",
])  # fmt: skip
def test_another_form_is_corrupt_even_under_the_right_digest(canonical: bytes) -> None:
    chunk = chunk_of(canonical, rows=1)
    assert refused(chunk.body, claim_of(chunk)) == "form"


def test_a_chunk_comes_back_as_it_was() -> None:
    chunk = encode_batch(ORDERS)
    assert decode_chunk(chunk.body, claim_of(chunk), size_max=chunk.size) == ORDERS


def test_a_chunk_over_the_size_limit_is_refused_and_at_the_limit_is_not() -> None:
    chunk = encode_batch(ORDERS)
    assert refused(chunk.body, claim_of(chunk), size_max=chunk.size - 1) == "size"
    assert decode_chunk(chunk.body, claim_of(chunk), size_max=chunk.size) == ORDERS
    assert decode_chunk(chunk.body, claim_of(chunk), size_max=chunk.size + 1) == ORDERS


@pytest.mark.parametrize("field", ["sha", "rows", "size", "size below", "no size", "negative size"])
def test_a_claim_that_says_something_else_is_refused(field: str) -> None:
    chunk = encode_batch(ORDERS)
    other: dict[str, dict[str, Any]] = {
        "sha": {"sha": "0" * 32},
        "rows": {"rows": chunk.rows + 1},
        "size": {"size": chunk.size + 1},
        "size below": {"size": chunk.size - 1},
        "no size": {"size": 0},
        "negative size": {"size": -1},
    }
    refused(chunk.body, msgspec.structs.replace(claim_of(chunk), **other[field]))


@pytest.mark.parametrize("mask", [0xFF, 0x01, 0x80])
def test_row_70_a_flipped_byte_is_refused(mask: int) -> None:
    chunk = encode_batch(ORDERS)
    for index in range(len(chunk.body) - 1):
        body = bytearray(chunk.body)
        body[index] ^= mask
        refused(bytes(body), claim_of(chunk))


def test_row_70_bits_after_the_end_of_the_stream_mean_nothing() -> None:
    chunk = encode_batch(ORDERS)
    outcomes = set()
    for bit in range(8):
        last = bytes([chunk.body[-1] ^ 1 << bit])
        with suppress(SluiceError):
            outcomes.add(decode_chunk(chunk.body[:-1] + last, claim_of(chunk), size_max=MIB) == ORDERS)
    assert outcomes <= {True}


def test_row_70_every_truncation_and_any_addition_is_refused() -> None:
    chunk = encode_batch(ORDERS)
    for length in range(len(chunk.body)):
        refused(chunk.body[:length], claim_of(chunk))
    assert refused(chunk.body + b"\0", claim_of(chunk)) == "length"


def test_row_70_chunks_swapped_between_sequences_are_refused() -> None:
    first = encode_batch(Batch.of_rows([("1",)], 1))
    second = encode_batch(Batch.of_rows([("2",)], 1))
    assert (first.size, first.rows) == (second.size, second.rows)
    assert refused(second.body, claim_of(first, 1)) == "content"
    assert refused(first.body, claim_of(second, 2)) == "content"


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_row_71_the_same_rows_compressed_another_way_are_accepted(level: int) -> None:
    chunk = encode_batch(ORDERS)
    again = raw_deflate(raw_inflate(chunk.body), level=level)
    assert decode_chunk(again, claim_of(chunk), size_max=MIB) == ORDERS


def test_row_71_another_container_is_refused() -> None:
    chunk = encode_batch(ORDERS)
    refused(zlib.compress(raw_inflate(chunk.body)), claim_of(chunk))


def test_a_bomb_is_not_inflated() -> None:
    bomb = raw_deflate(bytes(64 * MIB), level=9)
    tracemalloc.start()
    try:
        refused(bomb, Claim(1, "0" * 32, 1, 100))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < MIB
