"""The real cloud, for tests run with ``--live``: where it is and who asks, from the environment.

Give the tests a bucket of their own. They write below ``live/`` and remove
what they wrote, and should one be killed, all of ``live/`` may be removed.
"""

from __future__ import annotations

import os

import pytest

from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.domain.secret import Secret

OSS_VARIABLES = tuple(
    f"SLUICE_LIVE_OSS_{name}" for name in ("ENDPOINT", "REGION", "BUCKET", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET")
)
OSS_TOKEN_VARIABLE = "SLUICE_LIVE_OSS_SECURITY_TOKEN"
"""Only for the credentials of a role."""

TABLESTORE_VARIABLES = tuple(
    f"SLUICE_LIVE_TABLESTORE_{name}"
    for name in ("ENDPOINT", "INSTANCE", "REGION", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET")
)
TABLESTORE_TOKEN_VARIABLE = "SLUICE_LIVE_TABLESTORE_SECURITY_TOKEN"
"""As above."""
LIVE_TABLE = "live_export_task"
"""Made by the tests if it is not there, and emptied before each."""


def live_tablestore() -> TablestoreAccess:
    """Fail the test unless the environment names an instance."""
    endpoint, instance, region, access_key_id, access_key_secret = read_variables(TABLESTORE_VARIABLES)
    token = Secret(os.environ.get(TABLESTORE_TOKEN_VARIABLE, ""))
    credentials = FixedCredentials(Credentials(access_key_id, Secret(access_key_secret), token))
    return TablestoreAccess(
        endpoint=endpoint, instance=instance, region=region, table=LIVE_TABLE, credentials=credentials
    )


def live_oss_bucket() -> OssBucket:
    """Fail the test unless the environment names a bucket."""
    endpoint, region, bucket, access_key_id, access_key_secret = read_variables(OSS_VARIABLES)
    token = Secret(os.environ.get(OSS_TOKEN_VARIABLE, ""))
    credentials = Credentials(access_key_id, Secret(access_key_secret), token)
    return OssBucket(endpoint=endpoint, region=region, bucket=bucket, credentials=FixedCredentials(credentials))


def read_variables(names: tuple[str, ...]) -> list[str]:
    """The values of environment variables; fails the test and names those that are missing."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        pytest.fail(f"a test of the real cloud needs {', '.join(missing)}", pytrace=False)
    return [os.environ[name] for name in names]
