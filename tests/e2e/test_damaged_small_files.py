"""A small file of the service that is damaged is named, with the way out, to who starts it and in its readiness."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from tests.support.certificate import self_signed
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import ServiceProcess

PORTS = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
END_OF_A_HANG_S = 60
DAMAGED_KEYS = [b'[{"key_id": "\xff"}]', b"", b"[{", b'[{"key_id": 1}]']


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + END_OF_A_HANG_S
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def serve(data: Path, *, exit_code: int = 1, env: dict[str, str] | None = None) -> str:
    return sluice("serve", "--data", data, *PORTS, env=env, exit_code=exit_code).stderr


@pytest.mark.parametrize("content", DAMAGED_KEYS)
def test_damaged_keys_are_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys.json").write_bytes(content)
    said = [
        serve(tmp_path),
        sluice("keys", "list", "--data", tmp_path, exit_code=1).stderr,
        sluice("keys", "add", "shop", "--data", tmp_path, exit_code=1).stderr,
    ]
    for words in said:
        assert "keys.json, the file of API keys, is damaged: " in words
        assert "or remove it and make new keys (sluice keys add)" in words
        assert "bug" not in words
    assert (tmp_path / "keys.json").read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_secret_of_links_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    with closing(SqliteTasks(tmp_path / "tasks.sqlite3")):
        (tmp_path / "link.secret").write_bytes(content)
    for words in (serve(tmp_path), sluice("task", "list", "--data", tmp_path, exit_code=1).stderr):
        assert f"link.secret, which signs links, is damaged: it has {len(content)} bytes instead of 32" in words
        assert "or remove it: a new one is made, and links given out end" in words
        assert "bug" not in words
    (tmp_path / "link.secret").unlink()
    sluice("task", "list", "--data", tmp_path)


def test_a_certificate_or_key_that_is_none_is_named_and_not_its_port(tmp_path: Path) -> None:
    made, other = self_signed(tmp_path), tmp_path / "other"
    other.mkdir()
    locked = tmp_path / "locked.pem"
    command: list[str | Path] = ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", made.key, "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"\xff\xfe garbage")
    for certificate, key in (
        (made.certificate, self_signed(other).key),
        (made.certificate, garbage),
        (garbage, made.key),
        (made.certificate, locked),
    ):
        files = {"SLUICE_SECURITY_TLS_CERTIFICATE_FILE": certificate, "SLUICE_SECURITY_TLS_KEY_FILE": key}
        words = serve(tmp_path / "data", exit_code=2, env={name: str(path) for name, path in files.items()})
        assert "security.tls_certificate_file, security.tls_key_file: are no certificate (PEM) and its private" in words
        assert "cannot listen" not in words


@pytest.mark.slow
def test_keys_that_are_damaged_while_a_service_runs_make_it_not_ready_until_they_are_mended(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    key = sluice("keys", "add", "shop", "--data", data).stdout.strip()
    good = (data / "keys.json").read_bytes()
    service = ServiceProcess(data, env={"SLUICE_MONITORING_HEALTH_CHECK_INTERVAL_S": "0.05"})
    ready = f"http://127.0.0.1:{service.metrics_port}/health/ready"
    listed = f"{service.url}/v1/exports"
    try:
        for content in DAMAGED_KEYS:
            (data / "keys.json").write_bytes(content)
            answer = CALLER.get(listed, headers={"Authorization": f"Bearer {key}"})
            assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")
            wait_until(lambda: CALLER.get(ready).status_code == 503)
            said = CALLER.get(ready).json()["checks"]
            assert said["keys"] == "no caller is let in: see the log, or sluice keys list"
            assert {name for name, word in said.items() if word != "ok"} == {"keys"}
            (data / "keys.json").write_bytes(good)
            wait_until(lambda: CALLER.get(ready).status_code == 200)
            assert CALLER.get(listed, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    finally:
        service.stop()
    assert "is damaged: it is not UTF-8; put back that of a backup" in service.log.read_text()
