"""Compiles modules ahead, with the Python that will run them, so that no instance has to when it starts."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

TAG = "cpython-312"
_PROGRAM = """
import py_compile, sys, warnings
warnings.simplefilter("ignore")
scratch, shown = sys.argv[1:]
for line in sys.stdin.read().split("\\n"):
    py_compile.compile(
        f"{scratch}/{line}", cfile=f"{scratch}/{line}c", dfile=f"{shown}/{line}", doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
"""


class CompileError(Exception):
    """A module cannot be compiled for the Python that should run it."""


def compiled(modules: Mapping[str, bytes], python: Path, *, shown_folder: str) -> dict[str, bytes]:
    """Compile ``modules`` (sources by path) with ``python``; gives the bytecode by the path that Python looks at.

    Tracebacks name the modules below ``shown_folder``. The bytecode is used as
    it is, whatever the times of the files say, and is the same at every build
    by one version of Python. Raises ``CompileError``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for name, source in modules.items():
            file = Path(scratch, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source)
        _compile(sorted(modules), Path(scratch), python, shown_folder)
        return {_cache_path(name): Path(scratch, f"{name}c").read_bytes() for name in modules}


def _compile(names: list[str], scratch: Path, python: Path, shown_folder: str) -> None:
    """One process in one order, so that what it interns is always the same."""
    command = [str(python), "-P", "-S", "-s", "-c", _PROGRAM, str(scratch), shown_folder]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONHASHSEED": "0"}
    done = subprocess.run(  # noqa: S603 - a Python that we looked for ourselves
        command, input="\n".join(names), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CompileError(done.stderr.strip()[-2000:])


def _cache_path(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/__pycache__/{file.removesuffix('.py')}.{TAG}.pyc"
