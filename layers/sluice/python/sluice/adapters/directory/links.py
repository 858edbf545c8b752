"""Links to objects of a local store: a holder of one may read one object until it expires."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from sluice.adapters.directory.atomic_file import read_file, sync_folder, write_private
from sluice.adapters.object_names import check_key
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.ports.clock import Clock, Randomness
from sluice.ports.store_errors import StoreRefused

SECRET_BYTES = 32
_PURPOSE = b"sluice file link 1\0"
"""Keeps these signatures apart from any other made with the same secret."""


class LinkGrant(msgspec.Struct, frozen=True, array_like=True):
    """What a valid link allows: to read ``key`` under the name ``filename``."""

    key: str
    filename: str
    expires_at: float
    task_id: str = ""
    """The task that has the object, of the tenant in whose folder it lies; empty in links of an older release."""


class LocalLinks:
    """Signs links to ``{base_url}/v1/files/{token}``, and reads their tokens back.

    ``base_url`` may be a function, for a server that learns its port late.
    """

    names_downloads = True

    def __init__(self, base_url: str | Callable[[], str], secret: bytes, clock: Clock) -> None:
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"the secret of links has at least {SECRET_BYTES} bytes")
        self._base_url = base_url
        self._secret = secret
        self._clock = clock

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        check_key(key)
        payload = _encode(msgspec.json.encode(LinkGrant(key, filename, expires_at, task_id)))
        base_url = self._base_url if isinstance(self._base_url, str) else self._base_url()
        return f"{base_url.rstrip('/')}/v1/files/{payload}.{self._sign(payload)}"

    def verify(self, token: str) -> LinkGrant:
        """Read a token. Raises ``SluiceError``: PERMISSION_DENIED unless we signed exactly this text, or EXPIRED."""
        payload, _, signature = token.partition(".")
        # The signature is compared as text: then no other encoding of the same bytes passes.
        if not hmac.compare_digest(_raw(self._sign(payload)), _raw(signature)):
            raise SluiceError(ErrorCode.PERMISSION_DENIED, "The link is not one of ours.")
        grant = msgspec.json.decode(base64.urlsafe_b64decode(payload), type=LinkGrant)
        if self._clock.now() >= grant.expires_at:
            raise SluiceError(ErrorCode.EXPIRED)
        return grant

    def _sign(self, payload: str) -> str:
        return _encode(hmac.digest(self._secret, _PURPOSE + _raw(payload), hashlib.sha256))


def load_or_create_secret(path: Path, randomness: Randomness) -> bytes:
    """Read the secret in ``path``, made the first time, readable by its owner only.

    Of several processes that start at once, all get the same secret. Raises ``StoreRefused`` for a damaged one.
    """
    with suppress(FileNotFoundError):
        return _read_secret(path)
    staged = path.with_name(f".{path.name}.{randomness.bytes(8).hex()}")
    try:
        write_private(staged, randomness.bytes(SECRET_BYTES))
        with suppress(FileExistsError):
            os.link(staged, path)  # unlike a rename, never replaces what another process made
    finally:
        staged.unlink(missing_ok=True)
    sync_folder(path.parent)
    return _read_secret(path)


def _read_secret(path: Path) -> bytes:
    secret = read_file(path, follows_links=True)
    if len(secret) != SECRET_BYTES:
        raise StoreRefused(
            f"{path.name}, which signs links, is damaged: it has {len(secret)} bytes instead of {SECRET_BYTES}; "
            "put back that of a backup, or remove it: a new one is made, and links given out end"
        )
    return secret


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii")


def _raw(text: str) -> bytes:
    """Bytes of any text a URL may bring, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")
