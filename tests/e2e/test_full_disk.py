"""A disk that runs full: batches are refused as such, the rest goes on, and all is well again once there is room.

On a small file system of its own, which only root can make.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.client import Client, Export, SluiceApiError, Status
from sluice.domain.lifecycle import Guard
from sluice.ports.store_errors import StoreFull
from tests.contracts.task_builder import a_full_task, a_task
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a file system of its own"),
]
MIB = 1 << 20
WAIT_S = 120
COLUMNS = [{"name": "text"}]
ENV = {**QUICK, "SLUICE_STORAGE_MIN_FREE_BYTES": str(8 * MIB), "SLUICE_MONITORING_HEALTH_CHECK_INTERVAL_S": "0.1"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 48 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be made here: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def service(disk: Path, tmp_path: Path) -> Iterator[ServiceProcess]:
    running = started(disk, tmp_path)
    yield running
    if running.process.poll() is None:
        running.kill()


def started(disk: Path, tmp_path: Path, **settings: str) -> ServiceProcess:
    """A service whose data is on ``disk``; its log and its ready file are not."""
    data = tmp_path / "data"
    if not data.is_symlink():
        data.symlink_to(disk / "data")
        (disk / "data").mkdir()
    return ServiceProcess(data, env={**ENV, **settings})


def test_a_file_made_on_this_machine_has_whatever_room_there_is(disk: Path) -> None:
    rows = disk / "rows.csv"
    rows.write_text("id,name\n1,a\n")
    sluice("export", rows, "-o", disk / "rows.xlsx")
    assert (disk / "rows.xlsx").stat().st_size > 0


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Take all room but ``leave`` bytes, with a file to remove later."""
    filler = disk / "filler"
    stat = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(bytes(max(0, stat.f_bavail * stat.f_frsize - leave)))
        file.flush()
    return filler


def fill_up(disk: Path) -> Path:
    """Take all room to the last byte, also what is taken or freed by others meanwhile."""
    filler = fill(disk, leave=MIB)
    grow(filler)
    return filler


