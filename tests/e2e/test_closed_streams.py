"""What a command does does not depend on who sees what it prints; a key that no one can see is not made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.command_line import environment, sluice
from tests.support.running_service import eventually

END_S = 60


def run(redirection: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command with standard files as a shell gives them."""
    words = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "sluice", *map(str, arguments)]
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, env=environment(), capture_output=True, text=True, timeout=END_S, check=False
    )


def keys(data: Path) -> str:
    return sluice("keys", "list", "--data", data).stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_file_is_made_whatever_standard_files_are_closed(tmp_path: Path, closed: str) -> None:
    rows, made = tmp_path / "rows.csv", tmp_path / "made.csv"
    rows.write_text("a\n1\n")
    done = run(closed, "export", rows, "-o", made)
    assert (done.returncode, done.stderr) == (0, "")
    assert made.read_text(encoding="utf-8-sig").split() == ["a", "1"]


def test_a_key_is_all_that_is_on_standard_output_where_errors_go_nowhere(tmp_path: Path) -> None:
    done = run("2>&-", "keys", "add", "shop", "--data", tmp_path / "data")
    assert done.returncode == 0
    assert done.stdout.startswith("slc_")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("redirection", "code", "sentence"),
    [
        (">/dev/full", 1, "no key was made, since it could not be shown: No space left on device"),
        (">&-", 2, "standard output is closed, where the key would be shown: no key was made"),
    ],
)
def test_a_key_that_cannot_be_shown_is_not_made(tmp_path: Path, redirection: str, code: int, sentence: str) -> None:
    done = run(redirection, "keys", "add", "shop", "--data", tmp_path / "data")
    assert done.returncode == code
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
    assert "slc_" not in done.stderr
    assert keys(tmp_path / "data") == "There are no keys.\n"


def test_a_key_whose_reader_has_gone_is_not_made(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "sluice", "keys", "add", "shop", "--data", str(tmp_path / "data")]
    done = subprocess.run(
        words, stdout=writer, stderr=subprocess.PIPE, env=environment(), text=True, timeout=END_S, check=False
    )
    os.close(writer)
    assert done.returncode == 1
    assert "no key was made, since it could not be shown: Broken pipe" in done.stderr
    assert keys(tmp_path / "data") == "There are no keys.\n"


@contextmanager
def serving_with(closed: str, folder: Path) -> Iterator[str]:
    """A service whose starter closed standard files; gives where it listens."""
    ready = folder / "ready"
    words = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "sluice", "serve"]
    words += ["--data", str(folder / "data"), "--ready-file", str(ready)]
    words += ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=environment())
    try:
        eventually(lambda: ready.exists() or process.poll() is not None)
        assert process.poll() is None
        yield f"http://127.0.0.1:{json.loads(ready.read_bytes())['http_port']}"
    finally:
        process.terminate()
        assert process.wait(END_S) == 0


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_service_serves_and_composes_whatever_standard_files_are_closed(tmp_path: Path, closed: str) -> None:
    body = {"format": "csv", "filename": "a.csv", "columns": [{"name": "a"}]}
    with (
        serving_with(closed, tmp_path) as url,
        httpx.Client(verify=False, base_url=url, trust_env=False, timeout=END_S) as client,
    ):
        export = f"/v1/exports/{client.post('/v1/exports', json=body).json()['task_id']}"
        client.put(f"{export}/batches/1", json=[["1"]]).raise_for_status()
        client.post(f"{export}/close", json={"batches": 1}).raise_for_status()
        eventually(lambda: client.get(f"{export}?wait=5").json()["state"] == "completed")
        file = client.get(f"{export}/file", follow_redirects=True).raise_for_status()
    assert file.text.split() == ["\ufeffa", "1"]
