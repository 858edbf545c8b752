"""What Tablestore itself must do for the protocol to hold: in the stand-in, and with ``--live`` in the cloud.

``C…`` are the cases of the test plan. Busy answers and lost ones cannot be
ordered from the cloud; they are in ``tests/adapters/test_tablestore_faults.py``.
"""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from sluice.adapters.aliyun.tablestore.client import Change, TablestoreClient, open_sdk
from sluice.adapters.aliyun.tablestore.conditions import any_row, no_row, some_row
from sluice.adapters.aliyun.tablestore.rows import claim_column, task_key, write_claim, write_task
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.domain.lifecycle import Guard
from sluice.domain.task import State
from sluice.ports.store_errors import OutcomeUnknown
from tests.contracts.at_once import at_once
from tests.contracts.task_builder import NOW, TENANT, a_claim, a_task
from tests.support.live_cloud import live_tablestore
from tests.support.tablestore_tables import LAG_S, TIMEOUT_S, access_to, prepare_empty

pytestmark = pytest.mark.slow  # each test starts, or asks, a server or processes

TASK = a_task()
KEY = task_key(TASK.ref)
CLAIMS_MAX = 10_000
MISSING, EQUAL, OTHER = "missing", "equal", "other"
DONE, REFUSED = "done", "OTSConditionCheckFail"


