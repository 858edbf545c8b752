"""How the SDK is opened: quietly, without what we never use, with the credentials of the moment."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from infra.emulators.tablestore import StsCredentials, TablestoreServer, serving_tablestore
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials, LatestCredentials
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.domain.lifecycle import Guard
from sluice.domain.secret import Secret
from sluice.domain.task import State
from sluice.ports.store_errors import StoreRefused
from tests.contracts.at_once import at_once
from tests.contracts.task_builder import a_task
from tests.support.tablestore_tables import TIMEOUT_S, access_to, open_tasks

TASK = a_task()
HEAVY = ("numpy", "aiohttp", "flatbuffers", "tablestore.ots_sdk", "tablestore.native")
IMPORT = f"""
import sys
import sluice.adapters.aliyun.tablestore.tasks
left_out = {HEAVY!r}
print([name for name in left_out if name in sys.modules])
import aiohttp, tablestore.flatbuffer.flat_buffer_decoder
print(isinstance(aiohttp.ClientSession, type) and aiohttp.ClientSession is not object)
"""


@pytest.fixture(scope="module")
def ots() -> Iterator[TablestoreServer]:
    with serving_tablestore() as ots:
        open_tasks(ots).close()
        yield ots


@pytest.mark.parametrize("options", [(), ("-W", "error")])
def test_importing_says_nothing_and_loads_nothing_that_we_never_use(options: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *options, "-c", IMPORT], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[]", "True"], "left out here, and whole for whoever imports it later"


@pytest.mark.parametrize("region", ["cn-hangzhou", ""])
def test_requests_are_signed_by_the_newer_scheme_where_the_region_is_known(ots: TablestoreServer, region: str) -> None:
    with closing(TablestoreTasks(replace(access_to(ots), region=region), timeout_s=TIMEOUT_S)) as tasks:
        assert tasks.read(TASK.ref) is None


def test_credentials_are_asked_for_at_every_call(ots: TablestoreServer) -> None:
    """Those of a role end, and new ones come while we run; the connections stay."""
    source = LatestCredentials()
    with closing(TablestoreTasks(replace(access_to(ots), credentials=source), timeout_s=TIMEOUT_S)) as tasks:
        source.set(role(ots.issue_sts(60)))
        assert tasks.read(TASK.ref) is None
        source.set(role(ots.issue_sts(-1)))
        with pytest.raises(StoreRefused, match="OTSAuthFailed"):
            tasks.read(TASK.ref)
        source.set(role(ots.issue_sts(60)))
        assert tasks.read(TASK.ref) is None


def test_without_credentials_nothing_is_asked(ots: TablestoreServer) -> None:
    ots.requests.clear()
    nobody = replace(access_to(ots), credentials=LatestCredentials())
    with closing(TablestoreTasks(nobody, timeout_s=1)) as tasks, pytest.raises(StoreRefused, match="no credentials"):
        tasks.read(TASK.ref)
    assert ots.requests == []


def test_a_refusal_holds_no_secret(ots: TablestoreServer) -> None:
    wrong = FixedCredentials(Credentials(ots.access_key_id, Secret("the-wrong-secret")))
    tasks = TablestoreTasks(replace(access_to(ots), credentials=wrong), timeout_s=TIMEOUT_S)
    with closing(tasks), pytest.raises(StoreRefused, match="OTSAuthFailed") as caught:
        tasks.read(TASK.ref)
    assert "the-wrong-secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_the_sdk_logs_nothing(ots: TablestoreServer, caplog: pytest.LogCaptureFixture) -> None:
    """It would log each condition that fails as an error, and write out every request to throw it away."""
    with caplog.at_level(logging.DEBUG), closing(open_tasks(ots)) as tasks:
        assert not tasks.update(TASK.ref, Guard(state=State.OPEN), {"owner": "me"})
    assert [record for record in caplog.records if record.name.startswith("tablestore")] == []


def test_more_callers_than_connections_wait_for_one(ots: TablestoreServer) -> None:
    with closing(open_tasks(ots)) as tasks:
        assert at_once(100, lambda _: tasks.read(TASK.ref)) == [None] * 100


def test_an_endpoint_without_a_scheme_is_reached_by_https(ots: TablestoreServer) -> None:
    assert replace(access_to(ots), endpoint="a.cn-hangzhou.ots.aliyuncs.com").url.startswith("https://")
    assert access_to(ots).url == ots.endpoint


@pytest.mark.parametrize("wrong", [{"endpoint": "ftp://elsewhere"}, {"instance": ""}])
def test_what_cannot_be_reached_is_refused_before_anything_is_sent(
    ots: TablestoreServer, wrong: dict[str, Any]
) -> None:
    with pytest.raises(StoreRefused, match="cannot be opened"):
        TablestoreTasks(replace(access_to(ots), **wrong), timeout_s=TIMEOUT_S)


def role(sts: StsCredentials) -> Credentials:
    return Credentials(sts.access_key_id, Secret(sts.access_key_secret), Secret(sts.security_token))
