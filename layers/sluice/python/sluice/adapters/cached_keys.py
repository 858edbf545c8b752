"""API keys of a store that costs a network call, at hand for every request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from sluice.ports.clock import Clock
from sluice.ports.key_store import Keys, KeyStore
from sluice.ports.store_errors import StoreError

FRESH_S = 10.0
"""Keys read this long ago are used as they are."""
USABLE_S = 30.0
"""Keys read this long ago are used once more, while they are read again beside the request."""
FAILED_S = 1.0
"""How long a failure is repeated to callers before the store is asked again."""


class _Cached(NamedTuple):
    keys: Keys
    read_at: float


class _Failed(NamedTuple):
    error: StoreError
    failed_at: float


class RememberedKeys:
    """Implements ``KeyStore``. A key that was made or revoked elsewhere is so here within ``USABLE_S``.

    A call waits for the store only when it is the first, or the first after a
    pause. Keys older than ``USABLE_S`` are not used: when the store does not
    answer, ``read`` raises what it raised.
    """

    def __init__(self, store: KeyStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._reading = threading.Lock()
        self._cached: _Cached | None = None
        self._failed: _Failed | None = None

    def read(self) -> Keys:
        cached, now = self._cached, self._clock.monotonic()
        if cached is None or now - cached.read_at >= USABLE_S:
            return self._read_now()
        if now - cached.read_at >= FRESH_S and not self._reading.locked():
            threading.Thread(target=self._read_beside, name="keys", daemon=True).start()
        return cached.keys

    def change(self, edit: Callable[[Keys], Keys]) -> Keys:
        """Change the store, and hold what it then holds."""
        return self._hold(self._store.change(edit))

    def _read_beside(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                self._hold(self._store.read())
            except StoreError:
                return  # the keys at hand are good for a while; then the next reader gets the error
            finally:
                self._reading.release()

    def _read_now(self) -> Keys:
        with self._reading:
            now = self._clock.monotonic()
            if self._cached is not None and now - self._cached.read_at < FRESH_S:
                return self._cached.keys  # another thread was faster
            if self._failed is not None and now - self._failed.failed_at < FAILED_S:
                raise self._failed.error
            try:
                return self._hold(self._store.read())
            except StoreError as error:
                self._failed = _Failed(error, self._clock.monotonic())
                raise

    def _hold(self, keys: Keys) -> Keys:
        """Keep the tuple that is known already when nothing changed, as the port asks."""
        if self._cached is not None and self._cached.keys == keys:
            keys = self._cached.keys
        self._cached = _Cached(keys, self._clock.monotonic())
        return keys
