"""Several processes share the stores of one machine, and may be killed at any moment."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import pytest

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.system_clock import SystemRandomness
from tests.contracts.crc64_oracle import crc64_oracle
from tests.contracts.store_worker import REF, new_task, part
from tests.contracts.worker_processes import race, working

pytestmark = pytest.mark.slow  # each test starts, or asks, a server or processes

KILLS = 12
KEY = "out/v1/result.bin"


def open_objects(root: Path) -> DirectoryStore:
    return DirectoryStore(root, randomness=SystemRandomness(), sync=lambda _: None)


def test_a_killed_writer_leaves_every_object_absent_or_whole(tmp_path: Path) -> None:
    store = open_objects(tmp_path)
    checked = 0
    for _ in range(KILLS):
        with working("write_objects", str(tmp_path)):
            time.sleep(random.uniform(0.0, 0.15))
        for item in store.list(""):
            info, data = store.head(item.key), store.get(item.key)
            assert info.metadata["sha256"] == hashlib.sha256(data).hexdigest()
            assert info.size == item.size == len(data)
            checked += 1
    assert checked > KILLS, "the writers hardly wrote"
    last = min(store.list(""), key=lambda item: item.size)
    assert store.head(last.key).crc64 == crc64_oracle(store.get(last.key))


def test_what_killed_writers_leave_behind_can_be_cleared_away(tmp_path: Path) -> None:
    store = open_objects(tmp_path)
    for _ in range(KILLS // 2):
        with working("write_objects", str(tmp_path)):
            time.sleep(random.uniform(0.0, 0.1))
    objects = [(item.key, store.get(item.key)) for item in store.list("")]
    for upload in store.list_uploads(""):
        store.abort_upload(upload)
    store.remove_leftovers(now=time.time() + 3600, older_than_s=60)
    assert list((tmp_path / "staging").iterdir()) == []
    assert list((tmp_path / "uploads").iterdir()) == []
    assert [(item.key, store.get(item.key)) for item in store.list("")] == objects


def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite3"
    acknowledged: set[int] = set()
    for _ in range(KILLS):
        with working("claim_batches", str(path)) as process:
            time.sleep(random.uniform(0.0, 0.1))
            process.kill()
            assert process.stdout is not None
            acknowledged |= {int(line) for line in process.stdout if line.endswith("\n")}
        tasks = SqliteTasks(path)
        held = tasks.read_claims(REF)
        tasks.close()
        assert held is not None
        assert acknowledged <= set(held.claims)
        assert held.task.batches_received == held.task.rev == len(held.claims)
        assert held.task.rows_received == sum(held.claims)
    assert len(acknowledged) > KILLS, "the writers hardly wrote"


def test_of_a_hundred_creators_in_four_processes_one_wins_and_all_may_open_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite3"
    is_mine = race([("create_task", str(path), str(number)) for number in range(4)])
    assert sorted(is_mine) == ["0", "0", "0", "1"]


def test_every_success_of_four_processes_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite3"
    tasks = SqliteTasks(path)
    tasks.create(new_task("counted"))
    is_mine = race([("count_up", str(path), str(number)) for number in range(4)])
    held = tasks.read_claims(REF)
    tasks.close()
    assert held is not None
    assert held.task.rev == sum(int(count) for count in is_mine)
    assert held.task.batches_received == len(held.claims) == 4 * 50


def test_processes_put_parts_of_one_upload_and_one_of_them_completes_it(tmp_path: Path) -> None:
    store = open_objects(tmp_path)
    upload = store.begin_upload(KEY, metadata={"m": "1"})
    race([("put_parts", str(tmp_path), KEY, upload.upload_id, str(number)) for number in range(4)])
    contents = [part(number) for number in range(1, 41)]
    etags = ",".join(store.put_part(upload, number, data).etag for number, data in enumerate(contents, start=1))
    outcomes = race([("complete", str(tmp_path), KEY, upload.upload_id, etags) for _ in range(4)])
    assert sorted(outcomes) == ["NoSuchUpload"] * 3 + ["done"]
    assert store.get(KEY) == b"".join(contents)
    assert dict(store.head(KEY).metadata) == {"m": "1"}


def test_folders_that_one_process_empties_can_be_filled_by_another(tmp_path: Path) -> None:
    assert race([("churn", str(tmp_path), str(number)) for number in range(4)]) == ["done"] * 4
    assert list((tmp_path / "objects").iterdir()) == []
