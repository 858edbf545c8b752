"""The sealed list of a task's chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from sluice.domain.keys import TaskRef

SHA_CHARS = 32
"""Digests in names are the first 128 bits of a SHA-256, in hexadecimal."""


def short_sha(data: bytes) -> str:
    """The digest that names chunks and manifests."""
    return hashlib.sha256(data).hexdigest()[:SHA_CHARS]


def sequence_ranges(sequences: Iterable[int]) -> list[tuple[int, int]]:
    """The first and last of each run of numbers that follow one another, in order."""
    ranges: list[tuple[int, int]] = []
    for sequence in sorted(sequences):
        if ranges and sequence == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], sequence
        else:
            ranges.append((sequence, sequence))
    return ranges


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """The acknowledged fact that ``sequence`` is the batch with digest ``sha``."""

    sequence: int
    sha: str
    rows: int
    size: int
    """Canonical bytes, uncompressed."""
    sheet: int = 0
    """Index of the declared table that the rows belong to."""


class Manifest(msgspec.Struct, frozen=True):
    """Which chunks make the file, in the order of its rows: by table, then by sequence."""

    tenant: str
    task_id: str
    source_task: str
    """Whose chunks they are; the task itself unless it renders another's again."""
    rows: int
    chunks: tuple[Claim, ...]
    version: int = 1

    @classmethod
    def seal(cls, ref: TaskRef, claims: Iterable[Claim], *, source_task: str = "") -> Manifest:
        """List ``claims`` table by table, each by sequence."""
        chunks = tuple(sorted(claims, key=lambda claim: (claim.sheet, claim.sequence)))
        return cls(ref.tenant, ref.task_id, source_task or ref.task_id, sum(chunk.rows for chunk in chunks), chunks)

    @classmethod
    def of_table(cls, ref: TaskRef, claims: Iterable[Claim], sheet: int, *, source_task: str) -> Manifest:
        """List the chunks of one of the tables of another task, which is the only one here."""
        chosen = (msgspec.structs.replace(claim, sheet=0) for claim in claims if claim.sheet == sheet)
        return cls.seal(ref, chosen, source_task=source_task)

    def encode(self) -> bytes:
        """Canonical JSON; its digest names the manifest.

        A claim of the first table is written without its sheet, as every claim was before there were several.
        """
        written = msgspec.to_builtins(self)
        written["chunks"] = [claim if claim[-1] else claim[:-1] for claim in written["chunks"]]
        return msgspec.json.encode(written)

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Raises ``msgspec.MsgspecError`` when ``data`` is no manifest."""
        return msgspec.json.decode(data, type=cls)

    @property
    def size(self) -> int:
        """Canonical bytes of all chunks."""
        return sum(chunk.size for chunk in self.chunks)

    def sheet_rows(self, sheets: int) -> tuple[int, ...]:
        """Rows of each of the first ``sheets`` tables."""
        rows = [0] * sheets
        for chunk in self.chunks:
            rows[chunk.sheet] += chunk.rows
        return tuple(rows)

    def sheet_size(self, sheet: int) -> int:
        """Canonical bytes of one table's chunks."""
        return sum(chunk.size for chunk in self.chunks if chunk.sheet == sheet)
