"""Jobs as a person runs them: a file, a command, and what becomes of the rows, whatever is killed on the way."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from tests.support.command_line import COMMAND, environment, sluice
from tests.support.database_servers import DatabaseServer, serving_mariadb, serving_postgresql

ROWS = 30_000
TEXT = "x" * 100
KEPT = [number for number in range(1, ROWS + 1) if Decimal(number) / 4 >= 1_000]
TOTALS = {number: Decimal(number) / 4 * (number % 7) for number in KEPT}

JOB = """
job: orders
parameters: {min_amount: {type: number, default: 1000}}
source:
  type: sqlite
  connection: app
  table: orders
  columns: [id, email, amount, qty, note]
  key: [id]
  consistency: key
steps:
  - filter: amount >= :min_amount
  - map: {order: id, email: "mask(email, 'email')", total: "amount * qty", note: note}
outputs:
OUTPUTS
"""
FILE = "  - {name: lines, type: file, format: csv, filename: orders, drop: [note], options: {csv_bom: false}}\n"
TABLE = "  - {name: warehouse, type: postgresql, connection: dwh, table: TABLE, mode: MODE, create: if_missing KEY}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of definitions with a table of ``ROWS`` orders."""
    for name in ("connections", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "connections/app.yaml").write_text("{name: app, type: sqlite, path: shop.db}")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT, amount NUMERIC, qty INTEGER, note TEXT)")
        rows = ((one, f"user{one}@example.com", one / 4, one % 7, TEXT) for one in range(1, ROWS + 1))
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", rows)
        db.commit()
    return tmp_path


def write_job(folder: Path, outputs: str) -> Path:
    path = folder / "jobs/orders.yaml"
    path.write_text(JOB.replace("OUTPUTS", outputs))
    return path


def run(job: Path, folder: Path, *more: str) -> dict[str, Any]:
    """Run the job to its end; gives what it prints for machines."""
    shown = sluice("job", "run", job, "--data", folder / "data", "-o", folder / "out", "--json", *more)
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_a_job_reads_changes_and_delivers_and_says_so(folder: Path) -> None:
    said = run(write_job(folder, FILE), folder)
    assert said["state"] == "succeeded"
    assert said["rows"] == {"read": ROWS, "filtered": ROWS - len(KEPT), "refused": 0, "out": len(KEPT)}
    assert said["outputs"][0]["rows"] == len(KEPT)
    head, *rows = rows_of(folder / "out/orders.csv")
    assert head == ["order", "email", "total"]
    assert {int(order): Decimal(total) for order, _, total in rows} == TOTALS
    assert {email for _, email, _ in rows} == {"u***@example.com"}


def test_a_parameter_is_a_value_and_no_part_of_an_expression(folder: Path) -> None:
    job = write_job(folder, FILE)
    assert run(job, folder, "--set", "min_amount=7000")["rows"]["out"] == ROWS - 7_000 * 4 + 1
    refused = sluice("job", "check", job, "--set", "min_amount=0 or true", exit_code=2)
    assert "--set" in refused.stderr


def test_every_mistake_is_named_at_once_with_its_line(folder: Path) -> None:
    job = write_job(folder, FILE.replace("[note]", "[notes]"))
    job.write_text(job.read_text().replace("[id, email,", "[id, emial,").replace("trim", "trimm"))
    shown = sluice("job", "check", job, exit_code=2).stderr
    assert "orders.yaml:8: source.columns[1]: the table has no emial; did you mean email?" in shown
    job = write_job(folder, FILE.replace("[note]", "[notes]"))
    job.write_text(job.read_text().replace("amount >=", "amout >=").replace("amount * qty", "trimm(note)"))
    shown = sluice("job", "check", job, exit_code=2).stderr
    assert "orders.yaml:12: steps[0].filter" in shown
    assert "did you mean amount?" in shown
    assert "orders.yaml:13: steps[1].map.total" in shown
    job.write_text(job.read_text().replace("type: file", "type: fil").replace("consistency: key", "consitency: key"))
    shown = sluice("job", "check", job, exit_code=2).stderr
    assert "orders.yaml:10: source.consitency: is nothing that can be said here; did you mean consistency?" in shown
    assert "orders.yaml:15: outputs[0].type: 'fil' is none of file, mysql, postgresql; did you mean file?" in shown


