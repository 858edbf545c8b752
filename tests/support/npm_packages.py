"""Programs from npm that tests run, installed when one first needs them."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest


def install_packages(folder: Path, *, last: Path, what: str, flags: tuple[str, ...] = ()) -> None:
    """Install what the lock file in ``folder`` names, unless ``last`` is there; skip the test if that fails."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(f"there is no Node.js with npm here, which {what} needs")
    with (folder / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if last.exists():
            return
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", *flags],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    if done.returncode:
        pytest.skip(f"{what} cannot be installed: {done.stderr[-300:]}")
