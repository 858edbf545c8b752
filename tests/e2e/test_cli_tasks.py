"""`sluice task`: the id alone tells where a task is; what an operator does by hand is safe."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.attempts import COMPOSE
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.usecases import lease
from sluice.usecases.composing.write_result import ComposeLease
from sluice.usecases.lease import Outcome
from sluice.usecases.reading.read_task import find_task
from tests.support.command_line import sluice
from tests.support.data_directory import compose, data_directory, open_task, seal

UNKNOWN = "a" * 26


def task(*arguments: str | Path, data: Path, exit_code: int = 0) -> str:
    """Run `sluice task …`; returns standard output, or standard error of a failure."""
    done = sluice("task", *arguments, "--data", data, exit_code=exit_code)
    assert exit_code == 0 or done.stdout == ""
    return done.stderr if exit_code else done.stdout


def task_json(*arguments: str, data: Path) -> Any:
    return json.loads(task(*arguments, "--json", data=data))


def composing(ports: Ports, ref: TaskRef) -> ComposeLease:
    seal(ports, ref)
    attempt = lease.acquire(ports, COMPOSE, find_task(ports, ref))
    assert attempt is not None
    return attempt


def failed(ports: Ports, **kind: str) -> TaskRef:
    ref = open_task(ports, **kind)  # type: ignore[arg-type]  # the tenant
    lease.fail(ports, composing(ports, ref), SluiceError(ErrorCode.CHUNK_MISSING, sequence=2))
    return ref


def completed(ports: Ports) -> TaskRef:
    ref = open_task(ports)
    seal(ports, ref)
    assert compose(ports, ref) is Outcome.COMPLETED
    return ref


def state_of(data: Path, ref: TaskRef) -> State:
    with data_directory(data) as ports:
        return find_task(ports, ref).state


def test_show_needs_only_the_id_and_says_who_must_act(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        open_task(ports, tenant="other")
        ref = failed(ports, tenant="shop")
    page = task("show", ref.task_id, data=tmp_path)
    for words in ("tenant shop", "failed", "CHUNK_MISSING", "operator", f"sluice task retry {ref.task_id}", "2 of 2"):
        assert words in page
    assert "\x1b" not in page


def test_show_gives_machines_the_same(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = completed(ports)
        row = find_task(ports, ref)
    report = task_json("show", ref.task_id, data=tmp_path)
    assert (report["state"], report["tenant"], report["next"]["who"]) == ("completed", "shop", "client")
    assert report["result"]["sha256"] == row.result_sha256
    assert [attempt["outcome"] for attempt in report["attempts"]] == ["completed"]
    assert report["deleted_at"] is None


@pytest.mark.parametrize(
    ("command", "task_id"),
    [
        *((command, UNKNOWN) for command in ("show", "retry", "cancel", "release-lease", "trigger", "ring", "verify")),
        *(("show", task_id) for task_id in ("short", "../../../etc/passwd", "A" * 26)),
    ],
)
def test_a_task_that_does_not_exist_fails(tmp_path: Path, command: str, task_id: str) -> None:
    with data_directory(tmp_path):
        pass
    assert "TASK_NOT_FOUND" in task(command, task_id, data=tmp_path, exit_code=1)


def test_a_directory_without_a_service_s_data_is_wrong_usage_and_stays_as_it_is(tmp_path: Path) -> None:
    assert "--data" in task("list", data=tmp_path / "nowhere", exit_code=2)
    assert not (tmp_path / "nowhere").exists()


def test_the_list_has_all_tenants_newest_first(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        refs = [open_task(ports, tenant="shop"), open_task(ports, tenant="other"), failed(ports)]
    lines = [line.split() for line in task("list", data=tmp_path).splitlines()[1:]]
    assert [line[0] for line in lines] == [ref.task_id for ref in reversed(refs)]
    assert lines[0][2] == "failed"
    assert lines[0][-1] == "CHUNK_MISSING"
    only_shop = task_json("list", "--tenant", "shop", "--state", "open", data=tmp_path)
    assert [one["task"]["task_id"] for one in only_shop] == [refs[0].task_id]
    newest = task_json("list", "--limit", "1", data=tmp_path)
    assert [one["task"]["task_id"] for one in newest] == [refs[2].task_id]


def test_the_list_names_format_size_and_file(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        completed(ports)
    head, line = task("list", data=tmp_path).splitlines()
    assert head.split() == ["TASK", "TENANT", "STATE", "FORMAT", "ROWS", "SIZE", "CREATED", "FILE", "NOTE"]
    assert " csv " in line
    assert " B " in line
    assert ".csv" in line


def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        refs = [failed(ports) for _ in range(40)]
    ids = sorted(ref.task_id for ref in refs)
    first = ids[0]
    length = next(size for size in range(1, 27) if sum(one.startswith(first[:size]) for one in ids) == 1)
    assert task_json("show", first[:length], data=tmp_path)["task_id"] == first
    letter = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    assert "add a letter" in task("show", letter, data=tmp_path, exit_code=1)


def test_an_empty_list_says_so(tmp_path: Path) -> None:
    with data_directory(tmp_path):
        pass
    assert task("list", data=tmp_path) == "There are no tasks.\n"
    assert task_json("list", data=tmp_path) == []


def test_retry_makes_a_new_task_that_composes_the_same_rows(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        old = failed(ports)
    made = task_json("retry", old.task_id, data=tmp_path)
    new = TaskRef(old.tenant, made["task_id"])
    with data_directory(tmp_path) as ports:
        assert ports.tasks.due(ports.clock.now(), limit=10).alternating(10)[0] == new, (
            "who waits for a composer comes first"
        )
        assert compose(ports, new) is Outcome.COMPLETED
        assert find_task(ports, new).result_rows == 6
        assert find_task(ports, old).state is State.FAILED


def test_only_a_failed_task_is_retried(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        done, waiting = completed(ports), open_task(ports)
    assert "nothing to retry" in task("retry", done.task_id, data=tmp_path, exit_code=1)
    assert "has not failed" in task("retry", waiting.task_id, data=tmp_path, exit_code=1)


def test_cancel_stops_a_composer_for_good_and_can_be_repeated(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = open_task(ports)
        composing(ports, ref)
    for _ in range(2):
        assert ref.task_id in task("cancel", ref.task_id, data=tmp_path)
    assert state_of(tmp_path, ref) is State.CANCELLED


def test_a_finished_file_is_not_cancelled(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = completed(ports)
    assert "ALREADY_COMPLETED" in task("cancel", ref.task_id, data=tmp_path, exit_code=1)


def test_release_lease_frees_a_held_task_once(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = open_task(ports)
        composing(ports, ref)
    task("release-lease", ref.task_id, data=tmp_path)
    assert state_of(tmp_path, ref) is State.SEALED
    assert "ended without a word" in task("show", ref.task_id, data=tmp_path)
    assert "no composer holds" in task("release-lease", ref.task_id, data=tmp_path, exit_code=1)


def test_trigger_makes_a_sealed_task_due_for_the_sweeper(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = open_task(ports)
        seal(ports, ref)
        assert ports.tasks.due(ports.clock.now(), limit=10).alternating(10) == []
    task("trigger", ref.task_id, data=tmp_path)
    with data_directory(tmp_path) as ports:
        assert ports.tasks.due(ports.clock.now(), limit=10).alternating(10) == [ref]


def test_the_former_name_of_trigger_works_and_says_so(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = open_task(ports)
        seal(ports, ref)
    done = sluice("task", "ring", ref.task_id, "--json", "--data", tmp_path)
    assert json.loads(done.stdout) == {"task_id": ref.task_id, "state": "sealed"}
    assert done.stderr == "sluice: `sluice task ring` is called `sluice task trigger` now; the old name will go\n"
    assert "ring" not in sluice("task", "--help").stdout.split()
    with data_directory(tmp_path) as ports:
        assert ports.tasks.due(ports.clock.now(), limit=10).alternating(10) == [ref]


def test_trigger_refuses_a_task_with_nothing_to_compose(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = open_task(ports)
    assert "nothing to compose" in task("trigger", ref.task_id, data=tmp_path, exit_code=1)


def test_verify_reads_the_whole_file(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = completed(ports)
        row = find_task(ports, ref)
    assert task_json("verify", ref.task_id, data=tmp_path)["sha256"] == row.result_sha256
    (stored,) = (tmp_path / "objects" / "out").rglob("export.csv*")
    data = bytearray(stored.read_bytes())
    data[20] ^= 1
    stored.write_bytes(data)
    said = task("verify", ref.task_id, data=tmp_path, exit_code=1)
    assert "RESULT_DAMAGED" in said
    assert f"sluice task retry {ref.task_id}" in said
    made = task_json("retry", ref.task_id, data=tmp_path)
    assert (made["source_task"], made["state"]) == (ref.task_id, "sealed")


def test_retry_of_a_task_whose_file_is_whole_is_refused(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = completed(ports)
    assert "which is whole" in task("retry", ref.task_id, data=tmp_path, exit_code=1)


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_retry_of_a_task_whose_rows_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, damage: str) -> None:
    with data_directory(tmp_path) as ports:
        ref = failed(ports)
    (chunk, *_) = sorted((tmp_path / "objects" / "in").rglob("*.chunk@"))
    if damage == "missing":
        chunk.unlink()
    else:
        chunk.write_bytes(chunk.read_bytes().replace(chunk.read_bytes()[2:4], b"??", 1))
    said = task("retry", ref.task_id, data=tmp_path, exit_code=1)
    assert f"CHUNK_{damage.upper()}" in said
    with data_directory(tmp_path) as ports:
        assert [row.task_id for row in ports.tasks.scan()] == [ref.task_id]


def test_a_row_whose_id_lost_bits_is_no_affair_of_commands_about_another_task(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        damaged, ref = failed(ports), completed(ports)
    with closing(sqlite3.connect(tmp_path / "tasks.sqlite3", isolation_level=None)) as db:
        db.execute("UPDATE tasks SET task_id = CAST(x'fffe41' AS TEXT) WHERE task_id = ?", (damaged.task_id,))
    for command in ("show", "verify"):
        assert task_json(command, ref.task_id, data=tmp_path)["task_id"] == ref.task_id
    assert "the record of task \\xff\\xfeA of shop cannot be read" in sluice("task", "list", "--data", tmp_path).stderr
    task("delete", ref.task_id, data=tmp_path)


def test_verify_says_when_the_file_is_gone(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = completed(ports)
        ports.objects.delete([find_task(ports, ref).result_key])
    assert "RESULT_MISSING" in task("verify", ref.task_id, data=tmp_path, exit_code=1)


def test_verify_of_a_failed_task_says_why_it_failed(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        ref = failed(ports)
    assert "CHUNK_MISSING" in task("verify", ref.task_id, data=tmp_path, exit_code=1)