def killed_again_and_again(job: Path, folder: Path, kills: int) -> int:
    """Run the job and kill it as soon as it got on, so often, or until it is done; gives how often it was killed."""
    command = [*COMMAND, "job", "run", str(job), "--data", str(folder / "data"), "-o", str(folder / "out")]
    seen = progress(folder)
    for killed in range(kills):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        ) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and progress(folder) == seen and time.monotonic() < deadline:
                time.sleep(0.002)
            if process.poll() is not None:
                return killed
            os.kill(process.pid, signal.SIGKILL)
        seen = progress(folder)
    return kills


def progress(folder: Path) -> list[tuple[Any, ...]]:
    path = folder / "data/tasks.sqlite3"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        try:
            return db.execute("SELECT task_id, state, epoch, batches_received, rows_done FROM tasks").fetchall()
        except sqlite3.OperationalError:
            return []


def spoil(folder: Path, numbers: range) -> None:
    """Give some rows an amount that is no number."""
    with closing(sqlite3.connect(folder / "shop.db")) as db:
        db.executemany("UPDATE orders SET amount = 'many' WHERE id = ?", ((number,) for number in numbers))
        db.commit()


def test_a_row_that_a_step_cannot_take_ends_the_run_and_nothing_is_delivered(folder: Path) -> None:
    job = write_job(folder, FILE)
    spoil(folder, range(20_000, 20_001))
    shown = sluice("job", "run", job, "--data", folder / "data", "-o", folder / "out", "--json", exit_code=1)
    said = json.loads(shown.stdout)
    assert (said["state"], said["error"]["code"]) == ("failed", "ROW_REFUSED")
    assert "row: 20000" in said["error"]["message"]
    assert "amount" in said["error"]["message"]
    assert not (folder / "out").exists()


DIVERT = "on_error: {rows: divert, max_rows: 100, max_share: 0.01}\noutputs:"


@pytest.mark.slow
def test_refused_rows_are_a_file_of_their_own_each_once_whatever_is_killed(folder: Path) -> None:
    job = write_job(folder, FILE)
    job.write_text(job.read_text().replace("outputs:", DIVERT))
    bad = range(5_000, ROWS, 1_000)
    spoil(folder, bad)
    assert killed_again_and_again(job, folder, 8) >= 4
    said = run(job, folder)
    assert (said["state"], said["rows"]["refused"]) == ("succeeded", len(bad))
    assert said["rows"]["read"] == ROWS == sum(said["rows"][part] for part in ("filtered", "refused", "out"))
    (path,) = (folder / "out").glob("orders-*-diverted.csv")
    head, *refused = rows_of(path)
    assert head == ["row", "key id", "column", "reason"]
    assert [(row, key, column) for row, key, column, _ in refused] == [(str(one), str(one), "amount") for one in bad]
    _, *rows = rows_of(folder / "out/orders.csv")
    assert [int(order) for order, *_ in rows] == [one for one in KEPT if one not in bad]


def test_more_refused_rows_than_are_allowed_fail_the_run(folder: Path) -> None:
    job = write_job(folder, FILE)
    job.write_text(job.read_text().replace("outputs:", DIVERT.replace("max_rows: 100", "max_rows: 3")))
    spoil(folder, range(5_000, 5_004))
    shown = sluice("job", "run", job, "--data", folder / "data", "-o", folder / "out", "--json", exit_code=1)
    assert json.loads(shown.stdout)["error"]["code"] == "TOO_MANY_REFUSED"
    assert not (folder / "out").exists()


