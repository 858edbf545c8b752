"""What a store may answer besides yes; shared by every adapter of a store.

An ``except`` needs a class, so these are real exceptions beside the Protocols.
"""

from __future__ import annotations


class StoreError(Exception):
    """Root of what a store port raises."""


class OutcomeUnknown(StoreError):
    """The call may or may not have happened: a time-out, a reset, a server error.

    Resolved only by repeating the same idempotent call or by reading back;
    never by assuming, and nothing may be cleaned up meanwhile.
    """


class NoSuchObject(StoreError):
    """There is no object with this key."""


class NoSuchUpload(StoreError):
    """The upload was completed or aborted, by us or by somebody else."""


class InvalidParts(StoreError):
    """The parts named at completion are not the parts that were put."""
