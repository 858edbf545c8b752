"""Runs the real `sluice` command in a process of its own."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support.command_forks import CommandForks

COMMAND = (sys.executable, "-m", "sluice")
TIMEOUT_S = 60


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would change the command's answers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "TYPER_"))}
    return {**kept, "COLUMNS": "100", "PYTHONUTF8": "1", **(extra or {})}


def sluice(
    *arguments: str | Path,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    exit_code: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process that is forked when all is imported, and insist on its exit code."""
    command = [str(one) for one in arguments]
    request = {"arguments": command, "env": environment(env), "cwd": str(cwd or Path.cwd())}
    (stdin_end, ours), (out, out_end), (err, err_end) = (os.pipe() for _ in range(3))
    with ThreadPoolExecutor(3) as pumps:
        pumps.submit(_feed, ours, stdin or b"")
        shown = [pumps.submit(_drain, end) for end in (out, err)]
        _forks().start(request, (stdin_end, out_end, err_end))
        code = _forks().wait(timeout_s=TIMEOUT_S)
    return _insist(command, code, *(text.result() for text in shown), expected=exit_code)


def _feed(end: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(end, "wb") as pipe:
        pipe.write(data)


def _drain(end: int) -> bytes:
    with open(end, "rb") as pipe:
        return pipe.read()


def sluice_alone(*arguments: str | Path, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    """As above, in a process that starts from nothing."""
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, env=environment(), capture_output=True, timeout=TIMEOUT_S, check=False
    )
    return _insist(command, done.returncode, done.stdout, done.stderr, expected=exit_code)


def _insist(arguments: list[str], code: int, *files: bytes, expected: int) -> subprocess.CompletedProcess[str]:
    out, err = (file.decode() for file in files)
    assert code == expected, f"exit code {code}\n--- out\n{out}\n--- err\n{err}"
    return subprocess.CompletedProcess(arguments, code, out, err)


@cache
def _forks() -> CommandForks:
    forks = CommandForks()
    atexit.register(forks.end)
    return forks


def start_sluice(*arguments: str | Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a command whose standard input the test holds."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=cwd,
    )
