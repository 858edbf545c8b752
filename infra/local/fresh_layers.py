"""What stands at /opt/python: the layers, built from what is here now, or the source tree where they cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from infra.build_layers import LOCK, OUTPUT, build_deps, build_sluice
from infra.emulators.function_compute.interpreter import Interpreter, built_layers, find_deployed_python, source_tree
from infra.layer_build.downloads import DownloadError

DEPS, SLUICE = "deps.zip", "sluice.zip"


def deployed_or_source(layers: Iterable[Path], folder: Path) -> Interpreter:
    """Build the ``layers`` that functions name in ``folder`` for the deployed Python, or else take the source tree."""
    try:
        return built_layers(_build(layers, folder, find_deployed_python()), folder / "opt")
    except (FileNotFoundError, DownloadError) as error:
        fallback = source_tree()
        return fallback._replace(note=f"{fallback.note} ({str(error).splitlines()[0]})")


def _build(layers: Iterable[Path], folder: Path, python: Path) -> list[Path]:
    built = []
    for layer in layers:
        if layer.name == SLUICE:
            built.append(build_sluice(folder, python=python).path)
        elif layer.name == DEPS:
            built.append(_deps(layer, folder, python))
        else:
            raise FileNotFoundError(f"nobody knows how to build {layer.name}")
    return built


def _deps(layer: Path, folder: Path, python: Path) -> Path:
    """Third-party packages change with their lock only, so one that is younger is used."""
    if layer.is_file() and layer.stat().st_size and layer.stat().st_mtime > LOCK.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(layer, folder / DEPS))
    return build_deps(folder, cache=OUTPUT / "downloads", python=python).path
