"""Runs the readers that are Node programs: exceljs and SheetJS. One process reads many files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.npm_packages import install_packages

FOLDER = Path(__file__).parents[2] / "compat/node"
INSTALLED = FOLDER / "node_modules/.package-lock.json"
"""What npm writes last."""


def install_node_readers() -> None:
    """Install the readers as the lock file has them, unless they are there; skip the test where that cannot be done."""
    install_packages(FOLDER, last=INSTALLED, what="each of exceljs and SheetJS", flags=("--ignore-scripts",))


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
