"""OSS stores for tests: over the stand-in, or in a corner of a real bucket."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager

from infra.emulators.oss import OssServer
from sluice.adapters.aliyun.credentials import Credentials, CredentialsSource, FixedCredentials
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.domain.secret import Secret
from tests.support.live_cloud import live_oss_bucket
from tests.support.prefixed_store import PrefixedStore


def stand_in_credentials(oss: OssServer) -> Credentials:
    return Credentials(oss.access_key_id, Secret(oss.access_key_secret))


def stand_in_bucket(
    oss: OssServer, bucket: str = "sluice-in", *, credentials: CredentialsSource | None = None
) -> OssBucket:
    source = credentials or FixedCredentials(stand_in_credentials(oss))
    return OssBucket(endpoint=oss.endpoint, region=oss.region, bucket=bucket, credentials=source)


@contextmanager
def opened_oss(
    oss: OssServer,
    bucket: str = "sluice-in",
    *,
    credentials: CredentialsSource | None = None,
    read_timeout_s: float = 20,
    page_max: int = 1000,
) -> Iterator[OssStore]:
    """A store over the stand-in, whose connections are closed at the end."""
    place = stand_in_bucket(oss, bucket, credentials=credentials)
    with closing(OssStore(place, read_timeout_s=read_timeout_s, page_max=page_max)) as store:
        yield store


@contextmanager
def live_corner() -> Iterator[PrefixedStore]:
    """An empty store in a corner of the real bucket, cleared at the end."""
    with closing(OssStore(live_oss_bucket())) as store:
        corner = PrefixedStore(store, f"live/{secrets.token_hex(4)}/")
        try:
            yield corner
        finally:
            corner.clear()
