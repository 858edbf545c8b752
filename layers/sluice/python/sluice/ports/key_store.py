"""The store of API keys' hashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sluice.domain.api_key import ApiKey
from sluice.ports.store_errors import StoreRefused

Keys = tuple[ApiKey, ...]


class DamagedKeysError(StoreRefused):
    """The store holds something else than keys: no caller is let in, and an operator must act. Says how."""


class KeyStore(Protocol):
    def read(self) -> Keys:
        """All keys as of now, in the order they were added; the same tuple for as long as nothing changes.

        Cheap enough for every request. Raises ``StoreError`` when they cannot be read.
        """

    def change(self, edit: Callable[[Keys], Keys]) -> Keys:
        """Replace the keys by ``edit`` of the keys; returns them.

        Whole or not at all; changes at the same time, by any process, happen
        one after the other. What ``edit`` raises passes through and nothing changes.
        """
