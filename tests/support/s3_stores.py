"""S3 stores for tests: over moto's server, or below a prefix of a real bucket."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sluice.adapters.s3.bucket import S3Place
from sluice.adapters.s3.store import S3Store
from sluice.adapters.system_clock import SystemRandomness
from tests.support.live_cloud import read_variables
from tests.support.s3_server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, S3Server

CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}


def s3_settings(s3: S3Server, bucket: str) -> dict[str, str]:
    """The variables of a service whose objects are in a bucket of the server."""
    return {
        "SLUICE_STORAGE_BACKEND": "s3",
        "SLUICE_S3_URL": f"s3://{bucket}/some/prefix",
        "SLUICE_S3_REGION": REGION,
        "SLUICE_S3_ENDPOINT": s3.url,
        **CREDENTIALS,
    }


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Have these variables while a store is opened: obstore reads them then."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


LIVE_VARIABLES = ("SLUICE_LIVE_S3_URL",)
"""Where, as ``s3.url`` says it; credentials are the vendor's own variables, as for the service."""


@contextmanager
def live_s3() -> Iterator[tuple[S3Place, S3Store]]:
    """An empty store below a new prefix of the real bucket, cleared at the end."""
    (url,) = read_variables(LIVE_VARIABLES)
    region, endpoint = (os.environ.get(f"SLUICE_LIVE_S3_{name}", "") for name in ("REGION", "ENDPOINT"))
    place = S3Place(url=f"{url.rstrip('/')}/live/{secrets.token_hex(4)}", region=region, endpoint=endpoint)
    store = S3Store(place, randomness=SystemRandomness())
    try:
        yield place, store
    finally:
        for upload in list(store.list_uploads("")):
            store.abort_upload(upload)
        store.delete([item.key for item in store.list("")])


def s3_place(s3: S3Server, bucket: str = "", *, prefix: str = "some/prefix", read_timeout_s: float = 20) -> S3Place:
    """Below a prefix of a bucket of the server; a new one unless named."""
    url = f"s3://{bucket or s3.add_bucket()}/{prefix}"
    return S3Place(url=url, region=REGION, endpoint=s3.url, read_timeout_s=read_timeout_s)


def s3_store(
    s3: S3Server, bucket: str = "", *, prefix: str = "some/prefix", read_timeout_s: float = 20, repeats: int = 3
) -> S3Store:
    with environment(CREDENTIALS):
        place = s3_place(s3, bucket, prefix=prefix, read_timeout_s=read_timeout_s)
        return S3Store(place, randomness=SystemRandomness(), repeats=repeats)
