"""Asks for a composer through the bucket's own trigger: puts the manifest again."""

from __future__ import annotations

from sluice.domain.keys import ManifestRef, manifest_key
from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import NoSuchObject


class ManifestPutInvoker:
    """Puts the manifest again, where nothing but the trigger starts composers. Needs to read and put manifests.

    A manifest that was never put (the process that sealed the task died before it could)
    is put as an empty object: the composer goes by the digest in the row, finds
    that this is not it, and makes the list from the row.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the trigger knows no attempts
        """Put the manifest as it is. Raises what the store raises."""
        key = manifest_key(manifest.task, manifest.sha)
        try:
            data = self._objects.get(key)
        except NoSuchObject:
            data = b""
        self._objects.put(key, data)
