"""Who we are to Alibaba Cloud: asked at every call, because the credentials of a role change while we run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from sluice.domain.secret import Secret
from sluice.ports.store_errors import StoreRefused

ID_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_ID"
SECRET_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 - the name of a variable
TOKEN_VARIABLE = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; with a token it is a role's, and ends. Printing it shows nothing of it."""

    access_key_id: str = field(repr=False)
    access_key_secret: Secret
    security_token: Secret = field(default_factory=lambda: Secret(""))
    """Empty for a key that stays."""
    expires_at: float | None = None
    """When the token ends, in Unix seconds, where that is known."""

    def __post_init__(self) -> None:
        if not self.access_key_id or not self.access_key_secret:
            raise ValueError("an access key has an id and a secret")


class CredentialsSource(Protocol):
    def __call__(self) -> Credentials:
        """The credentials to use now. Safe in several threads. Raises ``StoreRefused`` when there are none."""


class FixedCredentials:
    """The same as long as the process lives."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self) -> Credentials:
        return self._credentials


class EnvironmentCredentials:
    """What ``variables`` hold at the moment, under the names that Function Compute gives them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __call__(self) -> Credentials:
        access_key_id = self._variables.get(ID_VARIABLE, "")
        access_key_secret = Secret(self._variables.get(SECRET_VARIABLE, ""))
        if not access_key_id or not access_key_secret:
            raise StoreRefused(f"There are no credentials: {ID_VARIABLE} or {SECRET_VARIABLE} is not set.")
        return Credentials(access_key_id, access_key_secret, Secret(self._variables.get(TOKEN_VARIABLE, "")))


class LatestCredentials:
    """What was ``set`` last, by whichever request brought credentials; ``otherwise`` is asked until then."""

    def __init__(self, otherwise: CredentialsSource | None = None) -> None:
        self._otherwise = otherwise
        self._lock = Lock()
        self._latest: Credentials | None = None

    def set(self, credentials: Credentials) -> None:
        """Use these from now on. Calls under way go on with those they began with."""
        with self._lock:
            self._latest = credentials

    def __call__(self) -> Credentials:
        with self._lock:
            latest = self._latest
        if latest is not None:
            return latest
        if self._otherwise is None:
            raise StoreRefused("There are no credentials: no request has brought any yet.")
        return self._otherwise()
