"""Files that a task reads: which ones, as they were when it was planned, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from msgspec import Struct

from sluice.domain.schema import ColumnType

FileKind: TypeAlias = Literal["csv", "ndjson", "json", "parquet"]
FILES_MAX = 10_000
"""So many files are read by one run."""


class PinnedFile(Struct, frozen=True, array_like=True):
    """A file as it was when the run was planned: it is read as long as it is still that one."""

    name: str
    """Below the folder."""
    size: int
    modified_ns: int
    identity: str
    """Changes where another file takes its name."""


class FileSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is read: how the files are written, and which they are. Their folder is looked up by its connection."""

    kind: FileKind
    path: str
    files: tuple[PinnedFile, ...] = ()
    header: bool = True
    delimiter: str = ""
    encoding: str = "utf-8"
    null_value: str | None = None
    names: tuple[str, ...] = ()
    """Of all columns of a file that does not name them."""
    is_whole: bool = True
    """All columns are read: so no file has another than the first has."""
    types: Mapping[str, ColumnType] = {}


GLOB = frozenset("*?[")
"""What makes a part of a path a pattern."""


def name_fits(name: str, pattern: str) -> bool:
    """Whether a name fits a part of a path; one that begins with a dot only where the pattern has it."""
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def parts_of(path: str) -> tuple[str, ...]:
    """The parts of a path below a folder, as a job writes it. Raises ValueError with a reason."""
    parts = tuple(path.split("/"))
    if path.startswith("/"):
        raise ValueError("is a path of the machine: a job's is below the folder of its connection")
    if "" in parts or "." in parts or ".." in parts or "\0" in path or "\\" in path:
        raise ValueError("leaves its folder or names it: parts are divided by one /, and none is . or ..")
    if any("**" in part for part in parts):
        raise ValueError("has **: each part stands for one level of folders")
    return parts