def test_rows_are_looked_up_in_a_small_table_and_gathered_to_groups(folder: Path) -> None:
    (folder / "lookups").mkdir()
    (folder / "files").mkdir()
    (folder / "connections/landing.yaml").write_text("{name: landing, type: folder, path: files}")
    (folder / "lookups/days.yaml").write_text(
        "{lookup: days, source: {type: csv, connection: landing, path: days.csv, types: {qty: number}}}"
    )
    (folder / "files/days.csv").write_text("qty,day\n0,Sunday\n1,Monday\n2,Tuesday\n")
    job = write_job(folder, FILE.replace("[note]", "[total]"))
    steps = """steps:
  - enrich: {lookup: days, by: [qty], take: [day], missing: "null"}
  - aggregate: {by: [day], take: {orders: count(*), total: sum(amount)}}
outputs:"""
    before, _, behind = job.read_text().partition("steps:")
    job.write_text(before + steps + behind.partition("outputs:")[2])
    said = run(job, folder)
    assert (said["rows"]["read"], said["rows"]["out"]) == (ROWS, 4)
    _, *rows = rows_of(folder / "out/orders.csv")
    numbers = range(1, ROWS + 1)
    assert {day: int(count) for day, count in rows} == {
        "Sunday": sum(one % 7 == 0 for one in numbers),
        "Monday": sum(one % 7 == 1 for one in numbers),
        "Tuesday": sum(one % 7 == 2 for one in numbers),
        "": sum(one % 7 > 2 for one in numbers),
    }
    (folder / "files/days.csv").unlink()
    refused = sluice("job", "check", job, exit_code=2).stderr
    assert "orders.yaml:12: steps[0].enrich.lookup" in refused


def test_a_time_of_the_schedule_has_one_run_unless_another_is_asked_for(folder: Path) -> None:
    job = write_job(folder, FILE)
    job.write_text(job.read_text() + "schedule: {cron: '0 2 * * *'}\n")
    at = ("--tick", "2026-11-30T02:00")
    first = run(job, folder, *at)
    assert run(job, folder, *at)["run"] == first["run"]
    words = ("--data", folder / "data", "-o", folder / "out", "--set", "min_amount=7000")
    refused = sluice("job", "run", job, *words, *at, exit_code=1).stderr
    assert "other parameters" in refused
    assert "--again" in refused
    other = run(job, folder, *at, "--set", "min_amount=7000", "--again")
    assert (other["tick"], other["rows"]["out"]) == (first["tick"], ROWS - 7_000 * 4 + 1)
    assert other["run"] != first["run"]
    assert "yet to come" in sluice("job", "check", job, "--tick", "2126-11-30T02:00", exit_code=2).stderr


def test_a_run_that_is_over_and_was_not_said_is_said_and_not_begun_again(folder: Path) -> None:
    """As behind a kill between the last row and the last word."""
    job = write_job(folder, FILE)
    first = run(job, folder)
    (said,) = (folder / "data").glob("said-*")
    said.unlink()
    (folder / "out/orders.csv").unlink()
    assert run(job, folder)["run"] == first["run"]
    assert (folder / "out/orders.csv").exists()
    assert run(job, folder)["run"] != first["run"]


def test_runs_that_are_past_their_time_are_collected_by_the_next(folder: Path) -> None:
    job = write_job(folder, FILE)
    first = run(job, folder)
    rows = folder / "data/tasks.sqlite3"
    with closing(sqlite3.connect(rows)) as db:
        db.execute("UPDATE tasks SET expires_at = 1, finished_at = 1, due_at = 1")
        db.commit()
    left = {path for path in (folder / "data/objects").rglob("*") if path.is_file()}
    for _ in range(2):  # the first ends them, the second collects what they had
        run(job, folder)
        with closing(sqlite3.connect(rows)) as db:
            states = dict(db.execute("SELECT task_id, state FROM tasks").fetchall())
            db.execute("UPDATE tasks SET due_at = 1 WHERE state = 'expired'")
            db.commit()
    assert states[first["run"]] == states[first["outputs"][0]["task"]] == "expired"
    assert [path for path in left if path.exists() and path.parent.name != "shared"] == []


@pytest.mark.slow
def test_a_job_that_was_changed_does_not_go_on_with_its_run_nor_begin_beside_it(folder: Path) -> None:
    job = write_job(folder, FILE)
    assert killed_again_and_again(job, folder, 1) == 1
    job.write_text(job.read_text().replace("amount * qty", "amount + qty"))
    words = ("--data", folder / "data", "-o", folder / "out")
    refused = sluice("job", "run", job, *words, exit_code=1).stderr
    assert "ALREADY_CLOSED" in refused
    assert "sluice run cancel" in refused
    assert run(job, folder, "--again")["state"] == "succeeded"


