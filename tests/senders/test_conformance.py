"""What every client must do, whatever its language: one suite, against a real service and what networks do to it."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import openpyxl
import pytest

from tests.senders.sender import COLUMNS, PYTHON, SENDERS, Sender, row, said_by
from tests.support.flaky_proxy import TROUBLES, flaky_proxy
from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, serving
from tests.support.scripted_server import Answer, Asked, scripted_server

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)]

FAST = {"pause": 0.01, "pause_max": 0.05}
"""Pauses that do not keep the tests waiting."""
ROWS = 12_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("senders") / "data", env=QUICK) as running:
        yield running


def job(url: str, tmp_path: Path, **changes: object) -> dict[str, object]:
    return {
        "url": url,
        "filename": "orders.csv",
        "columns": COLUMNS,
        "options": {"formula_guard": "off"},
        "rows": ROWS,
        "save_to": str(tmp_path / "orders.csv"),
        "settings": FAST,
        **changes,
    }


def rows_of(path: Path) -> list[tuple[str, ...]]:
    """The rows of a saved file, behind its header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(COLUMNS)
    return [tuple(one) for one in rows]


def expected(count: int) -> list[tuple[str, ...]]:
    return [row(number) for number in range(1, count + 1)]


def forwarded(service: ServiceProcess, asked: Asked) -> httpx.Response:
    """What the service answers, for what stands between it and a sender."""
    headers = {name: value for name, value in asked.headers.items() if name not in {"host", "connection"}}
    return CALLER.request(asked.method, service.url + asked.path, content=asked.body, headers=headers)


def test_every_row_is_in_the_file_once_and_in_order(sender: Sender, service: ServiceProcess, tmp_path: Path) -> None:
    said = sender.done(job(service.url, tmp_path))
    assert rows_of(tmp_path / "orders.csv") == expected(ROWS)
    assert (said["rows"], said["sent"], said["replayed"], said["retries"]) == (ROWS, ROWS, 0, 0)
    watched = CALLER.get(said["watch_url"]).json()
    assert (watched["task_id"], watched["state"]) == (said["task_id"], "completed")


def test_a_table_of_no_rows_is_a_file_with_a_header(sender: Sender, service: ServiceProcess, tmp_path: Path) -> None:
    assert sender.done(job(service.url, tmp_path, rows=0))["rows"] == 0
    assert rows_of(tmp_path / "orders.csv") == []


def test_several_tables_are_several_sheets(sender: Sender, service: ServiceProcess, tmp_path: Path) -> None:
    sheets = {"Orders": {"columns": COLUMNS, "rows": 700}, "None": {"columns": ["a"], "rows": 0}}
    sheets["Later"] = {"columns": COLUMNS, "rows": 30}
    several = job(service.url, tmp_path, sheets=sheets, filename="shop.xlsx", save_to=str(tmp_path / "shop.xlsx"))
    del several["columns"]
    sender.done(several)
    book = openpyxl.load_workbook(tmp_path / "shop.xlsx", read_only=True)
    found = {
        sheet.title: [cells[4] for cells in sheet.iter_rows(values_only=True, min_row=2, min_col=1, max_col=5)]
        for sheet in book.worksheets
    }
    assert found["Orders"] == [row(number)[4] for number in range(1, 701)]
    assert found["Later"] == [row(number)[4] for number in range(1, 31)]
    assert found["None"] == []


@pytest.mark.parametrize(
    ("cell", "value", "code", "column"),
    [(3, "many", "INVALID_VALUE", "amount"), (1, "broken text", "INVALID_TEXT", "customer")],
)
def test_a_refused_cell_is_named_by_its_row_of_the_table(
    sender: Sender, service: ServiceProcess, tmp_path: Path, cell: int, value: str, code: str, column: str
) -> None:
    said = sender.failed(job(service.url, tmp_path, odd_row=11_003, odd_cell=cell, odd_value=value))
    assert (said["code"], said["row"], said["column"]) == (code, 11_003, column)
    assert "11003" in said["message"]
    assert column in said["message"]
    assert value not in said["message"]


