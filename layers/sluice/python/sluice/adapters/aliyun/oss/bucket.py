"""The vendor's SDK for OSS, loaded without its encryption, and the way to one bucket with it."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

from sluice.adapters.aliyun.credentials import Credentials, CredentialsSource
from sluice.adapters.aliyun.lean_imports import lean_imports

with lean_imports("aliyunsdkcore", "aliyunsdkkms", "Crypto", "crcmod"):
    import oss2

# From Python 3.12 on, each signature would warn of a function that the SDK calls.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"oss2\.auth\Z")
# Its debug lines hold tokens and signatures, and what it says of errors we say ourselves.
logging.getLogger("oss2").setLevel(logging.CRITICAL)

__all__ = ["oss2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OssBucket:
    """Says where a bucket is and who asks; making one connects to nothing.

    ``endpoint`` without a scheme is reached by TLS. An endpoint that is an IP
    address or ``localhost`` gets the bucket's name in the path, as OSS itself
    never does.
    """

    endpoint: str
    region: str
    """``cn-hangzhou``, without ``oss-``."""
    bucket: str
    credentials: CredentialsSource
    is_domain: bool = False
    """The endpoint is a domain of our own, bound to this bucket."""

    def __post_init__(self) -> None:
        if not self.region:
            raise ValueError("signatures need the bucket's region")
        try:
            self._open(self.credentials, timeouts_s=(1, 1), connections_max=1)
        except (oss2.exceptions.ClientError, TypeError) as error:  # the latter for an endpoint without a host
            raise ValueError(f"no bucket of OSS can be {self.bucket!r} at {self.endpoint!r}") from error

    def open(self, *, connect_timeout_s: float, read_timeout_s: float, connections_max: int) -> Any:
        """Make the SDK's bucket: safe in several threads, signing each call anew, and repeating none."""
        return self._open(
            self.credentials, timeouts_s=(connect_timeout_s, read_timeout_s), connections_max=connections_max
        )

    def sign(self, credentials: Credentials, key: str, *, life_s: int, query: dict[str, str]) -> str:
        """Sign a URL that reads ``key`` for ``life_s`` seconds with ``query`` in it; no request is made."""
        bucket = self._open(lambda: credentials, timeouts_s=(1, 1), connections_max=1)
        return str(bucket.sign_url("GET", key, life_s, params=query, slash_safe=True))

    def _open(self, source: CredentialsSource, *, timeouts_s: tuple[float, float], connections_max: int) -> Any:
        session = oss2.Session(pool_size=connections_max)
        session.session.trust_env = False  # a .netrc file would replace our signature
        session.session.max_redirects = 0  # the token would be sent to wherever the answer says
        return oss2.Bucket(
            oss2.ProviderAuthV4(_OssCredentials(source)),
            self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}",
            self.bucket,
            is_cname=self.is_domain,
            session=session,
            connect_timeout=timeouts_s,  # the SDK hands it on, and a pair bounds reading too
            enable_crc=False,  # ours is twenty times faster, and the SDK compares only some
            region=self.region,
        )


class _OssCredentials:
    """Asks for our credentials whenever the SDK signs."""

    def __init__(self, source: CredentialsSource) -> None:
        self._source = source

    def get_credentials(self) -> Any:
        """Give them in the SDK's own form."""
        ours = self._source()
        return oss2.credentials.Credentials(
            ours.access_key_id, ours.access_key_secret.reveal(), ours.security_token.reveal()
        )
