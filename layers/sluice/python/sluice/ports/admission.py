"""Whether the service can take on one more export now."""

from __future__ import annotations

from typing import Protocol

from sluice.domain.keys import TenantId


class Admission(Protocol):
    def admit(self, tenant: TenantId) -> None:
        """Let ``tenant`` open one more export, or raise ``SluiceError`` QUEUE_FULL with ``retry_after_s``.

        Never waits: who has time to wait asks ``has_room`` until then. Reserves nothing.
        """

    def has_room(self, tenant: TenantId) -> bool:
        """Whether ``admit`` would let an export in now. Cheap, and of no consequence."""
