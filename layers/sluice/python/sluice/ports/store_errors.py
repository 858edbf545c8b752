"""What a store may answer besides yes; shared by every adapter of a store.

An ``except`` needs a class, so these are real exceptions beside the Protocols.
"""

from __future__ import annotations


class StoreError(Exception):
    """Root of what a store port raises."""

    code_shown = "STORE_UNAVAILABLE"
    """The error code that a caller is answered; a text, since a client has these classes and no codes."""


class OutcomeUnknown(StoreError):
    """The call may or may not have happened: a time-out, a reset, a server error.

    Resolved only by repeating the same idempotent call or by reading back;
    never by assuming, and nothing may be cleaned up meanwhile.
    """

    def __init__(self, *details: object, retry_after_s: float = 0) -> None:
        """``retry_after_s`` is how long the store asks to be left alone; 0 when it does not say."""
        super().__init__(*details)
        self.retry_after_s = retry_after_s


class StoreRefused(StoreError):
    """A store does not let us in, or what the settings name is not there: nothing happened, and repeating is no use.

    An operator must act. The message is for them and holds no secret; to a
    caller of the service the store is unavailable.
    """

    def __init__(self, message: str = "", *, code: str = "", ec: str = "", request_id: str = "") -> None:
        """``code``, ``ec`` (the finer code, where there is one) and ``request_id`` are the vendor's own words."""
        super().__init__(message)
        self.code = code
        self.ec = ec
        self.request_id = request_id


class ForeignObjects(StoreRefused):
    """The objects in the store belong to other task rows, or those of the rows are in another: nothing is changed."""


TENANT_SHARE = "TENANT_SHARE"
"""The code of a ``StoreFull`` that concerns one tenant alone, which has its share of the room that is left."""


class StoreFull(StoreRefused):
    """There is no room: nothing happened. It works again by itself once there is some."""

    code_shown = "STORAGE_FULL"


class NewerSchemaError(Exception):
    """What is stored was written by a newer release, which this one cannot read. Says what an operator does."""


class NoSuchObject(StoreError):
    """There is no object with this key."""


class DamagedObject(StoreError):
    """The store no longer has the bytes that it was given: a disk lost some, or another program wrote them."""


class NoSuchUpload(StoreError):
    """The upload was completed or aborted, by us or by another process."""


class InvalidParts(StoreError):
    """The parts named at completion are not the parts that were put."""


class BehindTheEnd(StoreError):
    """A range begins where its object has ended. Inside adapters only: a read of such a range yields nothing."""
