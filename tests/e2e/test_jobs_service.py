"""Jobs of a service: begun by their schedules and by callers, seen over HTTP, changed while it runs."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, eventually, serving

ROWS = 500
JOB = """
job: NAME
parameters: {least: {type: number, default: 100}}
SCHEDULE
source: {type: sqlite, connection: app, table: orders, columns: [id, email, amount], key: [id], consistency: key}
steps:
  - filter: amount >= :least
  - map: {order: id, email: "mask(email, 'email')", amount: amount}
outputs:
  - {name: lines, type: file, format: csv, filename: "NAME-{run.date}", options: {csv_bom: false}}
  - {name: short, type: file, format: jsonl, drop: [email]}
"""
EVERY_YEAR = "schedule: {cron: '0 0 1 1 *', catch_up: none}"
"""No time of it comes while a test runs, new year's night excepted."""


def write_job(folder: Path, name: str = "orders", schedule: str = "", *changes: tuple[str, str]) -> Path:
    text = JOB.replace("NAME", name).replace("SCHEDULE", schedule)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"jobs/{name}.yaml"
    path.write_text(text)
    return path


def define(folder: Path) -> None:
    for name in ("connections", "jobs"):
        (folder / name).mkdir(parents=True)
    (folder / "connections/app.yaml").write_text("{name: app, type: sqlite, path: shop.db}")
    with closing(sqlite3.connect(folder / "shop.db")) as db:
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT, amount NUMERIC)")
        db.executemany("INSERT INTO orders VALUES (?, ?, ?)", ((n, f"u{n}@example.com", n) for n in range(ROWS)))
        db.commit()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("definitions")
    define(folder)
    write_job(folder)
    with serving(folder / "data", env=QUICK, arguments=("--definitions", str(folder))) as running:
        yield running


