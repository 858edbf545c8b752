"""The public keys by which users' tokens are verified: those of a file, or those that an identity provider shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from threading import BoundedSemaphore, Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.clock import Clock
from sluice.ports.documents import DocumentError, FetchesDocument
from sluice.ports.journal import Journal

if TYPE_CHECKING:
    import jwt

UNREADABLE = (LookupError, ValueError, TypeError, ArithmeticError, RecursionError)
"""What a library raises for JSON of any depth, and for numbers of any size: a header is read before it is verified."""
PUBLIC_ALGORITHMS = frozenset({"RS256", "ES256"})
RSA_BITS_MIN = 2_048
"""RFC 7518, 3.3."""
CURVE = "secp256r1"
"""Of ES256 (RFC 7518, 3.4)."""
FRESH_S = 300.0
"""Keys that were fetched this long ago are used, while they are fetched again beside the request."""
USABLE_S = 4 * 3_600.0
"""How long the last good keys are used while the provider shows none."""
PAUSE_S = 10.0
"""Between two fetches, whatever keys are asked for."""
WAITING_MAX = 4
"""Callers that wait for a fetch; the others come again."""


class FindsKey(Protocol):
    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of this name, for one of the algorithms that are accepted. Raises STORE_UNAVAILABLE."""


class KnownKeys:
    """Implements ``FindsKey`` by keys that do not change."""

    def __init__(self, keys: Mapping[str, jwt.PyJWK]) -> None:
        self._keys = keys

    def find(self, kid: str) -> jwt.PyJWK | None:
        return self._keys.get(kid)


def read_key_set(data: bytes | str) -> dict[str, jwt.PyJWK]:
    """The keys of a JSON Web Key Set that can verify RS256 and ES256, by their names.

    What is no such key is left out: one without a name, for other work, of another curve, of an RSA modulus below
    2,048 bits; and both of two keys that have one name. Raises ValueError where none is left.
    """
    import jwt  # noqa: PLC0415  # an extra, for those who have users with tokens

    try:
        listed = list(json.loads(data)["keys"])
    except UNREADABLE as error:
        raise ValueError(f"it is no JSON Web Key Set ({type(error).__name__})") from None
    good = []
    for said in listed:
        try:
            key = jwt.PyJWK(said)
            if _is_good(key):
                good.append(key)
        except jwt.exceptions.MissingCryptographyError as error:
            raise ValueError(str(error)) from None
        except (jwt.PyJWTError, *UNREADABLE, AttributeError):
            continue
    names = [key.key_id for key in good]
    keys = {name: key for name, key in zip(names, good, strict=True) if name and names.count(name) == 1}
    if not keys:
        raise ValueError("it has no key for RS256 or ES256 with a kid")
    return keys


def _is_good(key: Any) -> bool:
    if not isinstance(key.key_id, str) or key.public_key_use not in {None, "sig"}:
        return False
    if key.algorithm_name == "RS256":
        return bool(key.key_type == "RSA" and key.key.key_size >= RSA_BITS_MIN)
    return bool(key.algorithm_name == "ES256" and key.key_type == "EC" and key.key.curve.name == CURVE)


class _Shown(NamedTuple):
    keys: Mapping[str, jwt.PyJWK]
    fetched_at: float


class FetchedKeys:
    """Implements ``FindsKey`` by what an identity provider shows at an address. Safe to use from any thread.

    A key that is not known is looked for there, by one fetch for all who ask,
    at most one in ``PAUSE_S``: a stranger who makes up names causes no more.
    So a new key is known within that time, and one that is withdrawn is refused
    after ``FRESH_S`` and the fetch beside the next request, or after
    ``USABLE_S`` where the provider gives no answer.
    """

    def __init__(self, document: FetchesDocument, *, clock: Clock, journal: Journal) -> None:
        self._document = document
        self._clock = clock
        self._journal = journal
        self._fetching = Lock()
        self._waiting = BoundedSemaphore(WAITING_MAX)
        self._asked_at: float | None = None
        self._shown: _Shown | None = None

    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of this name. Raises STORE_UNAVAILABLE where no keys are known, and while too many wait for them."""
        found = self._found(kid)
        if found is not None:
            self._refresh_beside()
            return found
        if self._is_due() or self._fetching.locked():
            self._refresh()
            found = self._found(kid)
        if found is None and self._usable() is None:
            raise SluiceError(ErrorCode.STORE_UNAVAILABLE, "The keys by which tokens are verified cannot be had now.")
        return found

    def _usable(self) -> _Shown | None:
        shown = self._shown
        return shown if shown is not None and self._clock.monotonic() - shown.fetched_at < USABLE_S else None

    def _found(self, kid: str) -> jwt.PyJWK | None:
        shown = self._usable()
        return shown.keys.get(kid) if shown is not None else None

    def _is_due(self) -> bool:
        return self._asked_at is None or self._clock.monotonic() - self._asked_at >= PAUSE_S

    def _refresh(self) -> None:
        """Fetch, or wait for another who does."""
        if not self._waiting.acquire(blocking=False):
            raise SluiceError(ErrorCode.STORE_UNAVAILABLE, "The keys by which tokens are verified are being fetched.")
        try:
            with self._fetching:
                if self._is_due():
                    self._fetch()
        finally:
            self._waiting.release()

    def _refresh_beside(self) -> None:
        """Fetch in a thread of its own where the keys at hand are no longer fresh."""
        shown = self._shown
        is_fresh = shown is not None and self._clock.monotonic() - shown.fetched_at < FRESH_S
        if is_fresh or not self._is_due() or not self._fetching.acquire(blocking=False):
            return
        try:
            Thread(target=self._fetch_and_let_go, name="token keys", daemon=True).start()
        except RuntimeError:  # no thread can be had: the next request tries again
            self._fetching.release()

    def _fetch_and_let_go(self) -> None:
        try:
            if self._is_due():
                self._fetch()
        finally:
            self._fetching.release()

    def _fetch(self) -> None:
        """Keep what the provider shows now; what is at hand stays where it shows nothing that can be used."""
        self._asked_at = self._clock.monotonic()
        try:
            keys = read_key_set(self._document.fetch())
        except (DocumentError, ValueError) as error:
            self._journal.record(Event.SYSTEM_ERROR, reason=f"security.jwt_keys: {error}")
        else:
            self._shown = _Shown(keys, self._clock.monotonic())
