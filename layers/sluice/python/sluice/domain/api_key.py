"""An API key as the service keeps it: whose it is and what it allows, never the key itself."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sluice.domain.keys import TENANT_ID, TenantId


class Scope(StrEnum):
    """What a key allows. Of the first three each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    ACT_FOR = "act_for"
    """Calls for users of the application, whom the caller names. Stands beside the others, and is in none of them."""
    RUN_JOBS = "run_jobs"
    """Begins, previews and cancels runs of jobs. Stands beside the others too: no key has it that was not given it."""

    def includes(self, other: Scope) -> bool:
        """Whether who may do this may do ``other``."""
        if {self, other} & {Scope.ACT_FOR, Scope.RUN_JOBS}:
            return self is other
        ranks = list(Scope)
        return ranks.index(self) >= ranks.index(other)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key of one tenant. Times are Unix seconds, 0 for never."""

    key_id: str
    """Public half of the key; names it in lists and logs."""
    tenant: TenantId
    secret_sha256: str
    """SHA-256 of the secret half. The secret is 256 random bits, so a fast hash gives nothing away."""
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float = 0
    revoked_at: float = 0

    def __post_init__(self) -> None:
        if not TENANT_ID.fullmatch(self.tenant):
            raise ValueError("a key's tenant is 1 to 40 of a-z, 0-9 and -, and does not begin or end with -")
