"""What comes from elsewhere moves no cursor: texts of a service, of rows, tables and file names, on a terminal."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import COMMAND, TIMEOUT_S, environment
from tests.support.data_directory import compose, data_directory, open_task, seal
from tests.support.scripted_server import Answer, Asked, scripted_server

pytestmark = pytest.mark.slow
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[8m\x9b31m\r\b\x7f\u202egpj.exe\u2028\U000e0041"
"""Sets the title, clears the screen, hides what follows, overwrites the line and turns it around."""
SHOWN = "\\u001b]0;owned\\u0007"
TASK_ID = "a" * 26
FAILED: dict[str, Any] = {"code": HOSTILE, "message": HOSTILE, "who": HOSTILE, "retryable": False}
TASK: dict[str, Any] = {
    "task_id": HOSTILE,
    "state": HOSTILE,
    "format": HOSTILE,
    "filename": HOSTILE,
    "error": FAILED,
    "refusal": FAILED,
    "attempt_error": FAILED,
    "checksum_sha256": HOSTILE,
    "file_size_bytes": 1,
    "request_id": HOSTILE,
    "sheets": [{"name": HOSTILE, "rows": 1}],
    "warnings": [{"kind": HOSTILE, "count": 1}],
    "created_at": HOSTILE,
    "expires_at": HOSTILE,
}
PROBLEM = {"code": "NOT_READY", "detail": HOSTILE, "request_id": HOSTILE, HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}


def terminal(*arguments: str | Path, cwd: Path | None = None) -> str:
    """What a command shows on a terminal, without the colours that it may use. It has to say something."""
    ours, theirs = os.openpty()
    command = [*COMMAND, *map(str, arguments)]
    env = environment({"TERM": "dumb"})  # a bar that moves nothing
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env, cwd=cwd) as run:
        os.close(theirs)
        said = bytearray()
        try:
            while block := os.read(ours, 10_000):
                said += block
        except OSError:  # Linux says so when the last of the other side is gone
            pass
        os.close(ours)
        run.wait(TIMEOUT_S)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r\n", "\n")
    assert shown
    assert [char for char in shown if not (char.isprintable() or char == "\n")] == []
    assert "Traceback" not in shown
    assert "a bug" not in shown
    return shown


def of_service(asked: Asked) -> Answer:
    """A service that answers what it likes."""
    if asked.method != "GET":
        return Answer(409, json.dumps(PROBLEM).encode())
    if asked.path.startswith("/v1/exports?"):
        answer: dict[str, Any] = {"tasks": [TASK], "cursor": None}
    elif "/file" in asked.path:
        answer = {"url": f"http://{HOSTILE}", "expires_at": HOSTILE}
    else:
        answer = {**TASK, "state": "failed"} if "wait=" in asked.path else TASK
    return Answer(200, json.dumps(answer).encode())


@pytest.mark.parametrize(
    "command",
    [
        ("task", "list"),
        ("task", "list", "--json"),
        ("task", "show", TASK_ID),
        ("task", "show", TASK_ID, "--json"),
        ("task", "wait", TASK_ID),
        ("task", "link", TASK_ID),
        ("task", "cancel", TASK_ID),
        ("task", "delete", TASK_ID),
        ("export", "rows.csv", "-o", "out.csv"),
    ],
    ids=" ".join,
)
def test_a_service_cannot_write_to_the_terminal_of_who_asks_it(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a\n1\n")
    with scripted_server(of_service) as server:
        said = terminal(*command, "--server", server.url, cwd=tmp_path)
    assert SHOWN in said or command[1] == "delete"


def test_what_json_escapes_is_the_same_to_who_reads_it(tmp_path: Path) -> None:
    with scripted_server(of_service) as server:
        said = terminal("task", "show", TASK_ID, "--json", "--server", server.url)
        listed = terminal("task", "list", "--json", "--server", server.url)
    assert json.loads(said)["filename"] == HOSTILE
    assert json.loads(listed)[0]["task"]["error"]["message"] == HOSTILE


@pytest.mark.parametrize("command", [("list",), ("list", "--json"), ("show", TASK_ID), ("show", TASK_ID, "--json")])
def test_rows_of_a_directory_cannot_either(command: tuple[str, ...], tmp_path: Path) -> None:
    """A restored directory, or one that another program wrote to."""
    with data_directory(tmp_path) as ports:
        failed, done = open_task(ports), open_task(ports)
        seal(ports, done)
        compose(ports, done)
    with closing(sqlite3.connect(tmp_path / "tasks.sqlite3")) as db, db:
        texts = ("last_error_code", "last_error", "client_request_id", "upkeep_error", "owner", "phase")
        settings = ", ".join(f"{name} = ?" for name in texts)
        db.execute(f"UPDATE tasks SET {settings}, upkeep_failures = 1", [HOSTILE] * len(texts))
        db.execute("UPDATE tasks SET params = replace(params, 'orders.csv', ?)", (json.dumps(HOSTILE)[1:-1],))
        db.execute("UPDATE tasks SET warnings = ? WHERE state = 'completed'", (json.dumps({HOSTILE: 1}),))
        db.execute("UPDATE attempts SET error_code = ?, error = ?, outcome = ?", [HOSTILE] * 3)
        db.execute("UPDATE tasks SET tenant = ?, task_id = ? WHERE task_id = ?", (HOSTILE, TASK_ID, failed.task_id))
        db.execute("UPDATE tasks SET state = 'failed' WHERE task_id = ?", (TASK_ID,))
        db.execute("CREATE TEMP TABLE one AS SELECT * FROM tasks WHERE task_id = ?", (TASK_ID,))
        db.execute("UPDATE one SET task_id = ?, params = '{'", (HOSTILE,))
        db.execute("INSERT INTO tasks SELECT * FROM one")
    said = terminal("task", *command, "--data", tmp_path)
    assert SHOWN in said


def test_a_table_and_its_name_cannot_either(tmp_path: Path) -> None:
    rows = tmp_path / f"{HOSTILE}.csv"
    rows.write_text(f'"{HOSTILE}",b\n1,x\n2,y\n', encoding="utf-8", newline="")
    said = terminal("export", rows, "-o", f"{HOSTILE}.xlsx", cwd=tmp_path)
    assert f"types    {SHOWN}" in said.replace("\\u000d", "")
    assert "number" in said
    refused = terminal("export", rows, "-o", "out.parquet", "--types", f"{HOSTILE}=date", cwd=tmp_path)
    assert "INVALID_VALUE" in refused
    assert SHOWN in refused
    for wrong in (
        ("export", tmp_path / f"no {HOSTILE}", "-o", "out.csv"),
        ("export", rows, "-o", f"no/{HOSTILE}.csv"),
        ("export", rows, "-o", "out.csv", "--types", f"no {HOSTILE}=number"),
        ("serve", "--config", f"no {HOSTILE}"),
        ("backup", tmp_path, "--data", tmp_path / HOSTILE),
        (HOSTILE,),
        (f"--{HOSTILE}",),
    ):
        terminal(*wrong, cwd=tmp_path)


def test_settings_and_keys_cannot_either(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        f'"{json.dumps(HOSTILE)[1:-1]}":\n  a: 1\nserver:\n  "{json.dumps(HOSTILE)[1:-1]}": 1\n', encoding="utf-8"
    )
    assert SHOWN in terminal("serve", "--config", tmp_path / "config.yaml", "--data", tmp_path / "d")
    with data_directory(tmp_path):
        pass
    terminal("keys", "add", "shop", "--data", tmp_path, "--yes")
    keys = tmp_path / "keys.json"
    keys.write_text(keys.read_text().replace('"shop"', json.dumps(HOSTILE)))
    for command in (("keys", "list"), ("keys", "list", "--json"), ("keys", "revoke", HOSTILE)):
        terminal(*command, "--data", tmp_path)
