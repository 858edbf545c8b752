"""The calls that the policy tests count on are the calls that the real adapters make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.emulators.oss import OssServer, serving_oss
from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.aliyun.oss.store import OssStore
from sluice.adapters.aliyun.tablestore.keys import TablestoreKeys
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.aliyun.tablestore.tables import create_tables
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.domain.attempts import LeaseEnds
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.secret import Secret
from sluice.domain.task import Attempt, State
from sluice.ports.object_store import ObjectStore
from tests.contracts.task_builder import TENANT, a_task
from tests.infra.cloud_recorder import OBJECT_CALLS, TASK_CALLS

PERMISSIONS = {
    "PutObject": "oss:PutObject",
    "InitiateMultipartUpload": "oss:PutObject",
    "UploadPart": "oss:PutObject",
    "CompleteMultipartUpload": "oss:PutObject",
    "GetObject": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "DeleteMultipleObjects": "oss:DeleteObject",
    "ListObjectsV2": "oss:ListObjects",
    "ListMultipartUploads": "oss:ListMultipartUploads",
    "AbortMultipartUpload": "oss:AbortMultipartUpload",
}
"""Operation of the interface: the permission OSS asks for, by its documentation."""
ATTEMPT = Attempt(epoch=1, owner="o", started_at=1.0)
GUARD = Guard(state=State.OPEN)


@pytest.fixture(scope="module")
def oss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OssServer]:
    folder: Path = tmp_path_factory.mktemp("oss")
    with serving_oss(buckets=("sluice-in",), folder=folder) as server:
        yield server


@pytest.fixture(scope="module")
def ots() -> Iterator[TablestoreServer]:
    with serving_tablestore(instance="sluice") as server:
        yield server


@pytest.fixture(scope="module")
def access(ots: TablestoreServer) -> TablestoreAccess:
    credentials = FixedCredentials(Credentials(ots.access_key_id, Secret(ots.access_key_secret)))
    access = TablestoreAccess(
        endpoint=ots.endpoint, instance=ots.instance, region=ots.region, table="export_task", credentials=credentials
    )
    create_tables(access, timeout_s=5)
    return access


def put_parts(store: ObjectStore) -> None:
    upload = store.begin_upload("out/v1/x", metadata={})
    store.complete_upload(upload, [store.put_part(upload, 1, b"x")])


OBJECT_USES: dict[str, Callable[[ObjectStore], object]] = {
    "put": lambda store: store.put("in/v1/x", b"x"),
    "get": lambda store: store.get("in/v1/x"),
    "head": lambda store: store.head("in/v1/x"),
    "read_range": lambda store: list(store.read_range("in/v1/x", 0, 1)),
    "list": lambda store: list(store.list("in/v1/")),
    "list_uploads": lambda store: list(store.list_uploads("out/v1/")),
    "begin_upload": put_parts,
    "put_part": put_parts,
    "complete_upload": put_parts,
    "abort_upload": lambda store: store.abort_upload(store.begin_upload("out/v1/y", metadata={})),
    "delete": lambda store: store.delete(["in/v1/x"]),
}
"""In an order in which each finds what it needs."""


def test_the_object_store_makes_the_calls_that_the_policies_allow(oss: OssServer) -> None:
    credentials = FixedCredentials(Credentials(oss.access_key_id, Secret(oss.access_key_secret)))
    place = OssBucket(endpoint=oss.endpoint, region=oss.region, bucket="sluice-in", credentials=credentials)
    store = OssStore(place, connect_timeout_s=5, read_timeout_s=5)
    assert OBJECT_USES.keys() == OBJECT_CALLS.keys()
    for name, use in OBJECT_USES.items():
        oss.requests.clear()
        use(store)
        asked = {PERMISSIONS[call.operation] for call in oss.requests}
        begun = {"oss:PutObject"} if name == "abort_upload" else set()
        assert asked == {OBJECT_CALLS[name], *begun}, name


TASK_USES: dict[str, Callable[[Any], object]] = {
    "create": lambda tasks: tasks.create(a_task()),
    "read": lambda tasks: tasks.read(a_task().ref),
    "claim": lambda tasks: tasks.claim(a_task().ref, Claim(1, "a" * 32, 1, 1), at=1.0, due_at=2.0),
    "read_claims": lambda tasks: tasks.read_claims(a_task().ref),
    "read_claim": lambda tasks: tasks.read_claim(a_task().ref, 1),
    "page": lambda tasks: [tasks.page(TENANT, state=state, limit=9, cursor="") for state in (None, State.OPEN)],
    "count": lambda tasks: tasks.count(TENANT, State.OPEN),
    "count_leased": lambda tasks: tasks.count_leased(TENANT, LeaseEnds(0, 2e9)),
    "due": lambda tasks: tasks.due(2e9, limit=5),
    "scan": lambda tasks: list(tasks.scan()),
    "update": lambda tasks: tasks.update(a_task().ref, GUARD, {"phase": "x"}),
    "log_attempt": lambda tasks: tasks.log_attempt(a_task().ref, ATTEMPT),
    "read_attempts": lambda tasks: tasks.read_attempts(a_task().ref),
    "forget_claims": lambda tasks: tasks.forget_claims(a_task().ref),
    "remove": lambda tasks: tasks.remove(a_task().ref, GUARD),
}


def test_the_task_store_makes_the_calls_that_the_policies_allow(
    ots: TablestoreServer, access: TablestoreAccess
) -> None:
    tasks = TablestoreTasks(access, timeout_s=5)
    assert TASK_USES.keys() == TASK_CALLS.keys()
    tasks.create(a_task("composed", state=State.COMPOSING))
    for name, use in TASK_USES.items():
        ots.requests.clear()
        use(tasks)
        asked = {(call.operation, table) for call in ots.requests for table in call.tables}
        assert asked == {(interface, f"export_task{suffix}") for interface, suffix in TASK_CALLS[name]}, name
    tasks.close()


def test_reading_the_api_keys_is_one_read_of_their_own_table(ots: TablestoreServer, access: TablestoreAccess) -> None:
    ots.requests.clear()
    keys = TablestoreKeys(access, timeout_s=5)
    keys.read()
    assert [(call.operation, call.table) for call in ots.requests] == [("GetRow", "export_task_keys")]
    keys.close()
