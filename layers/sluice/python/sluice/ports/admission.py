"""Whether the service can take on one more export now."""

from __future__ import annotations

from typing import Protocol


class Admission(Protocol):
    def admit(self) -> None:
        """Let one more export be opened, or raise ``SluiceError`` QUEUE_FULL with ``retry_after_s``.

        Never waits: who has time to wait asks ``has_room`` until then. Reserves nothing.
        """

    def has_room(self) -> bool:
        """Whether ``admit`` would let an export in now. Cheap, and of no consequence."""
