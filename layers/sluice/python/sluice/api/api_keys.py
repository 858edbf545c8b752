"""Makes, reads, revokes and lists API keys. A key's text exists once, when it is made."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from sluice.domain.api_key import ApiKey, Scope
from sluice.domain.keys import TENANT_ID, TenantId
from sluice.domain.secret import Secret
from sluice.ports.clock import Clock, Randomness
from sluice.ports.key_store import Keys, KeyStore

SECRET_BYTES = 32
_ID_BYTES = 8
_ID_CHARS = 12

# The prefix lets scanners of code and logs find a key that got where it must not be.
_KEY = re.compile(rf"slc_(?P<id>[a-z2-7]{{{_ID_CHARS}}})_(?P<secret>[a-z2-7]{{52}})", re.ASCII)


class Refusal(StrEnum):
    """Why a caller was turned away. For the journal alone."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SECRET = "wrong_secret"  # noqa: S105  # a reason, no password
    REVOKED = "revoked"
    EXPIRED = "expired"
    TOKEN = "token"  # noqa: S105  # a reason, no password


class PresentedKey(NamedTuple):
    """A key as a caller sent it. Well-formed, nothing more is known of it."""

    key_id: str
    secret_sha256: str


class NewKey(NamedTuple):
    """A key just made, with the text that is shown once and kept nowhere."""

    text: Secret
    key: ApiKey


def read_key(text: str) -> PresentedKey | None:
    """Take a key's text apart; None when it is no key. Costs the same whether such a key exists or not."""
    match = _KEY.fullmatch(text)
    return PresentedKey(match["id"], _digest(match["secret"])) if match else None


def add_key(
    store: KeyStore,
    tenant: str,
    *,
    scopes: Iterable[Scope],
    clock: Clock,
    randomness: Randomness,
    life_s: float = 0,
    show: Callable[[Secret], object] = lambda _: None,
) -> NewKey:
    """Make a key for ``tenant``; with ``life_s`` it expires after that time.

    ``show`` is called once with its text, before the store takes it: no key is
    made that could not be shown. Raises what ``show`` does, and ValueError for
    a tenant that is no tenant's name, and for no scopes.
    """
    if not TENANT_ID.fullmatch(tenant):
        raise ValueError("a tenant is 1 to 40 of a-z, 0-9 and -, and does not begin or end with -")
    granted = tuple(sorted(set(scopes), key=list(Scope).index))
    if not granted or life_s < 0:
        raise ValueError("a key has at least one scope, and a life of 0 (for ever) or more seconds")
    now = clock.now()
    secret = _encode(randomness.bytes(SECRET_BYTES))
    key = ApiKey(
        key_id=_encode(randomness.bytes(_ID_BYTES))[:_ID_CHARS],
        tenant=TenantId(tenant),
        secret_sha256=_digest(secret),
        scopes=granted,
        created_at=now,
        expires_at=now + life_s if life_s else 0,
    )

    def add(keys: Keys) -> Keys:
        if any(stored.key_id == key.key_id for stored in keys):
            raise ValueError("the new key's id is taken; make another")  # one in 2**60
        if not shown:  # a store may ask again, when others change it at the same time
            show(new.text)
            shown.append(True)
        return (*keys, key)

    new, shown = NewKey(Secret(f"slc_{key.key_id}_{secret}"), key), list[bool]()
    store.change(add)
    return new


def revoke_key(store: KeyStore, key_id: str, *, clock: Clock) -> ApiKey:
    """End a key at once and for good; repeatable. Raises LookupError when there is no such key."""

    def revoked(key: ApiKey) -> ApiKey:
        is_meant = key.key_id == key_id and not key.revoked_at
        return msgspec.structs.replace(key, revoked_at=clock.now()) if is_meant else key

    for key in store.change(lambda keys: tuple(map(revoked, keys))):
        if key.key_id == key_id:
            return key
    raise LookupError("there is no key with this id")


def list_keys(store: KeyStore, tenant: str | None = None) -> Keys:
    """List the keys, of one tenant or of all, in the order they were added."""
    return tuple(key for key in store.read() if tenant is None or key.tenant == tenant)


def _encode(entropy: bytes) -> str:
    """Encode bytes in letters and digits that need no quoting and are selected by one double click."""
    return base64.b32encode(entropy).decode("ascii").rstrip("=").lower()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()
