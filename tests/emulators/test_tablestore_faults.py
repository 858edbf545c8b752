"""Every trouble that can be ordered: what the client sees of it, and what the table holds afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3

from infra.emulators.tablestore import (
    Action,
    CorruptAnswer,
    CutAnswer,
    Delay,
    DoLater,
    DropAnswer,
    DropBefore,
    Fault,
    Hold,
    Refuse,
    TablestoreServer,
    serving_tablestore,
)
from infra.emulators.tablestore.refusals import STATUS_BY_CODE
from tests.support.tablestore_client import Client, Signing, columns_of, connecting, create_table, key, ots, put

BEFORE: dict[str, Any] = {"state": "OPEN", "rev": 1}
AFTER: dict[str, Any] = {"state": "DONE", "rev": 2}


@pytest.fixture
def server() -> Iterator[TablestoreServer]:
    with serving_tablestore() as server:
        yield server


@pytest.fixture
def signing() -> Signing:
    return "v4"


@pytest.fixture
def client(server: TablestoreServer, signing: Signing) -> Iterator[Client]:
    with connecting(server, signing=signing) as client:
        create_table(client)
        put(client, "a", **BEFORE)
        server.requests.clear()
        yield client


def update(client: Client) -> None:
    client.update_row("tasks", ots.Row(key("a"), {"PUT": [("state", "DONE")], "INCREMENT": [("rev", 1)]}), None)


def delete(client: Client) -> None:
    client.delete_row("tasks", ots.Row(key("a")), ots.Condition("EXPECT_EXIST"))


def replace(client: Client) -> None:
    put(client, "a", **AFTER)


def write_batch(client: Client) -> None:
    request = ots.BatchWriteRowRequest()
    row = ots.Row(key("a"), list(AFTER.items()))
    request.add(ots.TableInBatchWriteRowItem("tasks", [ots.PutRowItem(row, ots.Condition("IGNORE"))]))
    client.batch_write_row(request)


WRITES: dict[str, tuple[Callable[[Client], None], Any]] = {
    "UpdateRow": (update, AFTER),
    "PutRow": (replace, AFTER),
    "DeleteRow": (delete, None),
    "BatchWriteRow": (write_batch, AFTER),
}


def order(server: TablestoreServer, action: Action, operation: str = "UpdateRow", **others: Any) -> Fault:
    return server.faults.add(Fault(action, operation, **others))


@pytest.mark.parametrize("signing", ["v2", "v4"])
@pytest.mark.parametrize("code", sorted(STATUS_BY_CODE))
def test_an_error_is_answered_as_the_service_answers_it(server: TablestoreServer, client: Client, code: str) -> None:
    order(server, Refuse(code))
    with pytest.raises(ots.OTSServiceError) as refused:
        update(client)
    assert (refused.value.http_status, refused.value.code) == (STATUS_BY_CODE[code], code)
    assert refused.value.request_id
    assert columns_of(client, "a") == BEFORE


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(
    ("action", "is_done"),
    [
        (DropBefore(), False),
        (DropAnswer(), True),
        (Refuse("OTSServerBusy"), False),
        (Refuse("OTSTimeout"), False),
        (Refuse("OTSTimeout", before=False), True),
        (CorruptAnswer("md5"), True),
        (CutAnswer(), True),
    ],
    ids=["drop before", "drop answer", "busy", "timeout", "timeout after", "corrupt", "cut"],
)
def test_what_was_written_is_known_only_to_the_server(
    server: TablestoreServer, client: Client, operation: str, action: Action, *, is_done: bool
) -> None:
    write, written = WRITES[operation]
    order(server, action, operation)
    with pytest.raises((ots.OTSServiceError, ots.OTSClientError, urllib3.exceptions.HTTPError)):
        write(client)
    assert columns_of(client, "a") == (written if is_done else BEFORE)
    assert [call.operation for call in server.requests] == [operation, "GetRow"], "nothing was sent twice"


@pytest.mark.parametrize(("action", "state"), [(DropBefore(), BEFORE), (DropAnswer(), AFTER)], ids=["before", "after"])
def test_a_dropped_connection_is_a_network_error_and_the_next_call_works(
    server: TablestoreServer, client: Client, action: Action, state: Any
) -> None:
    order(server, action)
    with pytest.raises(urllib3.exceptions.HTTPError) as dropped:
        update(client)
    assert "reset" in str(dropped.value).lower() or "aborted" in str(dropped.value).lower()
    assert columns_of(client, "a") == state
    assert (server.requests[0].operation, server.requests[0].status) == ("UpdateRow", 0)


@pytest.mark.parametrize("before", [True, False])
def test_an_answer_that_is_late_runs_into_the_client_s_time_out(server: TablestoreServer, *, before: bool) -> None:
    with connecting(server) as patient, connecting(server, timeout_s=0.2) as hasty:
        create_table(patient)
        put(patient, "a", **BEFORE)
        hold = Hold(before=before)
        order(server, hold)
        with pytest.raises(urllib3.exceptions.HTTPError) as late:
            update(hasty)
        assert "timed out" in str(late.value).lower()
        assert columns_of(patient, "a") == (BEFORE if before else AFTER)
        hold.release()
        hold.wait_done()
        assert columns_of(patient, "a") == AFTER, "a caller that has gone does not stop what it asked for"


def test_a_delay_shorter_than_the_time_out_is_only_slow(server: TablestoreServer, client: Client) -> None:
    order(server, Delay(0.05), times=2)
    update(client)
    order(server, Delay(0.05, before=False))
    update(client)
    assert columns_of(client, "a") == {"state": "DONE", "rev": 3}


def test_what_is_done_later_happens_after_the_caller_saw_a_reset(server: TablestoreServer, client: Client) -> None:
    later = DoLater()
    order(server, later)
    with pytest.raises(urllib3.exceptions.HTTPError):
        update(client)
    later.wait_reached()
    assert columns_of(client, "a") == BEFORE
    client.update_row("tasks", ots.Row(key("a"), {"PUT": [("state", "OTHER")]}), None)
    later.release()
    later.wait_done()
    assert columns_of(client, "a") == AFTER, "it overtakes what was written meanwhile"


def test_two_requests_are_put_in_an_order_of_one_s_own(server: TablestoreServer, client: Client) -> None:
    first = Hold()
    order(server, first, where=lambda call: "rev" in call.columns)
    thread = threading.Thread(target=update, args=(client,))
    thread.start()
    first.wait_reached()
    client.update_row("tasks", ots.Row(key("a"), {"PUT": [("state", "SECOND")]}), None)
    first.release()
    thread.join()
    assert columns_of(client, "a") == AFTER


@pytest.mark.parametrize("signing", ["v2", "v4"])
@pytest.mark.parametrize("part", ["md5", "body", "signature", "date"])
def test_an_answer_that_was_tampered_with_is_noticed(server: TablestoreServer, client: Client, part: Any) -> None:
    order(server, CorruptAnswer(part))
    with pytest.raises(ots.OTSClientError):
        update(client)
    assert columns_of(client, "a") == AFTER


def test_a_signed_header_that_was_tampered_with_is_noticed(server: TablestoreServer, client: Client) -> None:
    order(server, CorruptAnswer("request_id"), "GetRow")
    with pytest.raises(ots.OTSClientError, match="Invalid signature in response"):
        columns_of(client, "a")


@pytest.mark.parametrize("sent", [0, 1, 10])
def test_an_answer_that_is_cut_short_is_noticed(server: TablestoreServer, client: Client, sent: int) -> None:
    order(server, CutAnswer(sent), "GetRow")
    with pytest.raises((urllib3.exceptions.HTTPError, ots.OTSClientError)):
        columns_of(client, "a")
    assert columns_of(client, "a") == BEFORE


def test_an_answer_that_has_no_body_is_cut_too(server: TablestoreServer, client: Client) -> None:
    order(server, CutAnswer(), "DeleteTable")
    with pytest.raises((urllib3.exceptions.HTTPError, ots.OTSClientError)):
        client.delete_table("tasks")
    assert client.list_table() == ()


def test_a_trouble_comes_as_often_as_ordered_and_after_as_many_as_ordered(
    server: TablestoreServer, client: Client
) -> None:
    fault = order(server, Refuse("OTSServerBusy"), times=2, after=1)
    seen = []
    for _ in range(5):
        try:
            update(client)
            seen.append("done")
        except ots.OTSServiceError as refused:
            seen.append(refused.code)
    assert seen == ["done", "OTSServerBusy", "OTSServerBusy", "done", "done"]
    assert (fault.met, fault.passed) == (2, 1)


def test_a_trouble_without_number_lasts_until_it_is_cleared(server: TablestoreServer, client: Client) -> None:
    order(server, Refuse("OTSServerBusy"), "*", times=None)
    for _ in range(3):
        with pytest.raises(ots.OTSServiceError):
            update(client)
    server.faults.clear()
    update(client)


@pytest.mark.parametrize(
    ("pattern", "is_met"),
    [
        ({"operation": "Update*"}, True),
        ({"operation": "GetRow"}, False),
        ({"table": "ta*s"}, True),
        ({"table": "others"}, False),
        ({"row": "a"}, True),
        ({"row": "b"}, False),
        ({"row": "T"}, True),
        ({"column": "st*"}, True),
        ({"column": "due"}, False),
        ({"where": lambda call: call.table == "tasks"}, True),
        ({"where": lambda call: call.request_bytes > 10_000}, False),
    ],
    ids=[
        "operation",
        "other operation",
        "table",
        "other table",
        "row",
        "other row",
        "any value of the key",
        "column",
        "other column",
        "what a function says",
        "what a function denies",
    ],
)
def test_a_trouble_finds_its_requests(
    server: TablestoreServer, client: Client, pattern: dict[str, Any], *, is_met: bool
) -> None:
    fault = server.faults.add(Fault(Refuse("OTSServerBusy"), **pattern))
    if is_met:
        with pytest.raises(ots.OTSServiceError):
            update(client)
    else:
        update(client)
    assert fault.met == is_met


def test_the_first_of_two_troubles_comes_first(server: TablestoreServer, client: Client) -> None:
    order(server, Refuse("OTSTimeout"))
    order(server, Refuse("OTSServerBusy"))
    codes = []
    for _ in range(2):
        with pytest.raises(ots.OTSServiceError) as refused:
            update(client)
        codes.append(refused.value.code)
    assert codes == ["OTSTimeout", "OTSServerBusy"]


def test_the_sdk_repeats_what_it_is_told_to_repeat(server: TablestoreServer) -> None:
    with connecting(server, retry_policy=ots.WriteRetryPolicy()) as client:
        create_table(client)
        server.requests.clear()
        order(server, Refuse("OTSQuotaExhausted"), times=2)
        update(client)
        assert [call.status for call in server.requests] == [403, 403, 200]
        order(server, Refuse("OTSTimeout"))
        with pytest.raises(ots.OTSServiceError):
            update(client)  # the SDK's own list misspells UpdateRow
        order(server, Refuse("OTSTimeout"), "PutRow")
        put(client, "a", state="OPEN")


def test_every_request_is_remembered_with_what_it_was_about(server: TablestoreServer, client: Client) -> None:
    update(client)
    client.get_row("tasks", key("a"), ["state", "rev"], max_version=1)
    with pytest.raises(ots.OTSServiceError):
        client.get_row("others", key("a"), max_version=1)
    write_batch(client)
    remembered = [(call.operation, call.table, call.status, call.code) for call in server.requests]
    assert remembered == [
        ("UpdateRow", "tasks", 200, ""),
        ("GetRow", "tasks", 200, ""),
        ("GetRow", "others", 404, "OTSObjectNotExist"),
        ("BatchWriteRow", "tasks", 200, ""),
    ]
    changed, read, _, batch = server.requests
    assert changed.keys == read.keys == batch.keys == ((("pk", "a"), ("sk", "T")),)
    assert set(changed.columns) == set(read.columns) == set(batch.columns) == {"state", "rev"}
    assert read.message.max_versions == 1


def test_a_failure_of_the_server_itself_fails_the_test_that_uses_it() -> None:
    def fail(_: object) -> bool:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError), serving_tablestore() as server, connecting(server) as client:
        server.faults.add(Fault(DropBefore(), where=fail))
        with pytest.raises(ots.OTSServiceError) as refused:
            client.list_table()
        assert refused.value.code == "OTSInternalServerError"


def test_a_server_that_stops_lets_go_of_whoever_is_held_and_still_answers() -> None:
    hold = Hold()
    with ThreadPoolExecutor(1) as pool, serving_tablestore() as server, connecting(server) as client:
        create_table(client)
        order(server, hold)
        updated = pool.submit(update, client)
        hold.wait_reached()
        server.stop()
        assert updated.result(10) is None
