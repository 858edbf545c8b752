"""`sluice tables`: makes what is missing, says what differs, and asks for the cloud's settings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from sluice.adapters.aliyun.tablestore.client import open_sdk
from sluice.adapters.aliyun.tablestore.sdk import sdk
from tests.support.command_line import sluice
from tests.support.tablestore_tables import TIMEOUT_S, access_to


@pytest.fixture
def ots() -> Iterator[TablestoreServer]:
    with serving_tablestore() as ots:
        yield ots


def cloud(ots: TablestoreServer) -> dict[str, str]:
    """The settings of a service over the stand-in, as a function has them."""
    return {
        "SLUICE_STORAGE_BACKEND": "oss",
        "SLUICE_OSS_ENDPOINT": "oss-cn-hangzhou-internal.aliyuncs.com",
        "SLUICE_OSS_REGION": ots.region,
        "SLUICE_OSS_BUCKET": "sluice-in",
        "SLUICE_OSS_RESULT_BUCKET": "sluice-out",
        "SLUICE_OSS_ACCESS_KEY_ID": ots.access_key_id,
        "SLUICE_OSS_ACCESS_KEY_SECRET": ots.access_key_secret,
        "SLUICE_TABLESTORE_ENDPOINT": ots.endpoint,
        "SLUICE_TABLESTORE_INSTANCE": ots.instance,
        "SLUICE_TABLESTORE_TABLE": "exports",
    }


def test_tables_are_checked_created_and_checked_again(ots: TablestoreServer) -> None:
    missing = sluice("tables", "check", env=cloud(ots), exit_code=1).stdout
    assert [line.split() for line in missing.splitlines()] == [
        ["exports", "missing"],
        ["exports_due", "missing"],
        ["exports_listing", "missing"],
        ["exports_state_listing", "missing"],
        ["exports_keys", "missing"],
    ]
    created = sluice("tables", "create", env=cloud(ots)).stdout
    assert [line.split()[1] for line in created.splitlines()] == ["created"] * 5
    fitting = sluice("tables", "check", env=cloud(ots))
    assert [line.split()[1] for line in fitting.stdout.splitlines()] == ["fits"] * 5
    assert fitting.stderr == ""


def test_what_differs_is_an_error_with_its_reason(ots: TablestoreServer) -> None:
    open_sdk(access_to(ots), timeout_s=TIMEOUT_S).create_table(
        sdk.TableMeta("exports", [("id", "STRING")]),
        sdk.TableOptions(-1, 1),
        sdk.ReservedThroughput(sdk.CapacityUnit(0, 0)),
    )
    done = sluice("tables", "create", env=cloud(ots), exit_code=1)
    assert "its key is id STRING instead of pk STRING, sk STRING" in done.stdout


def test_a_refusal_names_its_code(ots: TablestoreServer) -> None:
    wrong = {"SLUICE_OSS_ACCESS_KEY_SECRET": "wrong"}
    done = sluice("tables", "check", env=cloud(ots) | wrong, exit_code=1)
    assert "OTSAuthFailed" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_cloud_there_are_no_tables() -> None:
    done = sluice("tables", "check", exit_code=2)
    assert "storage.backend is not oss" in done.stderr