def test_what_networks_do_to_requests_and_answers_changes_nothing(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    with flaky_proxy(service.http_port) as proxy:
        sender.done(job(proxy.url, tmp_path, settings={**FAST, "tries": 30}))
    assert set(TROUBLES) <= set(proxy.met)
    assert rows_of(tmp_path / "orders.csv") == expected(ROWS)


@pytest.mark.timeout(900)  # twenty starts take a busy machine long
def test_a_sender_that_is_killed_again_and_again_goes_on_where_it_was(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    chance = random.Random(f"kills of {sender.name}")
    rows, kills = 100_000, 20 if sender.name == "php" else 8  # it is the kills that take others long
    keyed = job(service.url, tmp_path, rows=rows, idempotency_key=f"killed {sender.name}")
    for _ in range(kills):
        left = chance.randrange(rows // 5_000)
        with sender.start(keyed) as process:
            for said in said_by(process):
                assert said["event"] == "progress", said
                left -= 1
                if left < 0:
                    break
            process.send_signal(signal.SIGKILL)
    said = sender.done(keyed)
    assert said["replayed"] > 0
    assert said["rows"] == rows
    assert rows_of(tmp_path / "orders.csv") == expected(rows)


def test_a_run_under_the_key_of_a_finished_export_sends_nothing(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    keyed = job(service.url, tmp_path, rows=10, idempotency_key=f"twice {sender.name}")
    first, second = sender.done(keyed), sender.done(keyed)
    assert (first["task_id"], first["batches"]) == (second["task_id"], 1)
    assert second["batches"] == 0
    assert rows_of(tmp_path / "orders.csv") == expected(10)


def test_a_service_that_is_killed_meanwhile_is_found_again(sender: Sender, tmp_path: Path) -> None:
    data = tmp_path / "data"
    service = ServiceProcess(data, env=QUICK)
    port = ("--http-port", str(service.http_port))
    patient = {**FAST, "tries": 10_000}
    try:
        with sender.start(job(service.url, tmp_path, rows=120_000, settings=patient)) as process:
            said = []
            for one in said_by(process):
                said.append(one)
                if len(said) in {6, 21}:
                    service.kill()
                    service = ServiceProcess(data, env=QUICK, arguments=port)
        last = said[-1]
        assert last["event"] == "done", last
        assert last["retries"] > 0
        assert rows_of(tmp_path / "orders.csv") == expected(120_000)
    finally:
        service.kill()


def test_a_source_that_changed_is_told_and_may_begin_anew(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    keyed = job(service.url, tmp_path, rows=6_000, idempotency_key=f"changed {sender.name}")
    with sender.start({**keyed, "rows": 1_000_000_000}) as process:
        next(said_by(process))
        process.kill()
    other = {**keyed, "odd_row": 2, "odd_cell": 3, "odd_value": 17}
    changed = sender.failed(other)
    assert changed["code"] == "BATCH_CONFLICT"
    assert not sender.kinds or changed["kind"] == "SourceChangedException"
    anew = sender.done({**other, "restart": True})
    rows = expected(6_000)
    assert rows_of(tmp_path / "orders.csv") == [rows[0], (*rows[1][:3], "17", rows[1][4]), *rows[2:]]
    again = sender.done(other)
    assert (again["task_id"], again["batches"]) == (anew["task_id"], 0)  # later runs go on with the new one


def test_more_rows_than_another_run_has_closed_with_are_a_source_that_changed(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    keyed = job(service.url, tmp_path, rows=12_000, idempotency_key=f"more {sender.name}")
    is_closed = threading.Event()
    others: list[str] = []

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/batches/1"):
            forwarded(service, asked)
            others.append(sender.done({**keyed, "rows": len(json.loads(asked.body))})["task_id"])
            is_closed.set()
        elif "/batches/" in asked.path:
            is_closed.wait()
        found = forwarded(service, asked)
        return Answer(found.status_code, found.content.replace(service.url.encode(), server.url.encode()))

    with scripted_server(answer) as server:
        said = sender.failed({**keyed, "url": server.url})
    assert said["code"] == "TASK_CLOSED", said
    assert not sender.kinds or said["kind"] == "SourceChangedException"
    done = sender.done({**keyed, "restart": "stopped", "look_s": 0.3})
    assert ([done["task_id"]], done["batches"]) == (others, 0), "the other run's file stays"


def test_what_goes_on_under_a_key_is_no_export_of_another_key_and_the_same_for_every_client(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    def keyed(key: str, rows: int) -> dict[str, object]:
        return job(service.url, tmp_path, rows=rows, idempotency_key=f"{key} {sender.name}")

    others = {f"part{number}": sender.done(keyed(f"part{number}", 5))["task_id"] for number in ("#2", ":2", "-2")}
    ids = {sender.done({**keyed("part", count), "restart": True})["task_id"] for count in (6, 7, 8)}
    assert len(ids | set(others.values())) == 6
    for name, task_id in others.items():
        again = sender.done(keyed(name, 5))
        assert (again["task_id"], again["batches"], len(rows_of(tmp_path / "orders.csv"))) == (task_id, 0, 5)
    for client in (sender, PYTHON):
        last = client.done(keyed("part", 9))
        assert (last["task_id"] in ids, last["batches"], len(rows_of(tmp_path / "orders.csv"))) == (True, 0, 8)
    own = sender.failed({**keyed("", 5), "idempotency_key": "sluice:2:part"})
    assert own["code"] == "USAGE"


@contextmanager
def running(sender: Sender, job: dict[str, object]) -> Iterator[subprocess.Popen[str]]:
    """A sender that has sent its first batches, and goes on; it is killed at the end."""
    with sender.start(job) as process:
        said = said_by(process)
        next(said)
        reading = threading.Thread(target=lambda: [None for _ in said])  # a pipe that is full would stop it
        reading.start()
        try:
            yield process
        finally:
            process.kill()
            reading.join()


def wait_for_quiet(service: ServiceProcess) -> None:
    """Until the service has taken what was on its way when a sender ended."""
    seen, now = -1, 0
    while seen != now:
        time.sleep(0.5)
        tasks = CALLER.get(f"{service.url}/v1/exports").json()["tasks"]
        seen, now = now, sum(one["batches"] for one in tasks)


def test_what_a_run_left_half_way_begins_anew_and_what_another_one_sends_or_has_finished_stays(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    keyed = job(service.url, tmp_path, rows=6_000, idempotency_key=f"stopped {sender.name}", restart="stopped")
    other = {**keyed, "odd_row": 2, "odd_cell": 3, "odd_value": 17}
    with running(sender, {**keyed, "rows": 1_000_000_000}):
        said = sender.failed({**other, "look_s": 20})
        assert (said["code"], said["retryable"]) == ("NOT_READY", True)
        first = f"{service.url}/v1/exports/{said['task_id']}"
        assert CALLER.get(first).json()["state"] == "open"
    wait_for_quiet(service)
    anew = sender.done({**other, "look_s": 0.3})
    rows = expected(6_000)
    rows[1] = (*rows[1][:3], "17", rows[1][4])
    assert anew["task_id"] != said["task_id"]
    assert CALLER.get(first).json()["state"] == "cancelled"
    assert rows_of(tmp_path / "orders.csv") == rows
    again = sender.done({**keyed, "look_s": 0.3})  # with the rows of the first run, when another run has its file
    assert (again["task_id"], again["batches"]) == (anew["task_id"], 0)
    assert rows_of(tmp_path / "orders.csv") == rows


def test_what_another_run_finishes_in_the_moment_of_giving_it_up_keeps_its_file(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    keyed = job(service.url, tmp_path, rows=60_000, idempotency_key=f"finished {sender.name}")
    with sender.start({**keyed, "fails_at": 50_003}) as process:
        *_, last = said_by(process)
    assert last["code"] == "SOURCE", last
    wait_for_quiet(service)

    def answer(asked: Asked) -> Answer:
        if asked.method == "DELETE" or asked.path.endswith("/cancel"):
            sender.done(keyed)
        found = forwarded(service, asked)
        return Answer(found.status_code, found.content.replace(service.url.encode(), server.url.encode()))

    with scripted_server(answer) as server:
        changed = {**keyed, "url": server.url, "odd_row": 2, "odd_cell": 3, "odd_value": 17}
        said = sender.done({**changed, "restart": "stopped", "look_s": 0.3})
        assert [asked.method for asked in server.asked if asked.path.endswith("/cancel")] == ["POST"]
    assert said["batches"] == 0
    assert rows_of(tmp_path / "orders.csv") == expected(60_000)


def test_batches_that_were_on_their_way_at_a_refusal_are_not_taken_for_another_run(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    """The service takes them a second after the refusal, or as soon as the sender looks on whether some come."""
    is_all_here, is_refused, has_looked = threading.Event(), threading.Event(), threading.Event()
    refused: list[str] = []

    def answer(asked: Asked) -> Answer:
        is_first = asked.path.endswith("/batches/1")
        if "/batches/" in asked.path and not is_refused.is_set():
            if is_first:
                is_all_here.wait()
                refused.append(asked.path.removesuffix("/batches/1"))
                CALLER.put(service.url + asked.path, json=json.loads(asked.body)[:1]).raise_for_status()
            else:
                if asked.path.endswith("/batches/3"):
                    is_all_here.set()
                is_refused.wait()
                has_looked.wait(1)
        found = forwarded(service, asked)
        if is_first:
            is_refused.set()
        elif asked.method == "GET" and is_refused.is_set():
            has_looked.set()
        return Answer(found.status_code, found.content.replace(service.url.encode(), server.url.encode()))

    with scripted_server(answer) as server:
        again = {"restart": "stopped", "look_s": 1, "source": "list", "again": 1}
        said = sender.done(job(server.url, tmp_path, idempotency_key=f"late {sender.name}", **again))
    [path] = refused
    assert CALLER.get(service.url + path).json()["state"] == "cancelled"
    assert said["task_id"] not in path
    assert rows_of(tmp_path / "orders.csv") == expected(ROWS)


@pytest.mark.parametrize("source", ["once", "list"])
@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "without a key"])
def test_rows_of_a_call_that_failed_are_read_from_the_first_or_refused(
    sender: Sender, service: ServiceProcess, tmp_path: Path, source: str, *, keyed: bool
) -> None:
    """As a loop that tries again with the same result of a query: it would go on where the first call stopped."""
    refused = iter([True])

    def answer(asked: Asked) -> Answer:
        if asked.method == "PUT" and next(refused, False):
            problem = {"code": "PERMISSION_DENIED", "title": "no", "detail": "not now", "retryable": False}
            return Answer(403, json.dumps(problem).encode())
        found = forwarded(service, asked)
        return Answer(found.status_code, found.content.replace(service.url.encode(), server.url.encode()))

    key = {"idempotency_key": f"{source} {sender.name}"} if keyed else {}
    with scripted_server(answer) as server:
        said = sender.run(job(server.url, tmp_path, source=source, again=1, **key))
    assert next(refused, None) is None
    if source == "list":
        assert said["event"] == "done", said
        assert rows_of(tmp_path / "orders.csv") == expected(ROWS)
    else:
        assert (said["event"], said["code"]) == ("failed", "USAGE"), said
        assert "read before" in said["message"]
        assert not (tmp_path / "orders.csv").exists()


@pytest.mark.parametrize("source", ["once", "list"])
def test_rows_that_were_read_to_their_end_are_read_from_the_first_or_refused(
    sender: Sender, service: ServiceProcess, tmp_path: Path, source: str
) -> None:
    """As a program that makes a second file of what it made the first of: it would be a file of no rows."""
    said = sender.run(job(service.url, tmp_path, source=source, twice=True))
    if source == "list":
        assert (said["event"], said.get("rows")) == ("done", ROWS), said
        assert rows_of(tmp_path / "orders.csv") == expected(ROWS)
    else:
        assert (said["event"], said["code"]) == ("failed", "USAGE"), said
        assert "read before" in said["message"]
        assert not (tmp_path / "orders.csv").exists()


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "without a key"])
def test_a_query_that_fails_half_way_is_no_file_and_its_error_is_named(
    sender: Sender, service: ServiceProcess, tmp_path: Path, *, keyed: bool
) -> None:
    name = f"half-way {keyed} {sender.name}.csv"
    key = {"idempotency_key": f"half-way {sender.name}"} if keyed else {}
    whole = job(service.url, tmp_path, filename=name, rows=60_000, source="once", **key)
    said = sender.failed({**whole, "fails_at": 50_003})
    assert (said["code"], said["message"]) == ("SOURCE", "the database went away")
    [left] = [one for one in CALLER.get(f"{service.url}/v1/exports").json()["tasks"] if one["filename"] == name]
    assert left["state"] == ("open" if keyed else "cancelled")
    assert CALLER.get(f"{service.url}/v1/exports/{left['task_id']}/file").status_code in {409, 410}
    done = sender.done(whole)
    assert (done["task_id"] == left["task_id"], done["replayed"] > 0) == (keyed, keyed)
    assert rows_of(tmp_path / "orders.csv") == expected(60_000)


def test_a_key_of_any_language_is_the_same_export_for_every_client_or_refused(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    keyed = job(service.url, tmp_path, rows=5, idempotency_key=f"订单 é {sender.name}")
    if sender.sends_any_key:
        assert sender.done(keyed)["task_id"] == PYTHON.done(keyed)["task_id"]
    else:
        said = sender.failed(keyed)
        assert (said["code"], "ASCII" in said["message"]) == ("USAGE", True)


def test_a_moment_whose_offset_has_seconds_is_that_moment(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    """As those of long ago have in Shanghai and elsewhere; ISO 8601 has minutes of an offset only."""
    odd = {"odd_row": 1, "odd_cell": 4, "odd_value": "a moment of long ago"}
    moment = {"columns": {**COLUMNS, "serial": "datetime"}, "options": {"timezone": "Asia/Shanghai"}, **odd}
    saved = {"filename": "old.xlsx", "save_to": str(tmp_path / "old.xlsx")}
    sender.done(job(service.url, tmp_path, rows=1, **moment, **saved))
    [sheet] = openpyxl.load_workbook(tmp_path / "old.xlsx").worksheets
    assert sheet["E2"].value == datetime(1900, 12, 31)  # noqa: DTZ001 -- a workbook has no zones


@pytest.mark.parametrize("key", ["{} ", " {}", "{}\u3000"], ids=["behind", "before", "wide"])
def test_a_key_with_blanks_at_its_ends_is_refused(
    sender: Sender, service: ServiceProcess, tmp_path: Path, key: str
) -> None:
    """HTTP takes them away, so that it would be another key's export."""
    name = f"blanks {sender.name}"
    said = sender.failed(job(service.url, tmp_path, rows=5, idempotency_key=key.format(name)))
    assert (said["code"], "key" in said["message"].lower()) == ("USAGE", True)


def test_a_notice_is_taken_from_who_has_the_secret_and_from_this_time_alone(sender: Sender) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    notice = '{"type": "export.completed", "name": "订单"}'

    def headers(*, seconds: int = 0, body: str = notice) -> dict[str, str]:
        at = str(int(time.time()) + seconds)
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signature = base64.b64encode(hmac.digest(key, f"msg_1.{at}.{body}".encode(), hashlib.sha256)).decode()
        return {"Webhook-Id": "msg_1", "webhook-timestamp": at, "WEBHOOK-SIGNATURE": f"v1a,xx v1,{signature}"}

    genuine = {"notice": notice, "headers": headers(), "secrets": ["whsec_b2xk", secret]}
    assert sender.done(genuine)["notice"] == json.loads(notice)
    assert sender.done({**genuine, "headers": headers(seconds=-120)})["notice"] == json.loads(notice)
    forged: dict[str, dict[str, object]] = {
        "another body": {"notice": notice + " "},
        "another secret": {"secrets": ["whsec_b2xk"]},
        "long ago": {"headers": headers(seconds=-310)},
        "of the future": {"headers": headers(seconds=3_600)},
        "another id": {"headers": {**headers(), "Webhook-Id": "msg_2"}},
        "another time": {"headers": {**headers(), "webhook-timestamp": str(int(time.time()) - 9)}},
        "no time": {"headers": {**headers(), "webhook-timestamp": "now"}},
        "no signature": {"headers": {**headers(), "WEBHOOK-SIGNATURE": ""}},
        "no object": {"notice": "[]", "headers": headers(body="[]")},
    }
    for what, change in forged.items():
        said = sender.failed({**genuine, **change})
        assert said["code"] == "NOT_GENUINE", (what, said)
        assert not sender.kinds or said["kind"] == "AuthException", what
    assert sender.failed({**genuine, "secrets": ["whsec_"]})["code"] == "USAGE"


def test_a_download_that_is_cut_goes_on_where_it_was(sender: Sender, service: ServiceProcess, tmp_path: Path) -> None:
    """The store that links lead to answers as the service does, but ends two answers half-way."""
    ranges: list[str] = []

    def answer(asked: Asked) -> Answer:
        found = forwarded(service, asked)
        body = found.content.replace(service.url.encode(), server.url.encode())
        kept = {name: found.headers[name] for name in ("content-type", "content-range") if name in found.headers}
        if not asked.path.startswith("/v1/files/"):
            return Answer(found.status_code, body, kept)
        assert "authorization" not in asked.headers
        ranges.append(asked.headers.get("range", ""))
        return Answer(found.status_code, body, kept, sent_bytes=len(body) // 2 if len(ranges) < 3 else None)

    with scripted_server(answer) as server:
        sender.done(job(server.url, tmp_path))
    whole = (tmp_path / "orders.csv").stat().st_size
    assert ranges == ["", f"bytes={whole // 2}-", f"bytes={whole // 2 + (whole - whole // 2) // 2}-"]
    assert rows_of(tmp_path / "orders.csv") == expected(ROWS)
    assert [found.name for found in tmp_path.iterdir()] == ["orders.csv"]


def test_a_download_with_another_byte_is_no_file(sender: Sender, service: ServiceProcess, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        found = forwarded(service, asked)
        if asked.path.startswith("/v1/files/"):
            return Answer(200, bytes([found.content[0] ^ 1]) + found.content[1:])
        return Answer(found.status_code, found.content.replace(service.url.encode(), server.url.encode()))

    (tmp_path / "orders.csv").write_text("as it was")
    with scripted_server(answer) as server:
        said = sender.failed(job(server.url, tmp_path))
    assert said["code"] == "RESULT_VERIFY_FAILED"
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("orders.csv", "as it was")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system")
def test_a_disk_without_room_is_named_and_the_old_file_stays(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", small], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (small / "orders.csv").write_text("as it was")
        said = sender.failed(job(service.url, tmp_path, save_to=str(small / "orders.csv")))
        assert (said["code"], said["retryable"]) == ("NOT_WRITTEN", False)
        assert [(one.name, one.read_text()) for one in small.iterdir()] == [("orders.csv", "as it was")]
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_file_that_is_replaced_is_open_to_no_others_than_before(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").touch(mode=0o600)
    sender.done(job(service.url, tmp_path, rows=10))
    assert (tmp_path / "orders.csv").stat().st_mode & 0o777 == 0o600


def test_an_export_is_taken_up_by_its_id_in_another_process(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    first = sender.done(job(service.url, tmp_path, rows=10))
    found = {"url": service.url, "task_id": first["task_id"], "save_to": str(tmp_path / "again.csv")}
    assert sender.done(found)["rows"] == 10
    assert rows_of(tmp_path / "again.csv") == expected(10)


def test_waiting_that_runs_out_says_so_and_the_export_goes_on(sender: Sender, tmp_path: Path) -> None:
    with serving(tmp_path / "data", env={**QUICK, "SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "1"}) as service:
        first = sender.failed(job(service.url, tmp_path, rows=200_000, filename="big.xlsx", wait_s=0))
        assert (first["code"], first["retryable"]) == ("NOT_READY", True)
        found = {"url": service.url, "task_id": first["task_id"], "save_to": str(tmp_path / "big.xlsx")}
        assert sender.done(found)["rows"] == 200_000


def test_a_key_that_is_none_and_one_that_may_not_write_are_refused_by_name(sender: Sender, tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "sluice", "keys", "add", "acme", "--data", str(data), "--scope", "read", "--yes"]
    reader = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with serving(data, env=QUICK) as service:
        for key, code in (("", "UNAUTHENTICATED"), ("slc_wrong", "UNAUTHENTICATED"), (reader, "PERMISSION_DENIED")):
            said = sender.failed(job(service.url, tmp_path, key=key, rows=10))
            assert said["code"] == code
            assert not sender.kinds or said["kind"] == "AuthException"
            assert not key or key not in said["message"]


def test_a_busy_service_is_asked_again_after_the_time_that_it_says(
    sender: Sender, service: ServiceProcess, tmp_path: Path
) -> None:
    busy = iter([429, 503, 504])

    def answer(asked: object) -> Answer:
        status = next(busy, 0)
        if status:
            return Answer(status, b"<html>busy</html>", {"retry-after": "0"})
        return Answer(307, b"", {"location": service.url})

    with scripted_server(answer) as server:
        said = sender.failed(job(server.url, tmp_path))
    assert len(server.asked) == 4
    assert (said["code"], said["status"]) == ("UNEXPECTED_ANSWER", 307)


def test_a_page_of_a_proxy_is_no_answer_and_the_key_goes_nowhere_else(sender: Sender, tmp_path: Path) -> None:
    with scripted_server(lambda _: Answer(200, b"<html>login</html>")) as server:
        said = sender.failed(job(server.url, tmp_path, key="sluice_secret"))
    assert (said["code"], said["retryable"]) == ("UNEXPECTED_ANSWER", False)
    assert "secret" not in said["message"]
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer sluice_secret"]


def test_a_server_that_was_never_there_is_given_up_soon(sender: Sender, tmp_path: Path) -> None:
    with scripted_server(lambda _: Answer()) as server:
        url = server.url
    said = sender.failed(job(url, tmp_path, settings={**FAST, "tries": 1_000_000, "first_contact": 0.2}))
    assert (said["code"], said["retryable"]) == ("UNREACHABLE", True)
