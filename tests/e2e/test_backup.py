"""A backup of a service that goes on serving: what was acknowledged before it is in the service that is restored."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from sluice.app.backends import BACKUP_MARKER
from sluice.client import Client
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import ServiceProcess, eventually

pytestmark = pytest.mark.slow
COLUMNS = [{"name": "id", "type": "number"}]


def pushed(client: Client, name: str, batches: int) -> str:
    export = client.open(format="csv", filename=name, columns=COLUMNS, idempotency_key=name)
    for sequence in range(1, batches + 1):
        export.put(sequence, [[sequence * 10 + row] for row in range(10)])
    return str(export.id)


def finished(client: Client, task_id: str, batches: int, folder: Path) -> bytes:
    export = client.export(task_id)
    export.close(batches=batches)
    export.wait(60)
    export.save_to(folder / task_id)
    return (folder / task_id).read_bytes()


def said(*arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    return sluice(*arguments, env=env).stdout


def test_a_backup_taken_while_serving_has_what_was_acknowledged(tmp_path: Path) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    service = ServiceProcess(tmp_path / "data")
    with Client(service.url) as client:
        done = pushed(client, "done", 3)
        whole = finished(client, done, 3, tmp_path)
        half = pushed(client, "half", 2)
        stopped = threading.Event()

        def keep_busy() -> None:
            with Client(service.url) as other:
                number = 0
                while not stopped.is_set():
                    number += 1
                    pushed(other, f"busy {number}", 2)

        busy = threading.Thread(target=keep_busy)
        busy.start()
        try:
            made = sluice("backup", copy, "--data", tmp_path / "data")
        finally:
            stopped.set()
            busy.join()
    assert made.stdout.startswith("Backed up")
    service.stop()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in copy.rglob("*")}
    assert modes == {0o700, 0o600}
    assert sluice("restore", copy, "--data", new).stdout.startswith("Restored")
    with closing(sqlite3.connect(new / "tasks.sqlite3")) as rows:
        assert rows.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    service = ServiceProcess(new)
    try:
        with Client(service.url) as client:
            client.export(done).save_to(tmp_path / "again")
            assert (tmp_path / "again").read_bytes() == whole
            client.export(half).put(3, [[30 + row] for row in range(10)])
            lines = finished(client, half, 3, tmp_path).decode("utf-8-sig").split()
            assert lines == ["id", *(str(sequence * 10 + row) for sequence in (1, 2, 3) for row in range(10))]
    finally:
        service.stop()


def test_a_restore_beside_a_running_service_brings_no_revoked_key_back(tmp_path: Path) -> None:
    data, copy, keys_file = tmp_path / "data", tmp_path / "copy", tmp_path / "etc" / "keys.json"
    named = {"SLUICE_SECURITY_API_KEYS_FILE": str(keys_file)}

    def keys(*arguments: str) -> str:
        return sluice("keys", *arguments, "--data", data, env=named).stdout.strip()

    revoked = keys("add", "shop")
    service = ServiceProcess(data, env=named)
    try:
        assert f"The API keys of {keys_file} are in it." in said("backup", copy, "--data", data, env=named)
        keys("revoke", revoked.split("_")[1])
        made_since = keys("add", "shop")

        def statuses() -> list[int]:
            calls = [{"Authorization": f"Bearer {key}"} for key in (revoked, made_since)]
            return [CALLER.get(f"{service.url}/v1/exports", headers=call).status_code for call in calls]

        eventually(lambda: statuses() == [401, 200])
        before = keys_file.read_bytes()
        words = said("restore", copy, "--data", tmp_path / "drill", env=named)
        assert f"{keys_file} was there and stays as it is" in words
        assert keys_file.read_bytes() == before
        assert statuses() == [401, 200]
        words = said("restore", copy, "--data", tmp_path / "new")
        assert "keys revoked since then are valid again" in words
        assert (tmp_path / "new/keys.json").read_bytes() == (copy / "keys.json").read_bytes()
    finally:
        service.stop()


def test_what_a_backup_has_not_is_said(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    ServiceProcess(data).stop()
    bucket = {"SLUICE_STORAGE_BACKEND": "s3", "SLUICE_S3_URL": "s3://acme/x", "SLUICE_S3_REGION": "eu-central-1"}
    words = said("backup", copy, "--data", data, env=bucket)
    assert f"It has no API keys: there is no {data / 'keys.json'}." in words
    assert "Files in the bucket are not copied." in words
    words = said("restore", copy, "--data", tmp_path / "new", env=bucket)
    assert "The backup has no API keys." in words
    assert "Once that runs no more, remove the objects in/owner and owner" in words
    assert "bucket" not in said("restore", copy, "--data", tmp_path / "newer")


def test_a_backup_names_what_is_wrong_and_copies_nothing(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("mine")
    (tmp_path / "empty").mkdir()
    for arguments, sentence in (
        (("backup", tmp_path / "x", "--data", tmp_path / "none"), "no service has its data"),
        (("restore", tmp_path / "empty", "--data", tmp_path / "y"), f"has no {BACKUP_MARKER}"),
        (("restore", tmp_path / "none", "--data", tmp_path / "y"), f"has no {BACKUP_MARKER}"),
    ):
        done = sluice(*arguments, exit_code=2)
        assert sentence in " ".join(done.stderr.replace("│", " ").split())
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "y").exists()
    service = ServiceProcess(tmp_path / "data")
    service.stop()
    sluice("backup", tmp_path / "full", "--data", tmp_path / "data", exit_code=2)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["a"]
    copy = tmp_path / "copy"
    sluice("backup", copy, "--data", tmp_path / "data")
    sluice("restore", copy, "--data", tmp_path / "full", exit_code=2)
    (copy / BACKUP_MARKER).unlink()
    sluice("restore", copy, "--data", tmp_path / "z", exit_code=2)
