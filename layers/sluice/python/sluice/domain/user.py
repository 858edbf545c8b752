"""A person for whom an application calls, as its credential says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from sluice.domain.pulled import Value

Attribute: TypeAlias = Value | tuple[Value, ...]
USER_CHARS_MAX = 255
"""Of a user's name."""
PERMISSIONS_MAX = 1_000
"""Of one user."""
ATTRIBUTE = ":user."
"""Begins the place of what is known of the user in a definition."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what is known of them. All of it comes from a verified credential."""

    name: str
    permissions: frozenset[str] = frozenset()
    attributes: Mapping[str, Attribute] = {}
    """By what follows ``:user.``; ``id`` and ``tenant`` are among them."""

    def may(self, permission: str | None) -> bool:
        """Whether the user has the permission; none is needed where there is none."""
        return permission is None or permission in self.permissions
