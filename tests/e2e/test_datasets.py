"""A user of an application has a table of it as a file: what they may, as it may be, at once or later."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import jwt
import openpyxl
import pytest

from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.orders_dataset import BURST, DATASET, READ, SECRET, define, serving_orders, token, visible
from tests.support.running_service import ServiceProcess, eventually, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving_orders(tmp_path_factory.mktemp("definitions")) as running:
        yield running


def asking(service: ServiceProcess, bearer: str) -> httpx.Client:
    return httpx.Client(verify=False, base_url=service.url, headers={"Authorization": f"Bearer {bearer}"}, timeout=60)


def export(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/datasets/orders/exports", json={"format": "csv", **body})


def table(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    header, *rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert int(answer.headers["sluice-rows"]) == len(rows)
    return [header, *rows]


def watched(client: httpx.Client, answer: httpx.Response) -> bytes:
    """The file of an export that is made in the background, by its watch address alone."""
    assert answer.status_code == 202, answer.text
    address = answer.json()["watch_url"]
    eventually(lambda: CALLER.get(address).json()["state"] == "completed")
    return CALLER.get(f"{address}/file", follow_redirects=True).content


def test_few_rows_are_the_answer_and_they_are_those_of_the_user_s_tenant(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ)) as client:
        header, *rows = table(export(client, date={"from": "2026-03-05", "to": "2026-03-06"}))
    expected = [one for one in visible("acme") if one[6] >= "2026-03-05" and one[6] < "2026-03-07"]
    assert header == ["Order id", "E-mail", "amount", "created_at"]
    assert [int(row[0]) for row in rows] == [one[0] for one in expected]
    assert {row[1] for row in rows} == {"u***@example.com"}
    assert [float(row[2]) for row in rows] == [one[5] for one in expected]


def test_more_rows_are_waited_for_and_a_permission_shows_what_is_masked(service: ServiceProcess) -> None:
    with asking(service, token("globex", *READ, "orders:pii", "orders:cost")) as client:
        answer = client.post("/v1/datasets/orders/exports", json={"format": "xlsx", "filename": "mine"})
    assert answer.headers["content-disposition"].startswith('attachment; filename="mine.xlsx"')
    sheet, about = openpyxl.load_workbook(io.BytesIO(answer.content), read_only=True).worksheets
    header, *rows = sheet.iter_rows(values_only=True)
    said = list(about.iter_rows(values_only=True))
    assert ("Asked for by", "ann", None) in said
    assert ("Export", answer.headers["sluice-task"], None) in said
    assert ("Column", "E-mail", "string, email of the table") in said, "nothing is masked for this user"
    assert header == ("Order id", "E-mail", "cost", "amount", "created_at")
    assert [row[:4] for row in rows] == [(one[0], one[3], one[4], one[5]) for one in visible("globex")]


def test_what_is_asked_for_in_the_background_is_found_at_its_watch_address(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ)) as client:
        answer = export(client, prefer="background", columns=["amount", {"name": "id", "label": "No."}])
        content = watched(client, answer)
        assert client.get(f"/v1/exports/{answer.json()['task_id']}").status_code == 403
    lines = content.decode("utf-8-sig").splitlines()
    assert lines[0] == "amount,No."
    assert [int(line.split(",")[1]) for line in lines[1:]] == [one[0] for one in visible("acme")]


def test_selected_rows_are_found_and_no_others(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ)) as client:
        _, *rows = table(export(client, scope="selected", ids=[3, 4, "6", 9, 10, 999_999], columns=["id"]))
        assert rows == [["3"], ["6"], ["9"]]
        _, *rows = table(export(client, filters={"state": "paid"}, scope="selected", ids=[3, 6, 9], columns=["id"]))
        assert rows == [["3"], ["9"]]


def test_a_call_under_its_key_is_made_once(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ)) as client:
        client.headers["Idempotency-Key"] = "once"
        first, second = (export(client, date={"from": "2026-03-07", "to": "2026-03-07"}) for _ in range(2))
        assert first.content == second.content
        assert first.headers["sluice-task"] == second.headers["sluice-task"]
        assert export(client).json()["code"] == "IDEMPOTENCY_KEY_REUSED"
        client.headers["Authorization"] = f"Bearer {token('acme', *READ, user='bob')}"
        answer = export(client, date={"from": "2026-03-07", "to": "2026-03-07"})
        assert answer.status_code == 200, "keys are the user's own"
        assert answer.headers["sluice-task"] != first.headers["sluice-task"]


def test_a_call_under_its_key_is_the_same_export_after_the_dataset_was_edited(service: ServiceProcess) -> None:
    folder = service.data.parent
    asked: dict[str, Any] = {"filters": {"state": "paid"}, "date": {"from": "2026-03-09", "to": "2026-03-09"}}
    edited = DATASET.replace("label: Order id", "label: No.").replace("equals: [state]", "equals: []")
    with asking(service, token("acme", *READ)) as client:
        client.headers["Idempotency-Key"] = "edited"
        first = export(client, **asked)
        assert table(first)[0][0] == "Order id"
        try:
            define(folder, edited.replace("CONSISTENCY", "snapshot"))
            again = export(client, **asked)
            new = export(client, date=asked["date"], filename="new")
            client.headers["Idempotency-Key"] = "new"
            unfiltered = export(client, date=asked["date"])
        finally:
            define(folder)
    assert again.content == first.content
    assert again.headers["sluice-task"] == first.headers["sluice-task"]
    assert new.json()["code"] == "IDEMPOTENCY_KEY_REUSED", "another call is another call"
    assert table(unfiltered)[0][0] == "No.", "a new one is as the dataset is now"


def test_a_user_sees_what_they_may_ask(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ)) as client:
        (shown,) = client.get("/v1/datasets").json()["datasets"]
        assert shown == client.get("/v1/datasets/orders").json()
        assert [(column["name"], column["masked"]) for column in shown["columns"]] == [
            ("id", False), ("email", True), ("amount", False), ("created_at", False),
        ]  # fmt: skip
        assert (shown["formats"], shown["ids_max"]) == (["xlsx", "csv", "jsonl", "parquet"], 100)
        preview = client.post("/v1/datasets/orders/preview?rows=2", json={"format": "csv", "columns": ["id", "email"]})
        hidden = "u***@example.com"
        assert preview.json() == {"columns": ["Order id", "E-mail"], "rows": [["3", hidden], ["6", hidden]]}
    with asking(service, token("acme")) as client:
        assert client.get("/v1/datasets").json() == {"datasets": []}
        assert client.get("/v1/datasets/orders").json()["code"] == "DATASET_NOT_FOUND"
        assert export(client).json()["code"] == "DATASET_NOT_FOUND"


def test_a_user_finds_their_own_exports_again_as_long_as_they_may_have_them(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ, "orders:pii", user="returning")) as client:
        assert client.get("/v1/datasets/orders/exports").json() == {"exports": []}
        early = export(client, columns=["id"], date={"to": "2026-03-02"}).headers["sluice-task"]
        late = export(client, columns=["email"], prefer="background").json()
        first, second = client.get("/v1/datasets/orders/exports").json()["exports"]
        assert (first["task_id"], second["task_id"]) == (late["task_id"], early)
        assert first["watch_url"] == late["watch_url"]
        assert CALLER.get(second["watch_url"]).json()["state"] == "completed"
    for other in (token("acme", *READ, user="a-stranger"), token("globex", *READ, user="returning")):
        with asking(service, other) as client:
            assert client.get("/v1/datasets/orders/exports").json() == {"exports": []}
    with asking(service, token("acme", *READ, user="returning")) as client:
        (found,) = client.get("/v1/datasets/orders/exports").json()["exports"]
        assert found["task_id"] == early, "without the permission there is no file with what it unmasked"
    with asking(service, token("acme", user="returning")) as client:
        assert client.get("/v1/datasets/orders/exports").json()["code"] == "DATASET_NOT_FOUND"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a column that is none": ({"columns": ["nope"]}, "INVALID_REQUEST"),
    "a column of others": ({"columns": ["cost"]}, "PERMISSION_DENIED"),
    "a column that is not offered": ({"columns": ["tenant_id"]}, "INVALID_REQUEST"),
    "SQL as a column": ({"columns": ["id; DROP TABLE orders"]}, "INVALID_REQUEST"),
    "a column twice": ({"columns": ["id", "id"]}, "INVALID_REQUEST"),
    "two columns of one header": ({"columns": ["id", {"name": "amount", "label": "Order id"}]}, "INVALID_REQUEST"),
    "a filter that is not offered": ({"filters": {"tenant_id": "globex"}}, "INVALID_REQUEST"),
    "SQL as a filter": ({"filters": {"state' OR '1'='1": "x"}}, "INVALID_REQUEST"),
    "no day": ({"date": {"from": "2026-03-01' OR 1=1 --"}}, "INVALID_REQUEST"),
    "no such day": ({"date": {"to": "2026-02-30"}}, "INVALID_REQUEST"),
    "ids without their scope": ({"ids": [1]}, "INVALID_REQUEST"),
    "no ids": ({"scope": "selected"}, "INVALID_REQUEST"),
    "too many ids": ({"scope": "selected", "ids": list(range(101))}, "INVALID_REQUEST"),
    "an id that is a table": ({"scope": "selected", "ids": [[1]]}, "INVALID_REQUEST"),
    "a number that no database has": ({"scope": "selected", "ids": [2**70]}, "INVALID_REQUEST"),
    "a field that is none": ({"where": "1=1"}, "INVALID_REQUEST"),
    "a format that is none": ({"format": "exe"}, "UNSUPPORTED_FORMAT"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_dataset_does_not_offer_is_refused(service: ServiceProcess, what: str) -> None:
    body, code = REFUSED[what]
    with asking(service, token("acme", *READ)) as client:
        answer = export(client, **body)
    assert answer.json()["code"] == code, answer.text
    assert answer.status_code < 500


@pytest.mark.parametrize("evil", ["paid' OR '1'='1", "paid'; DROP TABLE orders; --", ":user.tenant", "%", "pa\u0000id"])
def test_a_value_is_a_value_and_nothing_else(service: ServiceProcess, evil: str) -> None:
    with asking(service, token("acme", *READ)) as client:
        for body in ({"filters": {"state": evil}}, {"scope": "selected", "ids": [evil]}):
            answer = export(client, **body)
            if "\0" in evil or "ids" in body:
                assert answer.json()["code"] == "INVALID_REQUEST"
            else:
                assert len(table(answer)) == 1
        assert len(table(export(client, scope="selected", ids=[3]))) == 2


def test_a_value_that_is_none_of_its_column_s_type_is_refused_with_its_place(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ)) as client:
        asked: dict[str, dict[str, Any]] = {
            "ids": {"scope": "selected", "ids": [3, "3.5", "x"]},
            "filters.state": {"filters": {"state": ["paid", 1.5]}},
        }
        for field, body in asked.items():
            for path in ("exports", "preview"):
                answer = client.post(f"/v1/datasets/orders/{path}", json={"format": "csv", **body}).json()
                assert (answer["code"], answer["field"], answer["index"]) == ("INVALID_REQUEST", field, 1)
        assert "ids[1]" in export(client, scope="selected", ids=[3, True]).text
        assert len(table(export(client, scope="selected", ids=["3.0", "06", 9]))) == 4


def test_more_rows_than_the_dataset_allows_are_no_file(service: ServiceProcess) -> None:
    with asking(service, token("all", *READ)) as client:
        answer = client.get("/v1/datasets/orders")
        assert answer.json()["rows_max"] == 20_000


def test_what_is_odd_about_a_call_is_refused_and_not_guessed(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ, user="https://idp.example/users/7")) as client:
        answer = client.post("/v1/datasets/orders/exports", json={"format": "csv"}, headers={"If-None-Match": "*"})
        assert (answer.status_code, answer.json()["field"]) == (400, "If-None-Match")
        twice = [("Sluice-User", "eve"), ("Sluice-User", "ann")]
        assert client.get("/v1/datasets", headers=twice).json()["field"] == "sluice-user"
        assert client.get("/v1/datasets").status_code == 200
        unknown = export(client, filters={"nope": 1}).json()
        assert (unknown["code"], unknown["known"]) == ("INVALID_REQUEST", [])
    lines = [json.loads(line) for line in (service.data / "audit.jsonl").read_text().splitlines()]
    assert "https://idp.example/users/7" in {line["user"] for line in lines}, "a user is named as the token names it"


TOKENS: dict[str, dict[str, Any]] = {
    "another secret": {"secret": "another secret that has thirty-two bytes"},
    "over": {"exp": time.time() - 3_600},
    "no tenant": {"tenant": "No Tenant!"},
    "no user": {"user": ""},
    "a user that is a list": {"user": ["ann"]},
    "permissions that are a number": {"permissions": 3},
}


@pytest.mark.parametrize("how", TOKENS)
def test_a_token_that_is_not_good_lets_no_user_in(service: ServiceProcess, how: str) -> None:
    with asking(service, token(**{"tenant": "acme", **TOKENS[how]})) as client:
        assert client.get("/v1/datasets").json()["code"] == "UNAUTHENTICATED"


def test_no_token_without_a_signature_or_an_end_lets_a_user_in(service: ServiceProcess) -> None:
    claims = {"sub": "ann", "tenant": "acme", "permissions": ["orders:read"]}
    unsigned = jwt.encode({**claims, "exp": time.time() + 60}, "", algorithm="none")
    endless = jwt.encode(claims, SECRET, algorithm="HS256")
    for bearer in (unsigned, endless, "a.b.c", "x.y", "slc_x"):
        with asking(service, bearer) as client:
            assert client.get("/v1/datasets").status_code in {401, 403}, bearer


def test_where_there_are_no_keys_a_dataset_still_needs_a_user(service: ServiceProcess) -> None:
    answer = CALLER.get(f"{service.url}/v1/datasets")
    assert answer.json()["code"] in {"UNAUTHENTICATED", "PERMISSION_DENIED"}
    answer = CALLER.get(f"{service.url}/v1/datasets", headers={"Sluice-User": "ann"})
    assert answer.status_code in {401, 403}


def test_every_call_is_in_the_log_with_who_asked_what(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ, user="auditor")) as client:
        export(client, scope="selected", ids=[3], filters={"state": "paid"}, columns=["id"])
        export(client, columns=["cost"])

    def logged() -> list[Any]:
        said: list[Any] = [line["fields"] for line in service.events("DatasetAsked")]
        return [fields for fields in said if fields["user"] == "auditor"]

    eventually(lambda: len(logged()) == 3)
    mine = logged()
    assert [(line["what"], line["outcome"], line["tenant"]) for line in mine] == [
        ("export", "opened", "acme"),
        ("download", "begun", "acme"),
        ("export", "PERMISSION_DENIED", "acme"),
    ]
    assert (mine[0]["ids"], mine[0]["filters"], mine[0]["columns_asked"]) == (1, ["state"], ["id"])
    assert SECRET not in service.log.read_text()


def audited(service: ServiceProcess, user: str, *more: str) -> list[dict[str, Any]]:
    shown = sluice("audit", "--data", service.data, "--user", user, "--json", *more).stdout
    return [json.loads(line) for line in shown.splitlines()]


def test_an_export_is_in_the_audit_from_its_call_to_the_download_of_its_file(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ, user="auditee")) as client:
        client.headers["X-Request-ID"] = "the-call"
        filters = {"state": ["paid", "a secret value"]}
        answer = export(client, filters=filters, date={"from": "2026-03-01"}, scope="selected", ids=[3, 9, 424_242])
        rows = table(answer)[1:]
        watched(client, export(client, prefer="background", columns=["amount"]))
    eventually(lambda: len(audited(service, "auditee")) == 7)
    first = answer.headers["sluice-task"]
    mine = [one for one in audited(service, "auditee") if one["task_id"] == first]
    later, *rest = [one for one in audited(service, "auditee") if one["task_id"] != first]
    opened, given, complete = sorted(mine, key=lambda one: ["export", "download", "file"].index(one["what"]))
    assert opened.pop("time") <= min(given["time"], complete["time"])
    assert opened == {
        "user": "auditee",
        "tenant": "acme",
        "dataset": "orders",
        "what": "export",
        "outcome": "opened",
        "columns": ["id", "email", "amount", "created_at"],
        "masked": ["email"],
        "filters": ["state"],
        "ids": 3,
        "date_from": "2026-03-01",
        "format": "csv",
        "client": "127.0.0.1",
        "request_id": "the-call",
        "task_id": first,
    }
    assert (complete["what"], complete["outcome"], complete["rows"]) == ("file", "completed", len(rows))
    assert (given["what"], given["outcome"], given["rows"], given["via"]) == ("download", "begun", len(rows), "answer")
    assert later["columns"] == ["amount"]
    assert {(one["what"], one["outcome"], one.get("client")) for one in rest} == {
        ("file", "completed", None),
        ("link", "issued", "127.0.0.1"),
        ("download", "begun", "127.0.0.1"),
    }


def test_every_refusal_is_in_the_audit(service: ServiceProcess) -> None:
    with asking(service, token("acme", user="curious")) as client:
        client.get("/v1/datasets")
        client.get("/v1/datasets/orders")
        client.get("/v1/datasets/nope")
        client.post("/v1/datasets/orders/preview", json={"format": "csv"})
        export(client)
    with asking(service, token("acme", *READ, user="curious")) as client:
        client.post("/v1/datasets/orders/exports", content=b"{", headers={"Content-Type": "application/json"})
        export(client, ids=[1])
        export(client, columns=["cost"])
        client.post("/v1/datasets/orders/preview?rows=2", json={"format": "csv"})
    found = audited(service, "curious", "--since", "1h")
    assert [(one["what"], one["outcome"], one.get("reason")) for one in found] == [
        ("list", "shown", None),
        ("show", "DATASET_NOT_FOUND", "permission"),
        ("show", "DATASET_NOT_FOUND", "there is none"),
        ("preview", "DATASET_NOT_FOUND", "permission"),
        ("export", "DATASET_NOT_FOUND", "permission"),
        ("export", "INVALID_REQUEST", None),
        ("export", "INVALID_REQUEST", None),
        ("export", "PERMISSION_DENIED", None),
        ("preview", "shown", None),
    ]
    assert (found[0]["datasets"], found[0]["not_shown"]) == (0, 1)
    assert found[-2]["columns_asked"] == ["cost"]
    assert found[-1]["rows"] == 2
    assert audited(service, "curious", "--dataset", "nope") == [found[2]]
    assert audited(service, "curious", "--since", "2100-01-01") == []


def test_a_few_packed_bytes_are_no_long_list_and_no_long_line_of_the_audit(service: ServiceProcess) -> None:
    lists: dict[str, dict[str, Any]] = {
        "columns": {"columns": ["a"] * 2_000_000},
        "ids": {"scope": "selected", "ids": [1] * 30_001},
        "filters": {"filters": {"state": ["open"] * 20_000, "id": [1] * 20_000}},
        "names": {"filters": {"\x07" * 300 + str(number): 1 for number in range(1_000)}},
    }
    with asking(service, token("acme", *READ, user="lengthy")) as client:
        for body in lists.values():
            packed = gzip.compress(json.dumps({"format": "csv", **body}, separators=(",", ":")).encode())
            headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            answer = client.post("/v1/datasets/orders/preview", content=packed, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    lines = [line for line in (service.data / "audit.jsonl").read_bytes().splitlines() if b'"lengthy"' in line]
    assert len(lines) == len(lists)
    assert max(map(len, lines)) < 16_384


def test_a_user_that_calls_faster_than_users_may_waits_and_fills_no_audit(service: ServiceProcess) -> None:
    with asking(service, token("acme", *READ, user="hasty")) as client:
        answers = (client.get("/v1/datasets") for _ in range(20 * BURST))
        refused = next(answer for answer in answers if answer.status_code != 200)
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert float(refused.headers["retry-after"]) >= 1
    assert "RATE_LIMITED" not in [one["outcome"] for one in audited(service, "hasty")]
    with asking(service, token("acme", *READ, user="calm")) as client:
        assert client.get("/v1/datasets").status_code == 200


def test_the_audit_has_no_values_and_no_secrets_and_is_for_its_owner_alone(service: ServiceProcess) -> None:
    bearer = token("acme", *READ, user="discreet")
    with asking(service, bearer) as client:
        export(client, filters={"state": "valueoffilter"}, columns=["id"])
        export(client, scope="selected", ids=["valueofid", 3])
        export(client, date={"from": "valueofdate"})
        export(client, columns=[{"name": "id", "label": "valueoflabel"}], filename="valueofname")
        client.post("/v1/datasets/orders/preview", json={"format": "csv", "columns": ["email"]})
    kept = service.data / "audit.jsonl"
    assert kept.stat().st_mode & 0o777 == 0o600
    text = kept.read_text()
    assert text.count('"discreet"') >= 8
    for secret in (SECRET, bearer, bearer.split(".")[2], "valueof", "@example.com", "slc_", "/v1/files/"):
        assert secret not in text


def test_while_the_audit_cannot_be_written_no_dataset_is_given_and_nothing_is_lost(tmp_path: Path) -> None:
    with serving_orders(tmp_path) as service, asking(service, token("acme", *READ, user="late")) as client:
        kept = service.data / "audit.jsonl"
        kept.mkdir()
        assert client.get("/v1/datasets").status_code == 200, "it was under way when the file could not be written"
        for _ in range(2):
            assert client.get("/v1/datasets").json()["code"] == "STORE_UNAVAILABLE"
            assert export(client).status_code == 503
        health = f"http://127.0.0.1:{service.metrics_port}/health/ready"
        eventually(lambda: "audit" in CALLER.get(health).text)
        kept.rmdir()
        assert len(table(export(client, scope="selected", ids=[3]))) == 2
        logged: list[Any] = [line for line in service.events("SystemError") if line["component"] == "audit"]
        assert [(line["fields"]["user"], line["fields"]["what"]) for line in logged[:1]] == [("late", "list")]
        eventually(lambda: len(audited(service, "late")) == 8)
        found = audited(service, "late")
    said = [(one["what"], one["outcome"]) for one in found]
    refused = [("list", "STORE_UNAVAILABLE"), ("export", "STORE_UNAVAILABLE")]
    assert said[:6] == [("list", "shown"), *refused, *refused, ("export", "opened")]
    assert set(said[6:]) == {("file", "completed"), ("download", "begun")}


def page_blocks() -> list[str]:
    text = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
    return [block.partition("\n")[2] for block in text.split("```")[1::2]]


def test_what_the_page_shows_holds(tmp_path: Path) -> None:
    """Its dataset with permissions, its call, and a key that names a user in headers."""
    (dataset,) = [block for block in page_blocks() if "unmask_with" in block]
    (call,) = [block for block in page_blocks() if block.startswith("POST /v1/datasets")]
    folder = tmp_path / "definitions"
    define(folder, dataset.replace("limits: {per_user_hour: 10,", "limits: {per_user_hour: 2,"))
    with closing(sqlite3.connect(folder / "shop.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        columns = "id INTEGER PRIMARY KEY, tenant_id TEXT, state TEXT, email TEXT, cost INTEGER, created_at TEXT"
        db.execute(f"CREATE TABLE orders ({columns})")
        rows = [(number, "acme", "paid", f"ann{number}@example.com", 1, "2026-03-01") for number in range(1000, 1010)]
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.commit()
    data = tmp_path / "data"
    key, other = (
        sluice("keys", "add", "acme", *scopes, "--data", data).stdout.strip()
        for scopes in (("--scope", "act_for"), ("--scope", "admin"))
    )
    head, _, body = call.partition("\n\n")
    path = head.split()[1]
    user = {"Sluice-User": "ann", "Sluice-User-Permissions": "orders:read", "Sluice-User-Attributes": "{}"}
    with serving(data, arguments=("--definitions", str(folder))) as running:

        def post(bearer: str, number: int, **headers: str) -> httpx.Response:
            named = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": f"k{number}", **headers}
            return CALLER.post(f"{running.url}{path}", json=json.loads(body), headers=named, timeout=60)

        answers = [post(key, number, **user) for number in (1, 2, 2, 3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert (answers[3].json()["code"], answers[3].json()["per_user_hour"]) == ("RATE_LIMITED", 2)
        assert int(answers[3].headers["retry-after"]) > 3_000
        sheet = openpyxl.load_workbook(io.BytesIO(answers[0].content)).worksheets[0]
        assert list(sheet.iter_rows(values_only=True)) == [
            ("Order id", "E-mail"),
            (1001, "a***@example.com"),
            (1002, "a***@example.com"),
        ]
        assert post(key, 9).json()["code"] == "UNAUTHENTICATED", "it names no user"
        assert post(other, 9, **user).json()["code"] == "PERMISSION_DENIED", "no other scope names users"
        assert post(key, 9, **{**user, "Sluice-User-Permissions": ""}).json()["code"] == "DATASET_NOT_FOUND"
        assert post(key, 9, **{**user, "Sluice-User-Attributes": "{"}).json()["code"] == "INVALID_REQUEST"
        listed = CALLER.get(f"{running.url}/v1/exports", headers={"Authorization": f"Bearer {key}"})
        assert listed.json()["code"] == "PERMISSION_DENIED", "it is for datasets alone"
        exports = f"{running.url}/v1/exports"
        operator = {"Authorization": f"Bearer {other}"}
        task = answers[0].headers["sluice-task"]
        rendered = CALLER.post(f"{exports}/{task}/render", json={"format": "csv"}, headers=operator).json()["task_id"]
        linked = CALLER.get(f"{exports}/{task}/file", headers=operator)
        assert linked.is_redirect, linked.text
        said = {(one["what"], one["task_id"]): one.get("key_id") for one in audited(running, "ann") if "task_id" in one}
        keys = {name: bearer.split("_")[1] for name, bearer in (("application", key), ("operator", other))}
        assert said["export", task] == keys["application"]
        assert said["link", task] == said["render", rendered] == keys["operator"]
