"""What each layer holds: paths in the zip and their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.layer_build.bytecode import compiled
from infra.layer_build.distributions import open_distribution
from infra.layer_build.pruning import is_needed

IN_LAYER = "python/"
"""Function Compute puts a layer's files below /opt, and has /opt/python on the search path."""
SHOWN_FOLDER = "/opt"
NOT_DEPLOYED = ("sluice/__main__.py", "sluice/cli/", "sluice/demo/")
"""The command line and what it needs stay on people's machines."""


def deps_files(distributions: Mapping[str, Path], python: Path) -> dict[str, bytes]:
    """The files of the layer of third-party packages. Raises ValueError when two packages bring the same file."""
    files: dict[str, bytes] = {}
    for name, path in distributions.items():
        for member in open_distribution(path):
            place = IN_LAYER + member.path
            if not is_needed(name, member.path):
                continue
            if files.setdefault(place, member.content) != member.content:
                raise ValueError(f"two packages bring a {member.path} of their own; one is {name}")
    return _with_bytecode(files, python)


def sluice_files(source: Path, python: Path) -> dict[str, bytes]:
    """The files of the layer of our own code, from the folder that holds ``sluice``."""
    return _with_bytecode({IN_LAYER + name: path.read_bytes() for name, path in _ours(source)}, python)


def _ours(source: Path) -> Iterator[tuple[str, Path]]:
    for path in source.rglob("*.py"):
        name = path.relative_to(source).as_posix()
        if not name.startswith(NOT_DEPLOYED):
            yield name, path


def _with_bytecode(files: Mapping[str, bytes], python: Path) -> dict[str, bytes]:
    modules = {name: content for name, content in files.items() if name.endswith(".py")}
    return {**files, **compiled(modules, python, shown_folder=SHOWN_FOLDER)}
