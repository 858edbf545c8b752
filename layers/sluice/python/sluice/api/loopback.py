"""Where a service may listen: for strangers only where there are keys."""

from __future__ import annotations

from sluice.api.auth import KeyRing, OpenRing, is_loopback


class KeysMissingError(Exception):
    """The service would let every caller in, or none."""


def require_keys_unless_loopback(host: str, ring: KeyRing | OpenRing) -> None:
    """Raise ``KeysMissingError`` when the service would listen on ``host`` for strangers, or for no caller."""
    if ring.has_keys():
        return
    if isinstance(ring, KeyRing):
        raise KeysMissingError("no API key exists, so nobody could call; make one: sluice keys add TENANT")
    if not is_loopback(host):
        raise KeysMissingError(
            f"listening on {host} without an API key would let everybody in; "
            "make a key (sluice keys add TENANT) or listen on 127.0.0.1"
        )
