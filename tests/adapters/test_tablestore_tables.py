"""Creating the tables may be repeated and never changes what is there; a check says what differs."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from infra.emulators.tablestore import DropAnswer, Fault, Refuse, TablestoreServer
from sluice.adapters.aliyun.tablestore.client import open_sdk
from sluice.adapters.aliyun.tablestore.schema import DUE, LISTING, TABLES, TASKS
from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.adapters.aliyun.tablestore.tables import Finding, Standing, check_tables, create_tables
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from tests.contracts.at_once import at_once
from tests.contracts.task_builder import TENANT, a_task
from tests.support.tablestore_tables import TABLE, TIMEOUT_S, access_to

NAMES = [TABLE, f"{TABLE}_due", f"{TABLE}_listing", f"{TABLE}_state_listing", f"{TABLE}_keys"]
CHANGES = {"CreateTable", "CreateIndex", "UpdateTable", "DeleteTable", "DropIndex"}


def create(ots: TablestoreServer) -> list[Finding]:
    return create_tables(access_to(ots), timeout_s=TIMEOUT_S)


def check(ots: TablestoreServer) -> list[Finding]:
    return check_tables(access_to(ots), timeout_s=TIMEOUT_S)


def client_of(ots: TablestoreServer) -> Any:
    return open_sdk(access_to(ots), timeout_s=TIMEOUT_S)


def standings(findings: list[Finding]) -> dict[str, Standing]:
    return {finding.name: finding.standing for finding in findings}


def changes(ots: TablestoreServer) -> list[str]:
    return [request.operation for request in ots.requests if request.operation in CHANGES]


def make_table(ots: TablestoreServer, **changes: Any) -> None:
    """Make the tasks' table as it is, or with something else about it."""
    parts: dict[str, Any] = {
        "key": [tuple(column) for column in TASKS.key],
        "columns": [tuple(column) for column in TASKS.indexed],
        "options": sdk.TableOptions(-1, 1),
        "indexes": [sdk.SecondaryIndexMeta(index.name_in(TABLE), list(index.key), []) for index in TASKS.indexes],
    }
    parts |= changes
    client_of(ots).create_table(
        sdk.TableMeta(TABLE, parts["key"], parts["columns"]),
        parts["options"],
        sdk.ReservedThroughput(sdk.CapacityUnit(0, 0)),
        secondary_indexes=parts["indexes"],
    )


def test_a_new_instance_gets_everything(ots: TablestoreServer) -> None:
    assert standings(check(ots)) == dict.fromkeys(NAMES, Standing.MISSING)
    assert standings(create(ots)) == dict.fromkeys(NAMES, Standing.CREATED)
    assert standings(check(ots)) == dict.fromkeys(NAMES, Standing.FITS)
    assert changes(ots) == ["CreateTable"] * len(TABLES)


def test_creating_again_changes_nothing(ots: TablestoreServer) -> None:
    create(ots)
    ots.requests.clear()
    assert standings(create(ots)) == dict.fromkeys(NAMES, Standing.FITS)
    assert changes(ots) == []


def test_a_missing_index_is_made_over_the_rows_that_there_are(ots: TablestoreServer) -> None:
    create(ots)
    with closing(TablestoreTasks(access_to(ots), timeout_s=TIMEOUT_S)) as tasks:
        tasks.create(a_task())
        client_of(ots).delete_secondary_index(TABLE, LISTING.name_in(TABLE))
        with pytest.raises(StoreRefused):
            tasks.page(TENANT, state=None, limit=1, cursor="")
        assert standings(check(ots))[f"{TABLE}_listing"] is Standing.MISSING
        assert standings(create(ots))[f"{TABLE}_listing"] is Standing.CREATED
        assert tasks.page(TENANT, state=None, limit=1, cursor="").tasks == [a_task()]


def test_an_index_that_is_not_ours_is_left(ots: TablestoreServer) -> None:
    create(ots)
    client_of(ots).create_secondary_index(
        TABLE, sdk.SecondaryIndexMeta("theirs", ["listing", "pk", "sk"], []), include_base_data=True
    )
    ots.requests.clear()
    for findings in (check(ots), create(ots)):
        assert standings(findings)["theirs"] is Standing.NOT_OURS
        assert all(finding.fine for finding in findings)
    assert changes(ots) == []


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"key": [("pk", "STRING"), ("sk", "INTEGER")], "indexes": []}, "its key is pk STRING, sk INTEGER instead of"),
        ({"key": [("id", "STRING")], "indexes": []}, "its key is id STRING instead of pk STRING, sk STRING"),
        ({"columns": [], "indexes": []}, "its column due_shard is not defined instead of INTEGER"),
        (
            {"columns": [*map(tuple, TASKS.indexed[:-1]), ("newest_first", "STRING")], "indexes": []},
            "its column newest_first is STRING instead of INTEGER",
        ),
        ({"options": sdk.TableOptions(-1, 3), "indexes": []}, "it keeps 3 versions instead of 1"),
        ({"options": sdk.TableOptions(86_400, 1), "indexes": []}, "its rows end after 86400 s instead of never"),
    ],
)
def test_a_table_that_differs_is_named_and_left(ots: TablestoreServer, difference: dict[str, Any], said: str) -> None:
    make_table(ots, **difference)
    ots.requests.clear()
    for findings in (check(ots), create(ots)):
        found = findings[0]
        assert (found.name, found.standing, found.fine) == (TABLE, Standing.DIFFERS, False)
        assert said in found.detail
    assert changes(ots) == ["CreateTable"], "only the table of the keys"


def test_an_index_that_differs_is_named_and_left(ots: TablestoreServer) -> None:
    others = [sdk.SecondaryIndexMeta(DUE.name_in(TABLE), ["due_us", "due_shard", "pk", "sk"], [])]
    make_table(ots, indexes=others)
    found = {finding.name: finding for finding in create(ots)}[DUE.name_in(TABLE)]
    assert found.standing is Standing.DIFFERS
    assert found.detail == "its key is due_us, due_shard, pk, sk instead of due_shard, due_us, pk, sk"
    assert "CreateIndex" not in changes(ots)


def test_several_may_create_at_once(ots: TablestoreServer) -> None:
    for findings in at_once(4, lambda _: create(ots)):
        assert all(finding.fine for finding in findings)
    assert standings(check(ots)) == dict.fromkeys(NAMES, Standing.FITS)


def test_a_lost_answer_is_told_and_repeating_helps(ots: TablestoreServer) -> None:
    ots.faults.add(Fault(DropAnswer(), operation="CreateTable"))
    with pytest.raises(OutcomeUnknown):
        create(ots)
    assert all(finding.fine for finding in create(ots))


def test_who_may_not_is_told_so(ots: TablestoreServer) -> None:
    ots.faults.add(Fault(Refuse("OTSNoPermissionAccess"), operation="CreateTable"))
    with pytest.raises(StoreRefused, match="OTSNoPermissionAccess"):
        create(ots)
