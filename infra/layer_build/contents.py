"""What each layer holds: paths in the zip and their bytes, without what no function ever reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from infra.layer_build.bytecode import compiled
from infra.layer_build.distributions import open_distribution
from sluice.app.definitions import load_definitions
from sluice.domain.dataset import ServerConnection, SqliteConnection

_NEVER = re.compile(
    r"(^|/)(__pycache__|tests?|\.agents)/"  # what packages bring for their own developers
    r"|\.(pyi|pyx|pxd|pxi|c|h|cpp|proto|fbs|js|pyc)$"  # for compilers, type checkers and browsers
    r"|(^|/)py\.typed$"
)
_OF_DIST_INFO = re.compile(
    r"\.dist-info/(METADATA|entry_points\.txt|licenses?/.*|[^/]*(LICEN[CS]E|COPYING|NOTICE)[^/]*)$", re.IGNORECASE
)


class Left(NamedTuple):
    """Files of one distribution that are left out, and why none is missed."""

    paths: re.Pattern[str]
    reason: str


OF_DISTRIBUTION = {
    "pycryptodome": Left(re.compile(r"Crypto/SelfTest/"), "tests"),
    "tablestore": Left(
        re.compile(r"tablestore/(ots_sdk|native)/"),
        "a codec of 14 MB for one Python only; adapters/aliyun/tablestore/sdk.py does without it everywhere",
    ),
}


def is_needed(distribution: str, path: str) -> bool:
    """Whether the file at ``path`` of the distribution goes into the layer."""
    if ".dist-info/" in path:
        return _OF_DIST_INFO.search(path) is not None
    left = OF_DISTRIBUTION.get(distribution)
    return _NEVER.search(path) is None and (left is None or left.paths.search(path) is None)


IN_LAYER = "python/"
"""Function Compute puts a layer's files below /opt, and has /opt/python on the search path."""
SHOWN_FOLDER = "/opt"
OF_DATASETS = "definitions/"
"""Where `datasets.definitions` of s.yaml leads to, below /opt."""
ABOUT_DEFINITIONS = b"Connections and datasets, as they were when the layer was built; docs/datasets.md.\n"
NOT_DEPLOYED = ("sluice/__main__.py", "sluice/cli/", "sluice/client/", "sluice/demo/")
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


def sluice_files(source: Path, python: Path, definitions: Path | None = None) -> dict[str, bytes]:
    """The files of the layer of our own code, from the folder that holds ``sluice``, with ``definitions`` of datasets.

    Raises ``DefinitionsError`` for definitions that no function could use, and ValueError for what it cannot reach.
    """
    of_datasets = definition_files(definitions)  # first: it takes no time, and may end the build
    code = _with_bytecode({IN_LAYER + name: path.read_bytes() for name, path in _ours(source)}, python)
    return {**code, **of_datasets}


def definition_files(folder: Path | None) -> dict[str, bytes]:
    """Connections, datasets and what lies beside them, as certificates do; hidden files stay where they are."""
    files = {f"{OF_DATASETS}README.md": ABOUT_DEFINITIONS}
    if folder is None:
        return files
    connections = load_definitions(folder).connections
    if embedded := [name for name, one in connections.items() if isinstance(one, SqliteConnection)]:
        raise ValueError(f"connections/{embedded[0]}: no function reaches a file of SQLite")
    if slotted := [name for name, one in connections.items() if isinstance(one, ServerConnection) and one.slots]:
        detail = "slots are those of one machine; of functions DEPLOY_READERS_MAX says how many read at a time"
        raise ValueError(f"connections/{slotted[0]}: {detail}")
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in place.parts):
            files[OF_DATASETS + place.as_posix()] = path.read_bytes()
    return files


def _ours(source: Path) -> Iterator[tuple[str, Path]]:
    for path in source.rglob("*.py"):
        name = path.relative_to(source).as_posix()
        if not name.startswith(NOT_DEPLOYED):
            yield name, path


def _with_bytecode(files: Mapping[str, bytes], python: Path) -> dict[str, bytes]:
    modules = {name: content for name, content in files.items() if name.endswith(".py")}
    return {**files, **compiled(modules, python, shown_folder=SHOWN_FOLDER)}
