"""Addresses whose possession is access: links to objects of a local store, and those that watch one task."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from sluice.adapters.directory.atomic_file import read_file, sync_folder, write_private
from sluice.adapters.object_names import check_key
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import Watched
from sluice.domain.task import Task
from sluice.ports.clock import Clock, Randomness
from sluice.ports.store_errors import StoreRefused

Value = TypeVar("Value")

SECRET_BYTES = 32
_FILE, _WATCH = b"sluice file link 1\0", b"sluice watch address 1\0"
"""Keep these signatures apart from each other and from any other made with the same secret."""


class LinkGrant(msgspec.Struct, frozen=True, array_like=True):
    """What a valid link allows: to read ``key`` under the name ``filename``."""

    key: str
    filename: str
    expires_at: float
    task_id: str = ""
    """The task that has the object, of the tenant in whose folder it lies; empty in links of an older release."""


class _Signer:
    """Signs texts for one purpose, and reads them back."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"the secret of links has at least {SECRET_BYTES} bytes")
        self._secret = secret
        self._purpose = purpose

    def token_of(self, value: object) -> str:
        payload = _encode(msgspec.json.encode(value))
        return f"{payload}.{self._sign(payload)}"

    def read(self, token: str, kind: type[Value]) -> Value:
        """The value of a token. Raises PERMISSION_DENIED unless we signed exactly this text for this purpose."""
        payload, _, signature = token.partition(".")
        # The signature is compared as text: then no other encoding of the same bytes passes.
        if not hmac.compare_digest(_raw(self._sign(payload)), _raw(signature)):
            raise SluiceError(ErrorCode.PERMISSION_DENIED, "The link is not one of ours.")
        return msgspec.json.decode(base64.urlsafe_b64decode(payload), type=kind)

    def _sign(self, payload: str) -> str:
        return _encode(hmac.digest(self._secret, self._purpose + _raw(payload), hashlib.sha256))


class LocalLinks:
    """Signs links to ``{base_url}/v1/files/{token}``, and reads their tokens back.

    ``base_url`` may be a function, for a server that learns its port late.
    """

    names_downloads = True

    def __init__(self, base_url: str | Callable[[], str], secret: bytes, clock: Clock) -> None:
        self._base_url = base_url
        self._signer = _Signer(secret, _FILE)
        self._clock = clock

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        check_key(key)
        token = self._signer.token_of(LinkGrant(key, filename, expires_at, task_id))
        return f"{_text_of(self._base_url)}/v1/files/{token}"

    def verify(self, token: str) -> LinkGrant:
        """Read a token. Raises ``SluiceError``: PERMISSION_DENIED unless we signed exactly this text, or EXPIRED."""
        grant = self._signer.read(token, LinkGrant)
        if self._clock.now() >= grant.expires_at:
            raise SluiceError(ErrorCode.EXPIRED)
        return grant


class WatchAddresses:
    """Signs addresses ``{base_url}/v1/watch/{token}``, and reads their tokens back.

    Who has one may look at one task and fetch its file, as long as the task has one: it ends with the task, not by
    a time of its own. ``base_url`` as for ``LocalLinks``.
    """

    def __init__(self, base_url: str | Callable[[], str], secret: bytes) -> None:
        self._base_url = base_url
        self._signer = _Signer(secret, _WATCH)

    def mint(self, task: Task) -> str:
        return f"{_text_of(self._base_url)}/v1/watch/{self._signer.token_of(Watched(task.ref, task.created_at))}"

    def read(self, token: str) -> Watched:
        """What a token is for. Raises PERMISSION_DENIED unless we signed exactly this text."""
        return self._signer.read(token, Watched)


def _text_of(base_url: str | Callable[[], str]) -> str:
    return (base_url if isinstance(base_url, str) else base_url()).rstrip("/")


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
