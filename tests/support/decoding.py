"""Keeps the turns of decoding from those that a test calls with."""

from __future__ import annotations

from sluice.api.auth import NO_KEY, DecodingPlace, Principal
from sluice.api.service import Service
from sluice.domain.keys import TenantId

_TAKER = Principal(tenant=TenantId("taker-of-turns"), key_id=NO_KEY, scopes=frozenset())


def take_every_turn(service: Service) -> list[DecodingPlace]:
    """Take the turns that are free; each has its end by ``leave``."""
    return [service.decoding.ask(_TAKER) for _ in range(service.decoding.free)]
