"""The unit and the image name things that exist, and commands that work."""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "infra" / "systemd" / "sluice.service"
DOCKERFILE = ROOT / "infra" / "docker" / "Dockerfile"


def unit_lines(key: str) -> list[str]:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


@cache
def sluice(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sluice", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "sluice.service"
    text = UNIT.read_text(encoding="utf-8")
    copy.write_text(text.replace("/opt/sluice/.venv/bin/sluice", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    copy.write_text(text.replace("Restart=always", "Restart=sometimes"), encoding="utf-8")
    broken = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert "Failed to parse service restart" in broken.stderr


def test_the_unit_s_command_takes_its_options() -> None:
    [command] = unit_lines("ExecStart")
    words = shlex.split(command)
    assert Path(words[0]).name == "sluice"
    told = sluice(words[1], "--help").stdout
    options = [word for word in words if word.startswith("--")]
    assert options
    assert all(f" {option} " in told for option in options)


def test_the_unit_keeps_its_data_where_systemd_makes_a_place_for_it() -> None:
    [command], [folder] = unit_lines("ExecStart"), unit_lines("StateDirectory")
    assert f"--data /var/lib/{folder}" in command


def test_the_unit_gives_the_service_time_to_drain() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from sluice.app.settings.schema import Server; print(Server().shutdown_grace_s)"],
        capture_output=True,
        text=True,
        check=True,
    )
    [timeout_s] = unit_lines("TimeoutStopSec")
    assert float(timeout_s) > float(done.stdout)


@pytest.mark.parametrize(
    "line",
    ["DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "Restart=always"],
)
def test_the_unit_is_hardened_and_comes_back(line: str) -> None:
    assert line in UNIT.read_text(encoding="utf-8").splitlines()


def test_both_run_with_one_heap() -> None:
    assert "MALLOC_ARENA_MAX=2" in unit_lines("Environment")[0].split()
    assert "MALLOC_ARENA_MAX=2" in DOCKERFILE.read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def copied() -> list[str]:
    """What the image takes from the repository."""
    found = [rest.split() for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    return [source for words in found for source in words[:-1]]


def test_everything_the_image_copies_is_there() -> None:
    assert len(copied()) >= 5
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_nothing_the_image_copies_is_ignored_and_all_else_is() -> None:
    rules = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "*" in rules
    assert sorted(kept) == sorted(copied())
    assert fnmatch.fnmatch("layers/sluice/python/sluice/__pycache__/x.pyc", "**/*.pyc")
    assert "**/*.pyc" in rules


def test_the_image_s_base_is_pinned_and_its_user_is_not_root() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert bases
    assert all(re.fullmatch(r"python:3\.12-[a-z-]+", base) for base in bases)
    [user] = [rest for word, rest in instructions() if word == "USER"]
    assert user == "10001:10001"


def test_the_image_s_command_exists() -> None:
    [entry] = [json.loads(rest) for word, rest in instructions() if word == "ENTRYPOINT"]
    [command] = [json.loads(rest) for word, rest in instructions() if word == "CMD"]
    assert entry == ["python", "-m", "sluice"]
    done = sluice(*command, "--help")
    assert done.returncode == 0


def test_nothing_in_the_image_imports_from_a_working_directory() -> None:
    [text] = [rest for word, rest in instructions() if word == "ENV"]
    assert dict(item.split("=", 1) for item in text.split())["PYTHONSAFEPATH"] == "1"


def test_the_image_s_variables_are_settings_with_these_values() -> None:
    [text] = [rest for word, rest in instructions() if word == "ENV"]
    variables = dict(item.split("=", 1) for item in text.split())
    settings = {name: value for name, value in variables.items() if name.startswith("SLUICE_")}
    code = (
        "from sluice.app.settings.validation import load_settings\n"
        "s = load_settings(None)\n"
        "print(s.server.host, s.storage.data_directory)"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=clean | settings
    )
    assert done.stdout.split() == ["0.0.0.0", "/var/lib/sluice"], done.stderr


class Health(BaseHTTPRequestHandler):
    status = 200
    asked: list[str] = []  # noqa: RUF012  # one server in one test

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def test_the_image_s_health_check_tells_the_living_from_the_dead() -> None:
    [text] = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
    command = json.loads(text[text.index("[") :])
    assert command[:2] == ["python", "-c"]
    ast.parse(command[2])
    port = re.findall(r"127\.0\.0\.1:(\d+)", command[2])
    told = sluice("serve", "--help").stdout
    assert "--metrics-port" in told
    assert port == ["8080"]
    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    here = command[2].replace(":8080/", f":{server.server_port}/")
    try:
        assert subprocess.run([sys.executable, "-c", here], check=False).returncode == 0
        Health.status = 503
        assert subprocess.run([sys.executable, "-c", here], check=False, stderr=subprocess.DEVNULL).returncode != 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert Health.asked == ["/health/live"] * 2
    assert subprocess.run([sys.executable, "-c", here], check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_the_cut_lock_has_all_that_serving_imports_and_no_tool_of_ours() -> None:
    tool = runpy.run_path(str(DOCKERFILE.parent / "runtime_lock.py"), run_name="tool")
    pins = tool["read_lock"]((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    kept = tool["cut"](pins, tool["read_roots"](project))
    assert tool["cut"](pins, tool["read_roots"](project, ["s3"])).keys() - kept.keys() == {"obstore"}
    code = (
        "import sys, json, sluice.cli.app, sluice.cli.serve, sluice.cli.key_commands, sluice.app.compose_worker\n"
        "from sluice.api.http import app\nfrom sluice.api.http.routes import docs\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    owners = importlib.metadata.packages_distributions()
    imported = {
        name: {owner.lower().replace("_", "-") for owner in owners.get(name, [])} for name in json.loads(done.stdout)
    }
    assert {"starlette", "grpc", "typer", "msgspec"} <= imported.keys()
    named = {name: who for name, who in imported.items() if who and not who & {"sluice", "setuptools", "pip"}}
    # grpc tries to import grpc_tools, and does without.
    assert {name for name, who in named.items() if not who & kept.keys()} <= {"grpc_tools"}
    assert not kept.keys() & {"pytest", "duckdb", "hypothesis", "mypy", "oss2", "tablestore"}
    assert all("--hash=sha256:" in pin.text for pin in kept.values())