def get(service: ServiceProcess, path: str, **query: Any) -> Any:
    answer = CALLER.get(f"{service.url}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(service: ServiceProcess, path: str, key: str = "", **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return CALLER.post(f"{service.url}{path}", json=body, headers=headers)


def ended(service: ServiceProcess, run: str) -> Any:
    eventually(lambda: get(service, f"/v1/runs/{run}")["state"] in {"succeeded", "failed", "cancelled"})
    return get(service, f"/v1/runs/{run}")


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_run_that_is_asked_for_delivers_and_is_seen_with_its_certificate(service: ServiceProcess) -> None:
    answer = post(service, "/v1/jobs/orders/runs", parameters={"least": 300})
    assert answer.status_code == 201, answer.text
    run = ended(service, answer.json()["run"])
    assert answer.headers["location"] == f"/v1/runs/{run['run']}"
    assert run["state"] == "succeeded"
    assert run["rows"] == {"read": ROWS, "filtered": 300, "refused": 0, "out": ROWS - 300}
    assert [one["rows"] for one in run["outputs"]] == [ROWS - 300] * 2
    lines, short = run["outputs"]
    content = CALLER.get(service.url + lines["download_path"], follow_redirects=True).text
    head, *rows = list(csv.reader(io.StringIO(content)))
    assert head == ["order", "email", "amount"]
    assert [int(row[0]) for row in rows] == list(range(300, ROWS))
    assert {row[1] for row in rows} == {"u***@example.com"}
    assert "email" not in CALLER.get(service.url + short["download_path"], follow_redirects=True).text
    job = get(service, "/v1/jobs/orders")
    assert job["last_run"]["job"] == "orders"
    assert job["definition"]["source"]["table"] == "orders"
    assert job["next_tick"] is None
    versions = {one["job"]: one["version"] for one in get(service, "/v1/jobs")["jobs"]}
    assert versions["orders"] == run["version"]
    assert run["run"] in [one["run"] for one in get(service, "/v1/runs", job="orders")["runs"]]
    assert get(service, "/v1/runs", job="other")["runs"] == []


def test_a_run_under_a_key_is_made_once_whatever_becomes_of_the_file(service: ServiceProcess) -> None:
    folder = service.data.parent
    write_job(folder, "kept")
    first = post(service, "/v1/jobs/kept/runs", "a key", parameters={"least": 200})
    write_job(folder, "kept", "", ("drop: [email]", "drop: [amount]"))
    second = post(service, "/v1/jobs/kept/runs", "a key", parameters={"least": 200})
    assert second.json()["run"] == first.json()["run"]
    assert second.headers["idempotent-replayed"] == "true"
    assert refusal(post(service, "/v1/jobs/kept/runs", "a key", parameters={"least": 201})) == (
        409,
        "IDEMPOTENCY_KEY_REUSED",
    )
    other = post(service, "/v1/jobs/kept/runs", "another", parameters={"least": 200})
    assert other.json()["version"] != first.json()["version"], "the file counts as it is when a run is planned"
    short = ended(service, first.json()["run"])["outputs"][1]
    shown = CALLER.get(service.url + short["download_path"], follow_redirects=True).text
    assert '"amount"' in shown, "a run keeps the job that it was planned from"


def test_a_preview_has_the_rows_that_a_run_would_deliver(service: ServiceProcess) -> None:
    answer = post(service, "/v1/jobs/orders/preview?rows=2", parameters={"least": 17})
    assert answer.json() == {
        "columns": ["order", "email", "amount"],
        "rows": [["17", "u***@example.com", "17"], ["18", "u***@example.com", "18"]],
    }
    assert refusal(post(service, "/v1/jobs/orders/preview?rows=101")) == (400, "INVALID_REQUEST")


def test_a_refusal_says_what_to_do(service: ServiceProcess) -> None:
    answer = post(service, "/v1/jobs/order/runs")
    assert refusal(answer) == (404, "JOB_NOT_FOUND")
    assert "did you mean orders?" in answer.json()["detail"]
    answer = post(service, "/v1/jobs/orders/runs", parameters={"last": 1})
    assert refusal(answer) == (400, "INVALID_REQUEST")
    assert answer.json()["field"] == "parameters.last"
    assert "did you mean least?" in answer.json()["detail"]
    assert refusal(post(service, "/v1/jobs/orders/runs", parameters={"least": "1 or true"})) == (400, "INVALID_REQUEST")
    assert refusal(post(service, "/v1/jobs/orders/runs", tick="2026-01-01T00:00")) == (400, "INVALID_REQUEST")
    write_job(service.data.parent, "wrong", "", ("columns: [id, email,", "columns: [id, emial,"))
    answer = post(service, "/v1/jobs/wrong/runs")
    assert refusal(answer) == (500, "SOURCE_INVALID")
    assert "the table has no emial; did you mean email?" in answer.json()["mistakes"][0]
    export = CALLER.post(f"{service.url}/v1/exports", json={"format": "csv", "columns": ["a"]}).json()["task_id"]
    assert refusal(CALLER.get(f"{service.url}/v1/runs/{export}")) == (404, "JOB_NOT_FOUND")
    assert refusal(CALLER.get(f"{service.url}/v1/runs/{'a' * 26}")) == (404, "TASK_NOT_FOUND")
    run = post(service, "/v1/jobs/orders/runs").json()["run"]
    assert refusal(CALLER.get(f"{service.url}/v1/exports/{run}/file"))[1] in {"NOT_READY", "NO_FILE"}
    ended(service, run)
    assert refusal(CALLER.get(f"{service.url}/v1/exports/{run}/file")) == (409, "NO_FILE")
    assert refusal(CALLER.post(f"{service.url}/v1/runs/{run}/cancel")) == (409, "ALREADY_COMPLETED")


def test_a_time_by_the_schedule_has_one_run_whoever_asks(service: ServiceProcess) -> None:
    write_job(service.data.parent, "yearly", EVERY_YEAR)
    first, second = (post(service, "/v1/jobs/yearly/runs", tick="last") for _ in range(2))
    assert first.json()["run"] == second.json()["run"]
    at = first.json()["tick"]
    assert post(service, "/v1/jobs/yearly/runs", tick=at).json()["run"] == first.json()["run"]
    assert refusal(post(service, "/v1/jobs/yearly/runs", tick=at, parameters={"least": 1})) == (
        409,
        "IDEMPOTENCY_KEY_REUSED",
    )
    for wrong in ("2026-03-03T00:00", "soon", f"{datetime.now(UTC).year + 2}-01-01T00:00"):
        assert refusal(post(service, "/v1/jobs/yearly/runs", tick=wrong)) == (400, "INVALID_REQUEST")
    assert get(service, "/v1/jobs/yearly")["next_tick"].endswith("-01-01T00:00:00+00:00")


def test_a_job_with_a_schedule_runs_by_itself_and_its_tick_never_twice(service: ServiceProcess) -> None:
    write_job(service.data.parent, "daily", "schedule: {cron: '0 0 * * *', timezone: Asia/Shanghai}")
    eventually(lambda: get(service, "/v1/runs", job="daily")["runs"])
    write_job(service.data.parent, "paused", "enabled: false\nschedule: {cron: '0 0 * * *'}")
    run = get(service, "/v1/runs", job="daily")["runs"][0]
    due = datetime.fromisoformat(run["tick"])
    assert due.hour == 16
    assert datetime.now(UTC) - due < timedelta(days=1, minutes=5)
    assert ended(service, run["run"])["state"] == "succeeded"
    # A change of the file makes its ticks be looked at anew: those with runs are known by their ids.
    write_job(service.data.parent, "daily", "schedule: {cron: '0 0 * * *', timezone: Asia/Singapore}")
    eventually(lambda: get(service, "/v1/jobs/daily")["schedule"]["timezone"] == "Asia/Singapore")
    swept(service)
    assert len(get(service, "/v1/runs", job="daily")["runs"]) == 1
    assert get(service, "/v1/runs", job="paused")["runs"] == []
    assert get(service, "/v1/jobs/paused")["next_tick"] is None


def swept(service: ServiceProcess) -> None:
    """Return when a whole sweep has been since: a job that is new by then has its run."""
    write_job(service.data.parent, "swept", "schedule: {cron: '* * * * *'}")
    before = len(get(service, "/v1/runs", job="swept")["runs"])
    eventually(lambda: len(get(service, "/v1/runs", job="swept")["runs"]) > before)
    (service.data.parent / "jobs/swept.yaml").unlink()


def test_a_file_with_a_mistake_is_recorded_and_what_it_said_before_holds(service: ServiceProcess) -> None:
    folder = service.data.parent
    version = get(service, "/v1/jobs/orders")["version"]
    path = folder / "jobs/orders.yaml"
    good = path.read_text()
    path.write_text(good.replace("type: sqlite", "type: sqlit"))
    write_job(folder, "another")
    assert get(service, "/v1/jobs/another")["job"] == "another", "a mistake in one keeps no other from its change"
    assert get(service, "/v1/jobs/orders")["version"] == version
    said: list[Any] = [line for line in service.events("ValidationError") if line["component"] == "jobs"]
    assert len(said) == 1, "once, and not at each look"
    assert said[0]["fields"]["reason"].startswith("orders.yaml:5: source.type")
    path.write_text(good)
    (folder / "jobs/another.yaml").unlink()
    assert refusal(CALLER.get(f"{service.url}/v1/jobs/another")) == (404, "JOB_NOT_FOUND")


def test_the_schema_is_that_of_the_command_line(service: ServiceProcess) -> None:
    schema = get(service, "/v1/jobs/schema")
    assert schema == json.loads(sluice("job", "schema").stdout)
    assert schema["$defs"]["Job"]["required"] == ["job", "source", "outputs"]


@pytest.mark.slow
def test_a_key_sees_and_runs_the_jobs_of_its_tenant_alone(tmp_path: Path) -> None:
    define(tmp_path)
    for tenant in ("acme", "globex"):
        write_job(tmp_path, f"of-{tenant}", f"tenant: {tenant}\n{EVERY_YEAR}")
    keys = {
        name: sluice("keys", "add", tenant, *scopes, "--data", tmp_path / "data").stdout.strip()
        for name, tenant, *scopes in (
            ("reads", "acme", "--scope", "read"),
            ("writes", "acme", "--scope", "write"),
            ("runs", "acme", "--scope", "run_jobs"),
            ("admin", "acme", "--scope", "admin"),
        )
    }
    calls = {}
    with serving(tmp_path / "data", env=QUICK, arguments=("--definitions", str(tmp_path))) as service:
        for name, key in keys.items():
            with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as client:
                jobs = client.get("/v1/jobs")
                ran = client.post("/v1/jobs/of-acme/runs", headers={"Idempotency-Key": "one"})
                others = client.post("/v1/jobs/of-globex/runs")
                calls[name] = (jobs.status_code, ran.status_code, others.status_code)
                if jobs.status_code == 200:
                    assert [one["job"] for one in jobs.json()["jobs"]] == ["of-acme"]
    assert calls == {
        "reads": (200, 403, 403),
        "writes": (200, 403, 403),
        "runs": (403, 201, 404),
        "admin": (200, 403, 403),
    }


def test_the_command_line_lists_jobs_and_sees_the_runs_of_a_service(service: ServiceProcess) -> None:
    folder = service.data.parent
    run = ended(service, post(service, "/v1/jobs/orders/runs", "by hand").json()["run"])
    listed = json.loads(sluice("run", "list", "--job", "orders", "--json", "--data", service.data).stdout)
    assert run["run"] in [one["run"] for one in listed]
    assert run["run"] in sluice("run", "list", "--data", service.data).stdout
    shown = json.loads(sluice("run", "show", run["run"][:12], "--json", "--data", service.data).stdout)
    assert shown["content"] == run["content"]
    assert "succeeded" in sluice("run", "show", run["run"], "--data", service.data).stdout
    refused = sluice("run", "cancel", run["run"], "--data", service.data, exit_code=1)
    assert "ALREADY_COMPLETED" in refused.stderr
    (folder / "one/jobs").mkdir(parents=True)
    write_job(folder / "one", "nightly", "schedule: {cron: '30 2 * * *'}")
    assert "nightly" in sluice("job", "list", "--definitions", folder / "one").stdout
    (one,) = json.loads(sluice("job", "list", "--definitions", folder / "one", "--json").stdout)
    assert one["schedule"]["cron"] == "30 2 * * *"