def test_a_batch_of_no_rows_is_loaded_as_any(folder: Path, postgresql: DatabaseServer) -> None:
    connect(folder, postgresql)
    job = write_job(folder, TABLE.replace("TABLE", "empty").replace("MODE", "append").replace(" KEY", ""))
    said = run(job, folder, "--set", "min_amount=99999999")
    assert (said["state"], said["rows"]["out"]) == ("succeeded", 0)
    assert int(postgresql("SELECT count(*) FROM empty")) == 0


def test_names_that_are_no_text_and_parts_without_end_are_mistakes(folder: Path) -> None:
    job = write_job(folder, FILE)
    good = job.read_text()
    job.write_text(good.replace("order: id", "on: id"))
    assert "orders.yaml:13: is not YAML: the name on is no text" in sluice("job", "check", job, exit_code=2).stderr
    nested = "".join(f"b{at}: &b{at} [{', '.join([f'*b{at - 1}'] * 9)}]\n" for at in range(1, 9))
    job.write_text(f"b0: &b0 [x]\n{nested}{good}")
    assert "has more than 100,000 parts" in sluice("job", "check", job, exit_code=2).stderr


def test_refused_rows_show_no_key_that_a_step_masks(folder: Path) -> None:
    job = write_job(folder, FILE)
    text = job.read_text().replace("outputs:", DIVERT).replace("order: id", "order: \"hash(cast(id as string), 'k')\"")
    job.write_text(text)
    spoil(folder, range(5_000, 5_002))
    sluice("job", "run", job, "--data", folder / "data", "-o", folder / "out", env={"SLUICE_SECRET_K": "k" * 32})
    (path,) = (folder / "out").glob("orders-*-diverted.csv")
    assert rows_of(path)[0] == ["row", "column", "reason"]


def test_a_column_that_a_condition_names_wrongly_is_a_mistake_of_the_job(folder: Path) -> None:
    job = write_job(folder, FILE)
    job.write_text(job.read_text().replace("  key: [id]", "  key: [id]\n  where: amuont > 3"))
    shown = sluice("job", "check", job, exit_code=2).stderr
    assert "orders.yaml:10: source.where" in shown
    assert "amuont" in shown


@pytest.mark.slow
def test_a_table_that_was_emptied_is_loaded_again_by_a_run_of_another_directory(
    folder: Path, postgresql: DatabaseServer
) -> None:
    connect(folder, postgresql)
    table = TABLE.replace("TABLE", "emptied").replace("MODE", "upsert").replace(" KEY", ", key: [order]")
    job = write_job(folder, table)
    job.write_text(job.read_text() + "schedule: {cron: '0 2 * * *'}\n")
    for data in ("one", "two"):
        words = ("--data", folder / data, "-o", folder / "out", "--tick", "2026-11-30T02:00")
        sluice("job", "run", job, *words)
        assert int(postgresql("SELECT count(*) FROM emptied")) == len(KEPT)
        postgresql("TRUNCATE emptied")


def test_two_outputs_are_never_one_file(folder: Path) -> None:
    job = write_job(folder, FILE + FILE.replace("lines", "again"))
    shown = sluice("job", "check", job, exit_code=2).stderr
    assert "orders.yaml:16: outputs[1].filename: another output has the file orders.csv too" in shown


COMMISSIONED = """
# Job configuration example
input:
  type: csv
  path: DATA/input.csv
  has_header: true
  delimiter: ","

pipeline:
  processors:
    - type: filter
      condition: "age > 18"
      mode: include

    - type: mapping
      field_mappings:
        old_name: new_name
        user_id: id

output:
  type: csv
  path: DATA/output.csv
  write_header: true
"""


