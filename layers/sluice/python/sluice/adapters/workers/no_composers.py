"""What a process without composers has in their place."""

from __future__ import annotations

from sluice.domain.keys import ManifestRef, TenantId


class NoComposers:
    """Implements ``Invoker`` by dropping triggers, which the port allows, and ``Admission`` by letting every export in.

    A task sealed by such a process is found by the sweeper of a process that has composers.
    """

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        """Drop the trigger."""

    def admit(self, tenant: TenantId) -> None:
        """Let the export in."""

    def has_room(self, tenant: TenantId) -> bool:  # noqa: ARG002 - the port's signature
        return True
