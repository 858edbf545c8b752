"""Which Python runs the functions, and what is at /opt/python: the built layers, or the source tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
DEPLOYED = "3.12"
SOURCES = ROOT / "layers" / "sluice" / "python"


class Interpreter(NamedTuple):
    """What runs a function, and the folders that stand for /opt/python."""

    python: Path
    flags: tuple[str, ...]
    opt: tuple[Path, ...]
    note: str
    """What differs from the cloud; empty when nothing does."""

    @property
    def opt_path(self) -> str:
        """The folders as they stand in a PYTHONPATH."""
        return ":".join(map(str, self.opt))


def source_tree() -> Interpreter:
    """The Python that runs this, with everything that is installed for it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    note = f"the functions run from the source tree on Python {version}, not from the layers on Python {DEPLOYED}"
    return Interpreter(Path(sys.executable), (), (SOURCES,), note)


def built_layers(zips: Iterable[Path], folder: Path) -> Interpreter:
    """Unpack the layers into ``folder``, the first one winning, and run them on the deployed Python, nothing else.

    Raises FileNotFoundError when that Python is not on this machine.
    """
    for archive in reversed(list(zips)):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
    return Interpreter(find_deployed_python(), ("-S", "-s"), (folder / "python",), "")


def find_deployed_python() -> Path:
    """Find the Python of the deployed version. Raises FileNotFoundError."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{DEPLOYED}*/bin/python{DEPLOYED}"), reverse=True)
    on_path = shutil.which(f"python{DEPLOYED}")
    for candidate in (*([Path(on_path)] if on_path else []), *installed):
        if _runs(candidate):
            return candidate
    raise FileNotFoundError(f"there is no Python {DEPLOYED} on this machine")


def _runs(python: Path) -> bool:
    """A version manager's shim may be on the path and yet start nothing."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