def test_the_commissioned_job_is_translated_and_runs(tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text("user_id,old_name,age,city\n1,Ann,20,Ulm\n2,Bob,17,Bonn\n3,=Cy,44,Köln\n")
    (tmp_path / "old.yaml").write_text(COMMISSIONED.replace("DATA", str(tmp_path)))
    sluice("job", "convert", tmp_path / "old.yaml", "--name", "people", "--definitions", tmp_path)
    said = run(tmp_path / "jobs/people.yaml", tmp_path)
    assert said["rows"] == {"read": 3, "filtered": 1, "refused": 0, "out": 2}
    assert (tmp_path / "out/output.csv").read_text() == "id,new_name,age,city\n1,Ann,20,Ulm\n3,=Cy,44,Köln\n"
    again = sluice("job", "convert", tmp_path / "old.yaml", "--name", "people", "--definitions", tmp_path, exit_code=1)
    assert "people.yaml" in again.stderr
    (tmp_path / "old.yaml").write_text(COMMISSIONED.replace("include", "sometimes").replace("mapping", "maping"))
    refused = sluice("job", "convert", tmp_path / "old.yaml", "--name", "x", "--definitions", tmp_path, exit_code=2)
    assert "pipeline.processors[0].mode" in refused.stderr
    assert "pipeline.processors[1].type: 'maping' is none of filter, mapping" in refused.stderr


@pytest.fixture(scope="module")
def postgresql() -> Iterator[DatabaseServer]:
    with serving_postgresql() as server:
        yield server


def connect(folder: Path, server: DatabaseServer) -> None:
    (folder / "connections/dwh.yaml").write_text(
        f"{{name: dwh, type: postgresql, host: {server.host}, database: {server.database}, "
        f"user: {server.user}, writes: true}}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "key"), [("append", ""), ("replace", ""), ("upsert", ", key: [order]")])
def test_a_run_that_is_killed_again_and_again_has_each_row_once_in_its_file_and_its_table(
    folder: Path, postgresql: DatabaseServer, mode: str, key: str
) -> None:
    connect(folder, postgresql)
    table = f"orders_{mode}"
    job = write_job(folder, FILE + TABLE.replace("TABLE", table).replace("MODE", mode).replace(" KEY", key))
    assert killed_again_and_again(job, folder, 8) >= 4
    said = run(job, folder)
    assert (said["state"], [one["rows"] for one in said["outputs"]]) == ("succeeded", [len(KEPT)] * 2)
    _, *rows = rows_of(folder / "out/orders.csv")
    assert {int(order): Decimal(total) for order, _, total in rows} == TOTALS
    assert len(rows) == len(KEPT)
    loaded = postgresql(f'SELECT count(*), count(DISTINCT "order"), sum(total) FROM {table}').strip()
    count, distinct, total = loaded.replace("|", "\t").split("\t")
    assert (int(count), int(distinct), Decimal(total)) == (len(KEPT), len(KEPT), sum(TOTALS.values()))


DESIGNED = """
job: orders-daily
version: 1
parameters: {min_amount: {type: number, default: 1000}}
schedule: {cron: "30 2 * * *", timezone: Asia/Shanghai, overlap: skip, catch_up: latest, after: [inventory-close]}
source:
  type: mysql
  connection: crm
  table: orders
  columns: [id, order_no, customer, email, city, amount, qty, paid, created_at]
  where: created_at >= :run.window_start and created_at < :run.window_end
  key: [id]
  splits: 8
  consistency: snapshot
  batch: {rows: 8000, bytes: 2MiB}
steps:
  - filter: amount >= :min_amount and paid is true
  - map: {order: order_no, customer: trim(customer), email: "mask(email, 'email')", buyer: "hash(email, 'pseudonyms')",
          city: city, amount: amount, total: "round(amount * qty, 2)", month: "date_format(created_at, '%Y-%m')"}
  - enrich: {lookup: regions, by: [city], take: [region], missing: "null"}
on_error: {rows: divert, max_rows: 100, max_share: 0.001}
outputs:
  - {name: sheet, type: file, format: xlsx, filename: "orders-{run.date}.xlsx", expires: 24h, drop: [buyer]}
  - {name: warehouse, type: postgresql, connection: dwh, table: public.orders_daily, mode: upsert, key: [order],
     create: if_missing, schema: freeze}
retry: {attempts: 5, backoff: 30s, give_up: 6h}
limits: {rows_per_s: 50000, rows: 20000000, duration: 2h}
"""
SHANGHAI = """
CREATE DATABASE IF NOT EXISTS shop; USE shop;
CREATE TABLE orders (id BIGINT PRIMARY KEY, order_no VARCHAR(20), customer VARCHAR(50), email VARCHAR(50),
  city VARCHAR(20), amount DECIMAL(20,4), qty INT, paid BOOLEAN, created_at TIMESTAMP NOT NULL);
SET time_zone = '+08:00';
INSERT INTO orders VALUES
  (9007199254740993, 'A-1', ' 王小明 ', 'wang@example.com', '北京', 1000.0050, 3, TRUE, '2026-11-30 02:30:00'),
  (9007199254740994, 'A-2', 'Ann', 'ann@example.com', 'Ulm', 999.9999, 1, TRUE, '2026-11-30 03:00:00'),
  (9007199254740995, 'A-3', 'Bob', 'bobby@example.com', '上海', 5000, 2, FALSE, '2026-11-30 03:00:00'),
  (9007199254740996, 'A-4', 'Cy', NULL, '上海', 1234567890123456.7891, 2, TRUE, '2026-12-01 02:29:59'),
  (9007199254740997, 'A-5', 'Dee', 'dee@example.com', NULL, 2000, NULL, TRUE, '2026-11-30 12:00:00'),
  (9007199254740998, 'A-6', 'Eve', 'eve@example.com', 'Ulm', 2000, 1, TRUE, '2026-12-01 02:30:00');
"""


@pytest.mark.slow
def test_the_job_of_the_design_runs(tmp_path: Path, postgresql: DatabaseServer) -> None:
    for name in ("connections", "jobs", "lookups", "files"):
        (tmp_path / name).mkdir()
    connect(tmp_path, postgresql)
    (tmp_path / "connections/landing.yaml").write_text("{name: landing, type: folder, path: files}")
    (tmp_path / "files/regions.csv").write_text("city,region\n北京,North\n上海,East\n")
    (tmp_path / "lookups/regions.yaml").write_text(
        "{lookup: regions, source: {type: csv, connection: landing, path: regions.csv}}"
    )
    job = tmp_path / "jobs/orders-daily.yaml"
    job.write_text(DESIGNED)
    with serving_mariadb() as mariadb:
        mariadb(SHANGHAI)
        (tmp_path / "connections/crm.yaml").write_text(
            f"{{name: crm, type: mysql, host: {mariadb.host}, database: {mariadb.database}, user: {mariadb.user}, "
            "timezone: '+08:00'}"
        )
        secrets = {"SLUICE_SECRET_PSEUDONYMS": "a key of the operator, of thirty-two bytes"}
        words = ("--data", tmp_path / "data", "-o", tmp_path / "out", "--json", "--tick", "2026-12-01T02:30")
        said = json.loads(sluice("job", "run", job, *words, env=secrets).stdout)
    assert said["state"] == "succeeded"
    assert said["rows"] == {"read": 5, "filtered": 2, "refused": 0, "out": 3}
    columns = '"order", customer, email, length(buyer), city, amount, total, month, region'
    loaded = postgresql(f'SELECT {columns} FROM orders_daily ORDER BY "order"').strip().splitlines()
    assert [line.replace("|", " ") for line in loaded] == [
        "A-1 王小明 w***@example.com 32 北京 1000.0050 3000.02 2026-11 North",
        "A-4 Cy   上海 1234567890123456.7891 2469135780246913.58 2026-12 East",
        "A-5 Dee d***@example.com 32  2000.0000  2026-11 ",
    ]
    book = CalamineWorkbook.from_path(str(tmp_path / "out/orders-2026-12-01.xlsx"))
    head, *rows = book.get_sheet_by_index(0).to_python()
    assert head == ["order", "customer", "email", "city", "amount", "total", "month", "region"]
    assert [row[0] for row in rows] == ["A-1", "A-4", "A-5"]


def test_a_table_that_is_not_there_fails_its_output_alone(folder: Path, postgresql: DatabaseServer) -> None:
    connect(folder, postgresql)
    outputs = FILE + TABLE.replace("TABLE", "absent").replace("MODE", "append").replace(", create: if_missing KEY", "")
    job = write_job(folder, outputs)
    shown = sluice("job", "run", job, "--data", folder / "data", "-o", folder / "out", "--json", exit_code=1)
    said = json.loads(shown.stdout)
    assert [one["state"] for one in said["outputs"]] == ["completed", "failed"]
    assert said["outputs"][1]["error"]["code"] == "TARGET_INVALID"
    assert "absent" in shown.stderr, "who runs the job is its operator, and has no other log"
    assert said["state"] == "failed"
