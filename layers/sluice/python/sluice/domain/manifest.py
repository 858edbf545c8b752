"""The sealed list of a task's chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

SHA_CHARS = 32
"""Digests in names are the first 128 bits of a SHA-256, in hexadecimal."""


def short_sha(data: bytes) -> str:
    """The digest that names chunks and manifests."""
    return hashlib.sha256(data).hexdigest()[:SHA_CHARS]


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """The acknowledged fact that ``sequence`` is the batch with digest ``sha``."""

    sequence: int
    sha: str
    rows: int
    size: int
    """Canonical bytes, uncompressed."""


class Manifest(msgspec.Struct, frozen=True):
    """Which chunks make the file, in order."""

    tenant: str
    task_id: str
    source_task: str
    """Whose chunks they are; the task itself unless it renders another's again."""
    rows: int
    chunks: tuple[Claim, ...]
    version: int = 1

    @classmethod
    def seal(cls, *, tenant: str, task_id: str, source_task: str, claims: Iterable[Claim]) -> Manifest:
        """List ``claims`` by sequence."""
        chunks = tuple(sorted(claims, key=lambda claim: claim.sequence))
        return cls(tenant, task_id, source_task, sum(chunk.rows for chunk in chunks), chunks)

    def encode(self) -> bytes:
        """Canonical JSON; its digest names the manifest."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Raises ``msgspec.MsgspecError`` when ``data`` is no manifest."""
        return msgspec.json.decode(data, type=cls)

    @property
    def size(self) -> int:
        """Canonical bytes of all chunks."""
        return sum(chunk.size for chunk in self.chunks)
