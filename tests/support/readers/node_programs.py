"""Runs the readers that are Node programs: exceljs and SheetJS. One process reads many files."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "compat/node"
INSTALLED = FOLDER / "node_modules/.package-lock.json"
"""What npm writes last."""


def install_node_readers() -> None:
    """Install the readers as the lock file has them, unless they are there; skip the test where that cannot be done."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node.js with npm here, which exceljs and SheetJS need")
    with (FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if INSTALLED.exists():
            return
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    if done.returncode:
        pytest.skip(f"exceljs and SheetJS cannot be installed: {done.stderr[-300:]}")


def run_node(program: str, reader: str, files: Sequence[Any]) -> Any:
    """Let a program of ``tests/compat/node`` read ``files`` (paths, or what else JSON holds) with a reader."""
    install_node_readers()
    done = subprocess.run(
        ["node", FOLDER / program, reader],
        input=json.dumps(files, default=str).encode(),
        capture_output=True,
        check=True,
        timeout=100,
    )
    return json.loads(done.stdout)