class TablestoreServiceCases(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    changes_each = 5
    """How often each of fifty writers writes."""
    lag_s = 5.0

    @abstractmethod
    def open_access(self) -> TablestoreAccess:
        """Name an empty table that is ready."""

    @pytest.fixture
    def access(self) -> TablestoreAccess:
        access = self.open_access()
        prepare_empty(access)
        return access

    @pytest.fixture
    def client(self, access: TablestoreAccess) -> Iterator[TablestoreClient]:
        with closing(TablestoreClient(access, timeout_s=TIMEOUT_S)) as client:
            yield client

    def test_of_a_hundred_that_create_a_row_one_wins(self, client: TablestoreClient) -> None:  # C17
        is_mine = at_once(100, lambda index: client.put(KEY, {"creator": index}, no_row()))
        assert is_mine.count(True) == 1
        assert self._columns(client) == {"creator": is_mine.index(True)}

    def test_of_a_hundred_that_compare_and_set_one_wins(self, access: TablestoreAccess) -> None:  # C18
        with closing(TablestoreTasks(access, timeout_s=TIMEOUT_S)) as tasks:
            tasks.create(TASK)
            guard = Guard(state=State.OPEN, rev=0)
            is_mine = at_once(100, lambda index: tasks.update(TASK.ref, guard, {"owner": str(index)}))
            assert is_mine.count(True) == 1
            held = tasks.read(TASK.ref)
        assert held is not None
        assert (held.rev, held.owner) == (1, str(is_mine.index(True)))

    @pytest.mark.parametrize(
        ("column", "pass_if_missing", "outcome"),
        [
            (MISSING, False, REFUSED),
            (MISSING, True, DONE),
            (EQUAL, False, DONE),
            (EQUAL, True, DONE),
            (OTHER, False, REFUSED),
            (OTHER, True, REFUSED),
        ],
    )
    def test_a_condition_on_a_missing_column_holds_only_if_told_to(
        self,
        access: TablestoreAccess,
        client: TablestoreClient,
        column: str,
        pass_if_missing: bool,  # noqa: FBT001 -- a case of the table
        outcome: str,
    ) -> None:  # C19
        client.put(KEY, {EQUAL: "", OTHER: "value"}, no_row())
        condition = sdk.SingleColumnCondition(column, "", sdk.ComparatorType.EQUAL, pass_if_missing=pass_if_missing)
        assert self._update(access, condition) == outcome

    def test_without_a_word_a_condition_on_a_missing_column_holds(
        self, access: TablestoreAccess, client: TablestoreClient
    ) -> None:  # C19: the trap
        client.put(KEY, {OTHER: "value"}, no_row())
        assert self._update(access, sdk.SingleColumnCondition(MISSING, 7, sdk.ComparatorType.EQUAL)) == DONE

    @pytest.mark.parametrize("value", ["7", 7.0, True])
    def test_a_value_of_another_type_is_not_equal(
        self, access: TablestoreAccess, client: TablestoreClient, value: object
    ) -> None:
        client.put(KEY, {"number": 7}, no_row())
        condition = sdk.SingleColumnCondition("number", value, sdk.ComparatorType.EQUAL, pass_if_missing=False)
        assert self._update(access, condition) != DONE

    def test_conditions_increments_and_values_are_one_change(self, access: TablestoreAccess) -> None:  # C20
        with closing(TablestoreTasks(access, timeout_s=TIMEOUT_S)) as tasks:
            tasks.create(TASK)

            def write(index: int) -> int:
                """Read, and change on what was read: as many as not overtaken."""
                is_mine = 0
                for _ in range(self.changes_each):
                    held = tasks.read(TASK.ref)
                    assert held is not None
                    guard = Guard(state=State.OPEN, rev=held.rev, epoch=held.epoch)
                    is_mine += tasks.update(TASK.ref, guard, {"epoch": held.epoch + 1, "owner": str(index)})
                return is_mine

            successes = sum(at_once(50, write))
            held = tasks.read(TASK.ref)
        assert held is not None
        assert successes >= 1
        assert held.rev == held.epoch == successes

    def test_a_write_that_was_given_up_is_done_or_not_and_never_half(self, access: TablestoreAccess) -> None:  # C21
        with closing(TablestoreTasks(access, timeout_s=TIMEOUT_S)) as tasks:
            tasks.create(TASK)
        with closing(TablestoreTasks(access, timeout_s=0.001)) as hasty:
            for sequence in range(1, 51):
                try:
                    hasty.claim(TASK.ref, a_claim(sequence, rows=sequence), at=NOW, due_at=NOW)
                except OutcomeUnknown:
                    continue
        time.sleep(0.5)
        with closing(TablestoreTasks(access, timeout_s=TIMEOUT_S)) as tasks:
            held = tasks.read_claims(TASK.ref)
        assert held is not None
        assert held.task.batches_received == held.task.rev == len(held.claims)
        assert held.task.rows_received == sum(held.claims)

    def test_an_index_shows_every_row_in_the_end(
        self, access: TablestoreAccess, record_property: Callable[[str, object], None]
    ) -> None:  # C22
        lags: list[float] = []
        with closing(TablestoreTasks(access, timeout_s=TIMEOUT_S)) as tasks:
            for number in range(20):
                task = a_task(str(number), created_at=NOW + number)
                tasks.create(task)
                written_at = time.monotonic()
                while task not in tasks.page(TENANT, state=None, limit=1, cursor="").tasks:
                    assert time.monotonic() - written_at < self.lag_s
                lags.append(time.monotonic() - written_at)
        record_property("index_lag_s", {"median": statistics.median(lags), "longest": max(lags)})

    def test_a_row_holds_ten_thousand_claims(self, access: TablestoreAccess, client: TablestoreClient) -> None:  # C23
        claims = {sequence: a_claim(sequence) for sequence in range(1, CLAIMS_MAX + 1)}
        client.put(KEY, write_task(TASK), no_row())
        columns = [(claim_column(sequence), write_claim(claim)) for sequence, claim in claims.items()]
        for start in range(0, CLAIMS_MAX, 1_000):
            client.update(KEY, Change(dict(columns[start : start + 1_000])), some_row())
        with closing(TablestoreTasks(access, timeout_s=60)) as tasks:
            held = tasks.read_claims(TASK.ref)
            assert held is not None
            assert held.claims == claims
            assert tasks.read(TASK.ref) == held.task == TASK
            assert tasks.read_claim(TASK.ref, CLAIMS_MAX) == claims[CLAIMS_MAX]
            assert not tasks.claim(TASK.ref, a_claim(CLAIMS_MAX), at=NOW, due_at=NOW)
            tasks.forget_claims(TASK.ref)
            held = tasks.read_claims(TASK.ref)
        assert held == (TASK, {})

    def test_a_row_of_empty_text_zeros_and_any_float_comes_back(self, client: TablestoreClient) -> None:
        columns: dict[str, Any] = {
            "empty": "",
            "zero": 0,
            "nil": 0.0,
            "most": 2**63 - 1,
            "least": -(2**63),
            "fine": 1_700_000_000.123_456_7,
            "tiny": 5e-324,
            "text": "\0值\U0001f600\n",
        }
        client.put(KEY, columns, any_row())
        assert self._columns(client) == columns

    def _columns(self, client: TablestoreClient) -> dict[str, Any]:
        row = client.read(KEY)
        assert row is not None
        return row.columns

    def _update(self, access: TablestoreAccess, condition: Any) -> str:
        """What an update under this condition comes to; by the SDK alone."""
        try:
            open_sdk(access, timeout_s=TIMEOUT_S).update_row(
                access.table,
                sdk.Row(KEY, {"PUT": [("done", 1)]}),
                sdk.Condition(sdk.RowExistenceExpectation.EXPECT_EXIST, condition),
            )
        except sdk.OTSServiceError as error:
            return str(error.code)
        return DONE


class TestTablestoreStandIn(TablestoreServiceCases):
    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        with serving_tablestore() as self.ots:
            self.ots.index_lag_s = 0.01
            yield

    def open_access(self) -> TablestoreAccess:
        return access_to(self.ots)

    ots: TablestoreServer


@pytest.mark.live
@pytest.mark.timeout(900)
class TestLiveTablestore(TablestoreServiceCases):
    changes_each = 200
    lag_s = LAG_S

    def open_access(self) -> TablestoreAccess:
        return live_tablestore()
