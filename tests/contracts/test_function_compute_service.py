"""What we rely on Function Compute itself to do; with ``--live`` asked of the real service.

Needs the address of the composer as the sweeper calls it, and a key that may
call it. The task it rings for does not exist, so the composer drops the bell.
"""

from __future__ import annotations

import secrets

import pytest

from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.function_compute.http_invoker import FcHttpInvoker
from sluice.adapters.aliyun.function_compute.oss_event import TriggerBucket
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.domain.keys import ManifestRef, TaskRef, TenantId, task_id_from_bytes
from sluice.domain.secret import Secret
from sluice.ports.store_errors import StoreRefused
from tests.support.live_cloud import read_variables

VARIABLES = tuple(
    f"SLUICE_LIVE_FC_{name}" for name in ("COMPOSE_URL", "REGION", "BUCKET", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET")
)


def trigger() -> ManifestRef:
    """Of a task that nobody has."""
    task_id = task_id_from_bytes(secrets.token_bytes(17))
    return ManifestRef(TaskRef(TenantId("live"), task_id), secrets.token_hex(16))


def invoker(*, secret: str = "") -> FcHttpInvoker:
    url, region, bucket, access_key_id, access_key_secret = read_variables(VARIABLES)
    return FcHttpInvoker(
        url,
        TriggerBucket(bucket, region),
        credentials=FixedCredentials(Credentials(access_key_id, Secret(secret or access_key_secret))),
        clock=SystemClock(),
        randomness=SystemRandomness(),
        timeout_s=10,
    )


@pytest.mark.live
def test_a_signed_asynchronous_call_is_taken_and_so_is_its_repeat() -> None:
    """The repeat is answered with 202 or 409, as the function is one of tasks or not; either is fine."""
    ringing, once = invoker(), trigger()
    for _ in range(2):
        ringing.invoke(once, epoch=1)


@pytest.mark.live
def test_a_call_signed_with_another_secret_is_refused() -> None:
    with pytest.raises(StoreRefused, match=r"40[13]"):
        invoker(secret="x" * 30).invoke(trigger(), epoch=1)
