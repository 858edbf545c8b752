"""The command line as a whole: help, version, wrong usage, and how little it imports to say so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sluice import __version__
from sluice.cli.app import COMMANDS, keep_layout
from tests.support.command_line import COMMAND, environment, sluice, sluice_alone
from tests.support.data_directory import data_directory, open_task

HEAVY = {"grpc", "starlette", "uvicorn", "sqlite3", "xlsxwriter", "rich", "structlog", "yaml"}
GROUPS = {
    "task": ["list", "show", "retry", "cancel", "release-lease", "trigger", "verify"],
    "keys": ["add", "list", "revoke"],
    "tables": ["create", "check"],
}
EVERY_COMMAND = [(name,) for name in COMMANDS if name not in GROUPS] + [
    (group, name) for group, names in GROUPS.items() for name in names
]


def test_the_list_of_commands_says_what_each_is_for() -> None:
    out = sluice("--help").stdout
    for name, place in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(place.summary)}$", out, re.MULTILINE)


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_the_help_of_each_command_has_an_example(command: tuple[str, ...]) -> None:
    out = sluice(*command, "--help").stdout
    assert re.search(rf"(Examples?:|\| ).*sluice {' '.join(command)}\b", out, re.DOTALL)


def test_the_help_imports_none_of_what_commands_need() -> None:
    script = (
        "import sys\n"
        "from sluice.cli.app import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert "typer" in imported
    assert not HEAVY & imported


def test_the_version_is_the_package_s() -> None:
    assert sluice_alone("--version").stdout == f"sluice {__version__}\n"


@pytest.mark.parametrize("command", [("keys", "list"), ("task", "list"), ("explain", "NOT_READY")], ids=" ".join)
def test_a_command_imports_all_that_it_needs(command: tuple[str, ...], tmp_path: Path) -> None:
    """Most tests run commands in forks of a process that has imported more than each of them does."""
    with data_directory(tmp_path) as ports:
        open_task(ports)
    where = [] if command[0] == "explain" else ["--data", str(tmp_path)]
    assert sluice_alone(*command, *where).stdout != ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("exprot",), "Did you mean 'export'?"),
        (("explain", "--nope"), "--nope"),
        (("export",), "INPUT"),
        (("task", "show"), "TASK"),
        (("bench", "--rows", "0"), "--rows"),
        (("serve", "--config", "no-such-file.yaml"), "no-such-file.yaml"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(arguments: tuple[str, ...], said: str) -> None:
    done = sluice_alone(*arguments, exit_code=2)
    assert said in done.stderr
    assert done.stdout == ""


def test_settings_that_cannot_be_used_are_wrong_usage_and_all_named() -> None:
    env = {"SLUICE_SERVER_GRPC_PORT": "many", "SLUICE_STORAGE_RETENTION": "5"}
    done = sluice("keys", "list", env=env, exit_code=2)
    assert "SLUICE_SERVER_GRPC_PORT" in done.stderr
    assert "SLUICE_STORAGE_RETENTION" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_colour_goes_into_a_pipe() -> None:
    done = sluice("explain", "--help", env={"TERM": "xterm-256color", "FORCE_COLOR": "1"})
    assert "\x1b" not in done.stdout + done.stderr


def test_a_pipe_that_closes_early_is_no_crash() -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" -m sluice explain | head -1', sys.executable],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("CODE")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_a_failure() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "explain"], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode() == "sluice: No space left on device\n"


def test_only_paragraphs_with_indented_lines_keep_their_layout() -> None:
    assert keep_layout("One\nline.\n\nExamples:\n  a\n  b\n\nEnd.") == "One\nline.\n\n\b\nExamples:\n  a\n  b\n\nEnd."
