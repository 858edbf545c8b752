"""Runs the real `sluice` command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

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
    """Run a command to its end and insist on its exit code."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        env=environment(env),
        cwd=cwd,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == exit_code, f"exit code {done.returncode}\n--- out\n{out}\n--- err\n{err}"
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


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
