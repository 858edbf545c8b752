"""A file's checksums are those of its bytes, however it was cut, and taking them changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from sluice.tables.bytes.digests import Digest, digested
from tests.contracts.crc64_oracle import crc64_oracle

CHECK = b"123456789"
CRC64_XZ_OF_CHECK = 0x995DC9BBDF1939FA
"""From the catalogue of parametrised CRC algorithms, CRC-64/XZ."""
DATA = bytes(range(256)) * 41


def test_the_crc_is_the_one_that_the_catalogue_names() -> None:
    digest = Digest()
    digest.update(CHECK)
    assert digest.crc64 == str(CRC64_XZ_OF_CHECK)


@pytest.mark.parametrize("block_bytes", [1, 7, 256, len(DATA) - 1, len(DATA), len(DATA) + 1])
def test_the_digest_does_not_depend_on_how_the_file_is_cut(block_bytes: int) -> None:
    blocks = [DATA[start : start + block_bytes] for start in range(0, len(DATA), block_bytes)]
    digest = Digest()
    assert list(digested(blocks, digest)) == blocks
    assert digest.sha256 == hashlib.sha256(DATA).hexdigest()
    assert digest.crc64 == crc64_oracle(DATA)
    assert digest.size == len(DATA)


def test_an_empty_stream_has_the_digest_of_nothing() -> None:
    digest = Digest()
    assert list(digested([], digest)) == []
    assert (digest.sha256, digest.crc64, digest.size) == (hashlib.sha256().hexdigest(), "0", 0)


def test_blocks_pass_one_by_one_as_the_very_same_objects() -> None:
    digest = Digest()
    blocks = [b"a" * 10, b"b" * 20]
    stage = digested(iter(blocks), digest)
    assert digest.size == 0
    assert next(stage) is blocks[0]
    assert digest.size == 10
    assert next(stage) is blocks[1]
    assert digest.size == 30


def test_an_exception_of_the_source_passes_through() -> None:
    def source() -> Iterator[bytes]:
        yield b"x"
        raise OSError("gone")

    digest = Digest()
    stage = digested(source(), digest)
    assert next(stage) == b"x"
    with pytest.raises(OSError, match="gone"):
        next(stage)
    assert digest.size == 1
