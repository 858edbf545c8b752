"""Who watches exports by their addresses, and how many at a time may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sluice.api.auth import NO_KEY, Principal, Shares
from sluice.domain.api_key import Scope
from sluice.domain.keys import TenantId, Watched
from sluice.domain.task import Task

WATCHERS_PART = 0.2
"""Of the requests under way, beside those with keys and those with links: who has an address may pass it on."""
OF_ADDRESS_MAX = 20
"""Requests with one address at a time: a page open in several tabs, not a crowd."""


class SignsWatches(Protocol):
    def mint(self, task: Task) -> str:
        """The address at which anyone who has it may watch the task."""

    def read(self, token: str) -> Watched:
        """What a token is for. Raises PERMISSION_DENIED unless it is one of ours."""


class Watches:
    """The addresses of one server, and the shares of those who come with one."""

    def __init__(self, signer: SignsWatches, *, requests_max: int, tenant_share: float) -> None:
        total = max(1, int(requests_max * WATCHERS_PART))
        self.mint = signer.mint
        self.read = signer.read
        self._of_tenants = Shares(total, share=tenant_share, what="watchers")
        self._of_addresses = Shares(total, share=min(1, OF_ADDRESS_MAX / total), what="watchers", of="address")

    def take(self, watched: Watched, *, is_open: bool) -> tuple[Principal, Callable[[], None]]:
        """Let one in; returns as whom, and what gives its place back. Raises QUEUE_FULL."""
        scopes = frozenset({Scope.READ})
        principal = Principal(tenant=watched.ref.tenant, key_id=NO_KEY if is_open else "watch", scopes=scopes)
        of_address = self._of_addresses.take(
            Principal(tenant=TenantId(watched.ref.task_id), key_id="watch", scopes=scopes)
        )
        try:
            of_tenant = self._of_tenants.take(principal)
        except BaseException:
            of_address()
            raise

        def give_back() -> None:
            of_address()
            of_tenant()

        return principal, give_back
