"""A call for a dataset is the same over HTTP and over gRPC: the same file, or the same refusal, in the same audit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any

import grpc
import httpx
import pytest

from sluice.proto import export_pb2 as pb
from tests.support.command_line import sluice
from tests.support.dataset_faces import Outcome, OverGrpc, OverHttp, Service, Who, query_of
from tests.support.grpc_client import GrpcClient, raw_unary, refusal_of
from tests.support.http_calls import CALLER
from tests.support.orders_dataset import DATASET, READ, serving_orders, token, visible
from tests.support.running_service import eventually

FEW = DATASET.replace("dataset: orders", "dataset: few").replace(
    "per_user_hour: 0", "per_user_hour: 2, previews_per_user_hour: 4"
)

NUMBERS = count()
LARGE = DATASET.replace("dataset: orders", "dataset: large").replace("waited_rows: 10000", "waited_rows: 1000")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("definitions")
    data = folder / "data"
    application, reader = (
        sluice("keys", "add", "acme", "--scope", scope, "--data", data).stdout.strip() for scope in ("act_for", "read")
    )
    with (
        serving_orders(folder, few=FEW, large=LARGE) as running,
        httpx.Client(verify=False, base_url=running.url, timeout=60) as http,
        closing(GrpcClient(running.grpc_target, None)) as client,
    ):
        yield Service(running, application, reader, http, client)


def both(service: Service, who: Who, what: str, name: str = "orders", body: dict[str, Any] | None = None) -> Outcome:
    """What the call gives, which is the same over both."""
    sent = {"format": "csv", **(body or {})}
    over_http, over_grpc = (face(service, who).call(what, name, sent) for face in (OverHttp, OverGrpc))
    assert over_http == over_grpc
    return over_http


def ann(*permissions: str, tenant: str = "acme") -> Who:
    """A user of whom no test has asked anything yet."""
    return Who(token(tenant, *(permissions or READ), user=f"ann{next(NUMBERS)}"))


GIVEN: dict[str, dict[str, Any]] = {
    "few rows": {"date": {"from": "2026-03-05", "to": "2026-03-06"}},
    "more rows": {},
    "a moment": {"date": {"from": "2026-03-05 10:00", "to": "2026-03-06T00:00:00"}},
    "ids": {"scope": "selected", "ids": [3, 4, 6, 9, 10, 999_999]},
    "ids as texts": {"scope": "selected", "ids": ["3", "06", "9.0"]},
    "all by name": {"scope": "all", "filters": {"state": "paid"}, "date": {"from": "2026-03-05"}},
    "a filter of several": {"filters": {"state": ["paid", "nothing"]}, "date": {"to": "2026-03-02"}},
    "columns in their order": {"columns": ["amount", {"name": "id", "label": '名 "x"\nno.'}, "email"]},
    "an empty label": {"columns": [{"name": "id", "label": ""}, "amount"]},
    "options": {"options": {"csv_delimiter": ";", "quote_all": True, "timezone": "Asia/Shanghai"}, "filename": "mine"},
    "a workbook": {
        "format": "xlsx",
        "options": {"about_sheet": False},
        "date": {"from": "2026-03-05", "to": "2026-03-05"},
        "filename": "a/b\\c",
    },
    "JSON Lines": {"format": "jsonl", "date": {"from": "2026-03-05", "to": "2026-03-05"}},
    "in the background": {"prefer": "background", "options": {"reuse": False}},
}


@pytest.mark.parametrize("what", GIVEN)
def test_the_same_call_gives_the_same_file(service: Service, what: str) -> None:
    given = both(service, ann(), "export", body=GIVEN[what])
    assert given.code == ""
    assert (given.given == "later") is (what == "in the background")


def test_more_rows_than_are_waited_for_come_later(service: Service) -> None:
    assert both(service, ann(), "export", "large").given == "later"


def test_all_rows_of_the_user_s_tenant_are_in_the_file_unmasked_for_who_may(service: Service) -> None:
    _, content = both(service, ann(*READ, "orders:pii"), "export").given
    _, *rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert [(int(row[0]), row[1]) for row in rows] == [(one[0], one[3]) for one in visible("acme")]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a column that is none": ({"columns": ["nope"]}, "INVALID_REQUEST"),
    "a column of others": ({"columns": ["cost"]}, "PERMISSION_DENIED"),
    "a column that is not offered": ({"columns": ["tenant_id"]}, "INVALID_REQUEST"),
    "a column twice": ({"columns": ["id", "id"]}, "INVALID_REQUEST"),
    "two columns of one header": ({"columns": ["id", {"name": "amount", "label": "Order id"}]}, "INVALID_REQUEST"),
    "a header that is too long": ({"columns": [{"name": "id", "label": "x" * 300_000}]}, "INVALID_REQUEST"),
    "a filter that is not offered": ({"filters": {"tenant_id": "globex"}}, "INVALID_REQUEST"),
    "a filter of nothing": ({"filters": {"state": []}}, "INVALID_REQUEST"),
    "a filter that is too long": ({"filters": {"state": "x" * 1_001}}, "INVALID_REQUEST"),
    "no day": ({"date": {"from": "yesterday"}}, "INVALID_REQUEST"),
    "no such day": ({"date": {"to": "2026-02-30"}}, "INVALID_REQUEST"),
    "an empty day": ({"date": {"to": ""}}, "INVALID_REQUEST"),
    "ids without their scope": ({"ids": [1]}, "INVALID_REQUEST"),
    "no ids": ({"scope": "selected"}, "INVALID_REQUEST"),
    "an id of another type": ({"scope": "selected", "ids": ["3", "x"]}, "INVALID_REQUEST"),
    "too many values": (
        {"scope": "selected", "ids": [1] * 20_000, "filters": {"state": ["x"] * 20_000}},
        "INVALID_REQUEST",
    ),
    "too many ids": ({"scope": "selected", "ids": list(range(101))}, "INVALID_REQUEST"),
    "a format that is none": ({"format": "exe"}, "UNSUPPORTED_FORMAT"),
    "an option without a value": ({"options": {"csv_delimiter": "ab"}}, "INVALID_REQUEST"),
    "a zone that is none": ({"options": {"timezone": "Mars/Base"}}, "INVALID_REQUEST"),
}


@pytest.mark.parametrize("call", ["export", "preview"])
@pytest.mark.parametrize("what", REFUSED)
def test_the_same_call_is_refused_alike(service: Service, call: str, what: str) -> None:
    body, code = REFUSED[what]
    found = both(service, ann(), call, body=body)
    assert found.code == code


EVIL = ["paid' OR '1'='1", '3" UNION SELECT 1; DROP TABLE orders --', ":user.tenant"]
FIELDS: dict[str, Any] = {
    "a value": lambda text: {"filters": {"state": text}},
    "a filter": lambda text: {"filters": {text: "paid"}},
    "an id": lambda text: {"scope": "selected", "ids": [text]},
    "a column": lambda text: {"columns": [text]},
    "a header": lambda text: {"columns": [{"name": "id", "label": text}], "scope": "selected", "ids": ["3"]},
    "a day": lambda text: {"date": {"from": text}},
    "a name": lambda text: {"filename": text, "scope": "selected", "ids": ["3"]},
    "a zone": lambda text: {"options": {"timezone": text}},
}


@pytest.mark.parametrize("where", FIELDS)
def test_no_field_becomes_a_part_of_a_query(service: Service, where: str) -> None:
    for text in EVIL:
        found = both(service, ann(), "export", body=FIELDS[where](text))
        if found.code:
            assert found.code == "INVALID_REQUEST", (where, text)
            continue
        lines = found.given[1].decode("utf-8-sig").splitlines()
        assert len(lines) == (2 if where in {"a header", "a name"} else 1), "a value that no row has chooses none"
    assert both(service, ann(), "preview", body={"rows": 1}).given["rows"][0][0] == "3", "the table is as it was"
    for text in EVIL:
        over = OverGrpc(service, ann())
        assert over.call("show", text, {}).code == "DATASET_NOT_FOUND"
        assert over.call("export", "orders", {"format": "csv", "scope": "selected", "ids": ["3"]}, text).code == ""


def test_a_user_sees_the_same_datasets_and_rows(service: Service) -> None:
    for permissions in (READ, (*READ, "orders:pii"), (*READ, "orders:cost"), ("other",)):
        listed = both(service, ann(*permissions), "list").given["datasets"]
        shown = both(service, ann(*permissions), "show")
        assert [one for one in listed if one["name"] == "orders"] == ([shown.given] if not shown.code else [])
        both(service, ann(*permissions), "preview", body={"rows": 3, "columns": ["email", "id"]})
    assert len(both(service, ann(), "preview").given["rows"]) == 20
    assert both(service, ann(), "preview", body={"rows": 101}).facts == {"field": "rows"}
    assert both(service, ann(), "preview", body={"rows": -1}).code == "INVALID_REQUEST"


@pytest.mark.parametrize("call", ["show", "export", "preview", "exports"])
def test_who_may_not_see_a_dataset_does_not_learn_that_it_is_there(service: Service, call: str) -> None:
    bad = {"format": "exe", "columns": ["nope"], "ids": [1]}
    hidden = both(service, ann("other"), call, body=bad if call in {"export", "preview"} else None)
    assert hidden == both(service, ann("other"), call, name="nope")
    assert (hidden.code, hidden.facts) == ("DATASET_NOT_FOUND", {})


CALLS = ["list", "show", "export", "preview", "exports"]


@pytest.mark.parametrize("call", CALLS)
def test_the_same_callers_are_let_in(service: Service, call: str) -> None:
    user = ("sluice-user", "bob")
    may = ("sluice-user-permissions", "orders:read, orders:pii")
    known = ("sluice-user-attributes", '{"region": "north"}')
    body = {"scope": "selected", "ids": [3, 6]} if call == "export" else None
    callers: dict[str, tuple[Who, str]] = {
        "nobody": (Who(""), "UNAUTHENTICATED"),
        "another secret": (Who(token(secret="another secret that has thirty-two bytes")), "UNAUTHENTICATED"),
        "a token that is over": (Who(token("acme", *READ, exp=1)), "UNAUTHENTICATED"),
        "a key for other things": (Who(service.reader, (user, may)), "PERMISSION_DENIED"),
        "a key that names no user": (Who(service.application, (may,)), "UNAUTHENTICATED"),
        "a user twice": (Who(service.application, (user, user)), "INVALID_REQUEST"),
        "a token with a user twice": (Who(token("acme", *READ), (user, user)), "INVALID_REQUEST"),
        "attributes that are none": (Who(service.application, (user, may, (known[0], "{"))), "INVALID_REQUEST"),
        "a user that is too long": (Who(service.application, ((user[0], "x" * 256), may)), "INVALID_REQUEST"),
        "a key with its user": (Who(service.application, (user, may, known)), ""),
        "a user in Chinese": (Who(service.application, ((user[0], "王伟"), may)), ""),
        "a token": (Who(token("acme", *READ)), ""),
        "a token that names another": (Who(token("acme", *READ), (user, may)), ""),
    }
    for what, (who, code) in callers.items():
        if call == "exports" and not code:
            assert OverGrpc(service, who).call(call, "orders", {}).code == ""
            continue
        found = both(service, who, call, body=body)
        assert found.code == code, what
        if what == "a key with its user" and call == "export":
            assert b"user3@example.com" in found.given[1]


def test_a_key_of_a_call_is_the_same_over_both(service: Service) -> None:
    who = ann()
    over_http, over_grpc = OverHttp(service, who), OverGrpc(service, who)
    body = {"format": "csv", "scope": "selected", "ids": [9, 6], "filters": {"state": ["paid", "open"]}}
    request = pb.ExportDatasetRequest(query=query_of("orders", body), request_id="over-both")
    first = over_http.ask("POST", "/v1/datasets/orders/exports", body, "over-both")
    again = over_grpc.ask("ExportDataset", request)
    assert again.replayed
    assert again.export.task_id == first.headers["sluice-task"]
    assert CALLER.get(again.export.oss_url).content == first.content
    body["ids"] = [9]
    for over in (over_http, over_grpc):
        assert over.call("export", "orders", body, "over-both").code == "IDEMPOTENCY_KEY_REUSED"
    listed = over_grpc.ask("ListDatasetExports", pb.DatasetRequest(dataset="orders"))
    (found,) = [one for one in listed.exports if one.export.task_id == again.export.task_id]
    assert (found.export.oss_url, found.export.state) == ("", "completed")
    assert CALLER.get(f"{found.watch_url}/file", follow_redirects=True).content == first.content
    assert OverGrpc(service, ann()).call("export", "orders", body, "over-both").code == "", "keys are the user's own"


def test_an_hour_is_one_hour_over_both(service: Service) -> None:
    who = Who(token("acme", *READ, user="busy"))
    body = {"format": "csv", "scope": "selected", "ids": [3]}
    over_http, over_grpc = OverHttp(service, who), OverGrpc(service, who)
    for over in (over_http, over_grpc, over_grpc, over_http):
        assert over.call("export", "few", body, f"first over {over.face}").code == "", "a replay costs nothing"
    refused = [over.call("export", "few", body) for over in (over_http, over_grpc)]
    assert {one.code for one in refused} == {"RATE_LIMITED"}
    assert [one.facts.pop("retry_after_s") > 3_000 for one in refused] == [True, True]
    assert refused[0] == refused[1]


def test_previews_are_counted_over_both(service: Service) -> None:
    who = Who(token("acme", *READ, user="looking"))
    faces = [face(service, who) for face in (OverHttp, OverGrpc)]
    body = {"format": "csv", "rows": 1}
    for number in range(4):
        assert faces[number % 2].call("preview", "few", body).code == ""
    refused = [over.call("preview", "few", body) for over in faces]
    assert [(one.code, one.facts["previews_per_user_hour"]) for one in refused] == [("RATE_LIMITED", 4)] * 2


def test_the_audit_has_the_same_lines(service: Service) -> None:
    who = {face: Who(token("acme", *READ, user=f"{face.face}-user")) for face in (OverHttp, OverGrpc)}
    acting = {face: Who(service.application, (("sluice-user", f"{face.face}-user"),)) for face in (OverHttp, OverGrpc)}
    body = {"format": "csv", "scope": "selected", "ids": [3, 6], "filters": {"state": "paid"}}
    dated = {"format": "csv", "columns": ["id", "email"], "date": {"from": "2026-03-05", "to": "2026-03-05"}}

    def audited(face: type[OverHttp | OverGrpc]) -> list[dict[str, Any]]:
        shown = sluice("audit", "--data", service.running.data, "--user", f"{face.face}-user", "--json").stdout
        return [json.loads(line) for line in shown.splitlines()]

    def is_complete(face: type[OverHttp | OverGrpc]) -> bool:
        return len(audited(face)) >= (12 if face is OverHttp else 14)

    for face, one in who.items():
        over = face(service, one)
        for what, name, sent in (
            ("list", "", {}),
            ("show", "nope", {}),
            ("exports", "nope", {}),
            ("preview", "orders", dated),
            ("preview", "orders", {**body, "columns": ["cost"]}),
            ("export", "orders", {**dated, "ids": [1]}),
            ("export", "orders", {**dated, "filters": {"nope": "valueoffilter"}}),
            ("export", "orders", body),
        ):
            over.call(what, name, sent, f"of {face.face}" if sent is body else "")
        over.call("export", "orders", body, f"of {face.face}")
        face(service, acting[face]).call("show", "orders", {})
        eventually(partial(is_complete, face))

    lines = {}
    for face in who:
        found = audited(face)
        assert all(line["client"] == "127.0.0.1" for line in found if line["what"] != "file")
        for line in found:
            line["user"] = "user"
            for name in ("time", "request_id", "task_id"):
                line.pop(name, None)
        lines[face] = found
    given = ("download", "link")
    asked = {face: [line for line in found if line["what"] not in given] for face, found in lines.items()}
    order = lambda line: json.dumps(line, sort_keys=True)  # noqa: E731 - of a file that ends when it does
    assert sorted(asked[OverHttp], key=order) == sorted(asked[OverGrpc], key=order)
    of_files = {
        face.face: [(line["what"], line["outcome"]) for line in lines[face] if line["what"] in given] for face in who
    }
    assert of_files == {"http": [("download", "begun")] * 2, "grpc": [("link", "issued"), ("download", "begun")] * 2}
    assert "valueof" not in (service.running.data / "audit.jsonl").read_text()


def test_a_call_is_not_recorded_under_the_key_of_the_call_before_it_on_its_connection(service: Service) -> None:
    body = {"format": "csv", "columns": ["id"], "rows": 1}
    application = Who(service.application, (("sluice-user", "before"), ("sluice-user-permissions", READ[0])))
    for face in (OverHttp, OverGrpc):
        for who in (application, Who(token("acme", *READ, user=f"behind {face.face}"))) * 2:
            assert face(service, who).call("preview", "orders", body).code == ""
    lines = [json.loads(line) for line in (service.running.data / "audit.jsonl").read_text().splitlines()]
    keys = [(one["user"], "key_id" in one) for one in lines if one["user"].startswith(("before", "behind"))]
    assert keys == [("before", True), ("behind http", False)] * 2 + [("before", True), ("behind grpc", False)] * 2


def test_a_message_that_is_too_long_or_none_is_refused_and_recorded(service: Service) -> None:
    over = OverGrpc(service, Who(token("acme", *READ, user="long")))
    body = {"format": "csv", "scope": "selected", "ids": ["x" * 1_000] * 2_200}
    refused = over.call("export", "orders", body)
    assert (refused.code, refused.facts) == ("INVALID_REQUEST", {"message_bytes_max": 2 << 20})
    ask = raw_unary(service.grpc.channel, "/export.ExportService/ExportDataset")
    with pytest.raises(grpc.RpcError) as caught:
        ask(b"\x0a\x05ab", metadata=over.metadata, timeout=60)
    assert refusal_of(caught.value).code == "INVALID_REQUEST"
    lines = [json.loads(line) for line in (service.running.data / "audit.jsonl").read_text().splitlines()]
    assert [one["outcome"] for one in lines if one["user"] == "long"] == ["INVALID_REQUEST"] * 2
