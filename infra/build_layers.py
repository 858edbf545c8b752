"""Builds the layers of the functions: `python -m infra.build_layers [deps] [sluice]`, both without a name."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from infra.emulators.function_compute.interpreter import find_deployed_python
from infra.layer_build.archive import write_archive
from infra.layer_build.bytecode import CompileError
from infra.layer_build.contents import deps_files, sluice_files
from infra.layer_build.downloads import DownloadError, fetch
from sluice.domain.dataset import DefinitionsError

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "layers/deps/requirements.lock"
SOURCE = ROOT / "layers/sluice/python"
OUTPUT = ROOT / "build/layers"
MIB = 1024 * 1024


class LayerLimits(NamedTuple):
    """How large a layer may be. A value, so that a test can shrink it."""

    zipped_bytes_max: int = 100 * MIB
    """What regions outside of the large ones take; the large ones take 500 MB."""
    unzipped_bytes_max: int = 400 * MIB
    """Both layers and the function lie on a disk of 512 MB."""


LIMITS = LayerLimits()


class LayerTooLarge(Exception):
    """A layer that Function Compute would not take everywhere."""


class Built(NamedTuple):
    """A layer as it was built."""

    path: Path
    files: int
    unzipped_bytes: int

    def __str__(self) -> str:
        content = self.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        sizes = f"{len(content) / MIB:.1f} MiB zipped, {self.unzipped_bytes / MIB:.1f} MiB unzipped, {self.files} files"
        return f"{self.path.name}: {sizes}, sha256 {digest}"


def build_deps(output: Path, *, cache: Path, python: Path) -> Built:
    """Build the layer of third-party packages into ``output``; what is not in ``cache`` yet is fetched into it."""
    return _write(output / "deps.zip", deps_files(fetch(LOCK, cache), python))


def build_sluice(output: Path, *, python: Path, definitions: Path | None = None, limits: LayerLimits = LIMITS) -> Built:
    """Build the layer of our own code, with the ``definitions`` of datasets, into ``output``."""
    return _write(output / "sluice.zip", sluice_files(SOURCE, python, definitions), limits)


def definitions_folder(environment: Mapping[str, str]) -> Path | None:
    """The definitions of the stage: the folder that DEPLOY_DEFINITIONS names, else ``definitions`` if there is one.

    Raises FileNotFoundError for a folder that is named and not there.
    """
    named = environment.get("DEPLOY_DEFINITIONS", "")
    folder = ROOT / (named or "definitions")
    if not folder.is_dir() and named:
        raise FileNotFoundError(f"DEPLOY_DEFINITIONS: there is no folder {folder}")
    return folder if folder.is_dir() else None


def _write(path: Path, files: Mapping[str, bytes], limits: LayerLimits = LIMITS) -> Built:
    """Write the zip. Raises ``LayerTooLarge``, and then leaves none behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_archive(path, files)
    built = Built(path, len(files), sum(map(len, files.values())))
    zipped_bytes = path.stat().st_size
    if zipped_bytes > limits.zipped_bytes_max or built.unzipped_bytes > limits.unzipped_bytes_max:
        path.unlink()
        raise LayerTooLarge(f"{path.name} is too large: {zipped_bytes} bytes, {built.unzipped_bytes} unzipped")
    return built


def main(arguments: list[str]) -> int:
    """Build what ``arguments`` name; 1, with the reason on standard error, when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m infra.build_layers", description=__doc__)
    parser.add_argument("layers", nargs="*", metavar="LAYER", help="deps or sluice")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the zips (build/layers)")
    options = parser.parse_args(arguments)
    try:
        python = find_deployed_python()
        builders: dict[str, Callable[[], Built]] = {
            "deps": lambda: build_deps(options.output, cache=OUTPUT / "downloads", python=python),
            "sluice": lambda: build_sluice(options.output, python=python, definitions=definitions_folder(os.environ)),
        }
        for name in options.layers or builders:
            if name not in builders:
                parser.error(f"{name} is no layer; there are {', '.join(builders)}")
            print(builders[name](), flush=True)
    except (CompileError, DefinitionsError, DownloadError, LayerTooLarge, FileNotFoundError, ValueError) as error:
        print(f"build_layers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