def grow(filler: Path) -> None:
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def batch(size: int) -> list[list[str]]:
    return [[os.urandom(500).hex()] for _ in range(size // 1000)]


def refused(service: ServiceProcess, task: str, sequence: int) -> dict[str, object]:
    answer = CALLER.put(f"{service.url}/v1/exports/{task}/batches/{sequence}", json=batch(MIB))
    assert answer.status_code == 507
    problem: dict[str, object] = answer.json()
    return problem


def readiness(service: ServiceProcess) -> tuple[int, str]:
    answer = CALLER.get(f"http://127.0.0.1:{service.metrics_port}/health/ready")
    return answer.status_code, answer.json()["checks"]["disk"]


def metrics(service: ServiceProcess) -> bytes:
    return CALLER.get(f"http://127.0.0.1:{service.metrics_port}/metrics").content


def finished_export(service: ServiceProcess) -> tuple[str, bytes]:
    with Client(service.url) as client:
        export = client.open(format="csv", filename="t", columns=COLUMNS)
        export.put(1, batch(MIB))
        export.close()
        export.wait(WAIT_S)
        return export.id, CALLER.get(export.link().url).content


def until_refused(export: Export) -> Status:
    """Wait until an attempt on the export met a full disk."""
    ends_at = time.monotonic() + WAIT_S
    while (status := export.status()).attempt_error is None:
        assert status.state in {"sealed", "composing"}
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    assert status.attempt_error["code"] == "STORAGE_FULL"
    return status


def test_below_the_threshold_batches_are_refused_and_exports_are_finished_once_there_is_room(
    service: ServiceProcess, disk: Path
) -> None:
    with Client(service.url) as client:
        assert readiness(service) == (200, "ok")
        export = client.open(format="csv", filename="t", columns=COLUMNS)
        export.put(1, batch(MIB))
        filler = fill(disk, leave=6 * MIB)
        problem = refused(service, export.id, 2)
        assert (problem["code"], problem["who"], problem["retryable"]) == ("STORAGE_FULL", "operator", True)
        status, words = readiness(service)
        assert (status, "min_free_bytes (8,388,608 bytes)" in words) == (503, True)
        export.close()
        refusal = until_refused(export)
        assert (refusal.state, refusal.file_size_bytes) == ("sealed", None), "its file is not begun"
        filler.unlink()
        assert export.wait(WAIT_S).state == "completed"
        assert readiness(service) == (200, "ok")
        assert len(finished_export(service)[1]) > MIB


def test_below_the_threshold_nothing_is_opened_and_what_is_there_is_closed_cancelled_and_deleted(
    service: ServiceProcess, disk: Path
) -> None:
    finished, _ = finished_export(service)
    with Client(service.url, retry_for_s=0) as client:
        known = client.open(format="csv", filename="t", columns=COLUMNS, idempotency_key="known")
        closed, cancelled = (client.open(format="csv", filename="t", columns=COLUMNS) for _ in range(2))
        filler = fill(disk, leave=6 * MIB)
        with pytest.raises(SluiceApiError) as refused_open:
            client.open(format="csv", filename="t", columns=COLUMNS)
        assert (refused_open.value.code, refused_open.value.status) == ("STORAGE_FULL", 507)
        assert client.open(format="csv", filename="t", columns=COLUMNS, idempotency_key="known").id == known.id
        closed.close()
        assert cancelled.cancel().state == "cancelled"
        for _ in range(2):
            known.delete()
        client.export(finished).delete()
        filler.unlink()
        assert client.open(format="csv", filename="t", columns=COLUMNS).status().state == "open"
        assert closed.wait(WAIT_S).state == "completed"


def test_where_no_file_has_room_nothing_is_rendered_again_while_batches_are_taken(
    service: ServiceProcess, disk: Path
) -> None:
    task, _ = finished_export(service)
    with Client(service.url, retry_for_s=0) as client:
        filler = fill(disk, leave=10 * MIB)
        with pytest.raises(SluiceApiError) as refused_render:
            client.export(task).render(format="jsonl")
        assert (refused_render.value.code, refused_render.value.status) == ("STORAGE_FULL", 507)
        client.open(format="csv", filename="t", columns=COLUMNS).put(1, [["x"]])
        filler.unlink()
        assert client.export(task).render(format="jsonl").wait(WAIT_S).state == "completed"


def test_a_file_that_is_larger_than_the_disk_takes_no_room_from_the_batches_of_others(
    service: ServiceProcess, disk: Path
) -> None:
    """Some kilobytes of chunks become 76 MB: a control character has six bytes in JSON Lines."""
    with Client(service.url, retry_for_s=0) as client:
        large = client.open(format="jsonl", filename="t", columns=COLUMNS)
        for sequence in range(1, 9):
            large.put(sequence, [["\x01" * 400_000]] * 4)
        other = client.open(format="csv", filename="t", columns=COLUMNS)
        large.close()
        sequence = 0
        while large.status().attempt_error is None or sequence < 50:
            sequence += 1
            other.put(sequence, [[str(sequence)]])  # is refused at no time
        status = until_refused(large)
        assert sorted((disk / "data/uploads").iterdir()) == [], "what it took is free again"
        assert "waits for room" in str(status.attempt_error and status.attempt_error["message"])
        ends_at = time.monotonic() + WAIT_S
        while b'sluice_triggers_total{result="no_room"}' not in metrics(service):
            assert time.monotonic() < ends_at
            time.sleep(0.2)
        assert large.status().attempts == 1, "none is begun to fill the disk again"
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        assert large.wait(WAIT_S).state == "completed"
        assert (large.status().file_size_bytes or 0) > 76_000_000
        other.close()
        assert other.wait(WAIT_S).state == "completed"


def test_a_running_service_ends_exports_on_a_disk_that_is_full_to_its_last_byte(
    service: ServiceProcess, disk: Path
) -> None:
    """Nothing asks for its readiness, which would give up the reserve."""
    first, second = finished_export(service)[0], finished_export(service)[0]
    reserve = disk / "data/reserve"
    assert reserve.exists()
    filler = fill_up(disk)
    assert CALLER.delete(f"{service.url}/v1/exports/{first}").status_code == 204
    assert not reserve.exists()
    sluice("task", "delete", second, "--data", service.data)
    eventually(lambda: os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 6 * MIB)
    filler.unlink()


def test_room_is_made_for_changes_of_tasks_and_not_for_more_of_them(disk: Path) -> None:
    made: list[Path] = []

    def make_room() -> bool:
        made.append(filler)
        filler.unlink()
        return True

    with closing(SqliteTasks(disk / "rows", make_room=make_room)) as tasks:
        task = a_full_task()
        assert tasks.create(task)
        filler = fill_up(disk)
        with pytest.raises(StoreFull):
            tasks.create(a_task())
        assert made == []
        assert tasks.update(task.ref, Guard(state=task.state), {"deleted_at": 1.0})
        assert made == [filler]


def test_a_service_starts_on_a_full_disk_serves_what_it_has_and_recovers_by_itself(
    service: ServiceProcess, disk: Path, tmp_path: Path
) -> None:
    task, content = finished_export(service)
    with Client(service.url) as client:
        export = client.open(format="csv", filename="t", columns=COLUMNS)
        export.put(1, batch(MIB))
    assert service.stop() == 0
    filler = fill(disk)
    again = started(disk, tmp_path)
    try:
        with Client(again.url, retry_for_s=0) as client:
            assert client.export(task).status().state == "completed"
            assert CALLER.get(client.export(task).link().url).content == content
            assert client.export(export.id).status().state == "open"
            assert refused(again, export.id, 2)["code"] == "STORAGE_FULL"
            assert readiness(again)[0] == 503
            grow(filler)  # what was left is taken too
            assert client.export(task).status().state == "completed"
            with pytest.raises(SluiceApiError) as failed:
                client.open(format="csv", filename="t", columns=COLUMNS)
            assert failed.value.code == "STORAGE_FULL"
            staged = sorted((disk / "data/staging").iterdir())
            assert staged == [], "nothing half written"
            filler.unlink()
            client.export(export.id).put(2, batch(MIB))
            client.export(export.id).close()
            assert client.export(export.id).wait(WAIT_S).state == "completed"
            assert readiness(again) == (200, "ok")
        assert again.stop() == 0
        assert (disk / "data/reserve").stat().st_size == 4 * MIB
    finally:
        if again.process.poll() is None:
            again.kill()


def test_a_tenant_that_fills_the_disk_leaves_room_to_another(disk: Path, tmp_path: Path) -> None:
    service = started(disk, tmp_path, SLUICE_STORAGE_MIN_FREE_BYTES=str(MIB))
    try:
        keys = {
            tenant: sluice("keys", "add", tenant, "--yes", "--data", service.data).stdout.strip()
            for tenant in ("acme", "b")
        }
        with Client(service.url, keys["acme"], retry_for_s=0) as acme, Client(service.url, keys["b"]) as other:
            export = acme.open(format="csv", filename="t", columns=COLUMNS)
            taken = next(sequence for sequence in count(1) if not is_taken(export, sequence))
            with pytest.raises(SluiceApiError, match="other tenants"):
                export.put(taken, batch(MIB))
            of_other = other.open(format="csv", filename="t", columns=COLUMNS)
            of_other.put(1, batch(MIB))
            of_other.close()
            assert of_other.wait(WAIT_S).state == "completed"
    finally:
        service.kill()


def is_taken(export: Export, sequence: int) -> bool:
    """Whether a batch has room, by an answer that says nothing else."""
    try:
        export.put(sequence, batch(MIB))
    except SluiceApiError as error:
        if error.code != "STORAGE_FULL":
            raise
        return False
    return True
