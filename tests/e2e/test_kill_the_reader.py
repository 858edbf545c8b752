"""What reads a table is killed again and again while others write to it: the file has what it has to have."""

from __future__ import annotations

import csv
import io
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import psutil
import pytest

from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, serving

SECRET = "a secret of the application, of 32 bytes or more"
ROWS = 60_000
TEXT = "x" * 400
"""Wide rows, so that there are many batches, after each of which a reader may be killed."""
KILLS = {"key": 30, "split": 6, "snapshot": 3}
"""What has to be of one moment is read from its first row each time, or from that of its range of keys."""
MOMENTS = {"split": 8, "snapshot": 1}
"""How many a file's rows are of; by ``key`` of as many as it was killed, or fewer."""
STILL = 3
"""Every third row stays as it is; of the others some get another key, some go, and new ones come."""

DATASET = """
dataset: orders
source: {connection: app, table: orders, key: [id], consistency: CONSISTENCY}
columns: [{name: id, type: number}, {name: name}]
tiers: {direct_rows: 0, waited_rows: 0}
limits: {per_user_hour: 0}
"""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write to the table until the context ends."""
    over = threading.Event()

    def write() -> None:
        number = 0
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as db:
            while not over.is_set():
                number += 1
                moved = (number * 7919) % ROWS * STILL + 1
                with suppress(sqlite3.IntegrityError):
                    db.execute("UPDATE orders SET id = ? WHERE id = ?", (ROWS * STILL * 2 - moved, moved))
                    db.execute("DELETE FROM orders WHERE id = ?", (moved + 3001 * STILL,))
                    db.execute("INSERT INTO orders VALUES (?, 'new')", ((number * 104729) % ROWS * STILL + 2,))
                time.sleep(0.001)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(params=list(KILLS))
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceProcess]:
    folder = tmp_path / "definitions"
    for name in ("connections", "datasets"):
        (folder / name).mkdir(parents=True)
    (folder / "connections/app.yaml").write_text("name: app\ntype: sqlite\npath: shop.db\n")
    (folder / "datasets/orders.yaml").write_text(DATASET.replace("CONSISTENCY", request.param))
    with closing(sqlite3.connect(folder / "shop.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT)")
        ids = (number * STILL + kind for number in range(ROWS) for kind in (0, 1))
        db.executemany("INSERT INTO orders VALUES (?, ?)", ((one, f"row {one} {TEXT}") for one in ids))
        db.commit()
    # A kill may hit a worker that has read nothing yet, which counts against the task where it comes twice.
    env = {**QUICK, "SLUICE_SECURITY_JWT_SECRET": SECRET, "SLUICE_CONCURRENCY_ATTEMPTS_MAX": "100"}
    with serving(tmp_path / "data", env=env, arguments=("--definitions", str(folder))) as running:
        yield running


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(600)  # thirty starts take a busy machine long
def test_every_row_that_stays_is_there_once_however_often_its_reader_is_killed(
    service: ServiceProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In one export, or in as many as it takes where a busy machine lets one be done before it was killed so often."""
    consistency = request.node.callspec.params["service"]
    left = KILLS[consistency]
    claims = {"sub": "ann", "tenant": "local", "exp": time.time() + 3600}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
    while left:
        with writing(tmp_path / "definitions/shop.db"):
            address = f"{service.url}/v1/datasets/orders/exports"
            opened = CALLER.post(address, json={"format": "csv"}, headers=headers, timeout=30).json()
            kills = kill_readers(service, opened["watch_url"], left)
        check_file(opened["watch_url"], kills, consistency)
        left -= kills


def check_file(watch_url: str, kills: int, consistency: str) -> None:
    content = CALLER.get(f"{watch_url}/file", follow_redirects=True, timeout=60).content
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))[1:]
    ids = [int(row[0]) for row in rows]
    assert ids == sorted(set(ids)), "no row twice, and all in the order of their keys"
    still = [one for one in ids if one % STILL == 0 and one < ROWS * STILL]
    assert still == list(range(0, ROWS * STILL, STILL)), "each row that stays where it is"
    last = CALLER.get(watch_url, timeout=30).json()
    assert last["rows_received"] == len(rows)
    assert last["attempts"] > kills
    moments = last["read"]["moments"]
    assert last["read"]["consistency"] == consistency
    assert sum(moment["rows"] for moment in moments) == len(rows), "the moments that all rows were read at"
    assert len(moments) == MOMENTS.get(consistency, len(moments)) <= last["attempts"] + 8
    assert [moment["at"] for moment in moments] == sorted(moment["at"] for moment in moments)


def kill_readers(service: ServiceProcess, watch_url: str, kills: int) -> int:
    """Kill whatever reads the table, each time another has read some more; gives how often, and waits for the file."""
    killed, seen, attempts = 0, 0, 0
    give_up_at = time.monotonic() + 300
    while True:
        assert time.monotonic() < give_up_at
        status: dict[str, Any] = CALLER.get(watch_url, timeout=30).json()
        assert status["state"] in {"waiting", "reading", "sealed", "composing", "completed"}, status
        if status["state"] == "completed":
            return killed
        has_read = status["rows_received"] != seen and status["attempts"] > attempts
        if status["state"] == "reading" and has_read and killed < kills:
            seen, attempts = status["rows_received"], status["attempts"]
            for worker in psutil.Process(service.process.pid).children(recursive=True):
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.01)
