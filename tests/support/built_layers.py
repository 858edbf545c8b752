"""The layers as they are deployed: built once for all tests, unpacked, and run by the deployed Python alone."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.build_layers import OUTPUT, build_deps, build_sluice
from infra.emulators.function_compute.interpreter import Interpreter, find_deployed_python
from infra.layer_build.downloads import DownloadError

CACHE = OUTPUT / "downloads"


class BuiltLayers(NamedTuple):
    """Both zips, what they unpack to, and the Python that runs it."""

    deps: Path
    sluice: Path
    opt: Path
    """Stands for /opt/python."""
    python: Path

    def interpreter(self) -> Interpreter:
        """What runs a function from these layers."""
        return Interpreter(self.python, ("-S", "-s"), (self.opt,), "")

    def run(
        self, code: str, *arguments: str, folder: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``code`` in a fresh process that finds the layers, ``folder`` and nothing else."""
        paths = [str(self.opt), *([str(folder)] if folder else [])]
        environment = {"PYTHONPATH": ":".join(paths), "PYTHONSAFEPATH": "1", "MALLOC_ARENA_MAX": "2"}
        return subprocess.run(
            [str(self.python), "-S", "-s", "-B", "-c", code, *arguments],
            env=environment | dict(variables or {}),
            cwd=folder or self.opt,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )


def deployed_python() -> Path:
    """The Python that the functions run on; skips the test where there is none."""
    try:
        return find_deployed_python()
    except FileNotFoundError as error:
        pytest.skip(f"{error}, which the functions run on")


def built_layers(folders: pytest.TempPathFactory) -> BuiltLayers:
    """Build and unpack the layers, unless another process of this test run did it already."""
    python = deployed_python()
    ours = folders.getbasetemp()
    shared = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
    with (shared / "layers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = BuiltLayers(shared / "layers/deps.zip", shared / "layers/sluice.zip", shared / "opt/python", python)
        if not built.opt.exists():
            build_both(shared / "layers", python)
            for archive in (built.deps, built.sluice):  # the layer that is named first is unpacked last
                with zipfile.ZipFile(archive) as opened:
                    opened.extractall(shared / "unfinished")
            (shared / "unfinished").rename(shared / "opt")
    return built


def build_both(folder: Path, python: Path) -> None:
    """Build both layers into ``folder``; skips the test where the packages cannot be fetched."""
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "fetching.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            build_deps(folder, cache=CACHE, python=python)
    except DownloadError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the packages of the layer cannot be fetched: {str(error)[-300:]}")
    build_sluice(folder, python=python)


def loaded_from(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What a process printed: the file of each module it had loaded."""
    assert done.returncode == 0, done.stderr
    files: dict[str, str] = json.loads(done.stdout)
    return files
