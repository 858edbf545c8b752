"""Which Tablestore table we use, and as whom; loads nothing of the vendor's."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.adapters.aliyun.credentials import CredentialsSource


@dataclass(frozen=True, slots=True, kw_only=True)
class TablestoreAccess:
    """Which table, where, and who we are."""

    endpoint: str
    """``https://{instance}.{region}.tablestore.aliyuncs.com`` or its ``-vpc`` form; without a scheme, HTTPS."""
    instance: str
    region: str
    """Signs by the newer scheme; empty for the older one."""
    table: str
    credentials: CredentialsSource

    @property
    def url(self) -> str:
        return self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"
