"""An invoker that remembers who rang, and runs nothing."""

from __future__ import annotations

from typing import NamedTuple

from sluice.domain.keys import ManifestRef


class Ring(NamedTuple):
    manifest: ManifestRef
    epoch: int


class RecordedInvoker:
    """Every ring, in order."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        self.rings.append(Ring(manifest, epoch))
