"""Reads a lock file: which versions, and the hashes that their files may have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Locked(NamedTuple):
    """One distribution as the lock file has it."""

    version: str
    hashes: frozenset[str]
    """SHA-256 of each file that is taken for it."""


def read_lock(path: Path) -> dict[str, Locked]:
    """Read the lock file at ``path``, by normal name. Raises ValueError for a line without version or hash."""
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    locked: dict[str, Locked] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _REQUIREMENT.match(line)
        hashes = frozenset(_HASH.findall(line))
        if found is None or not hashes:
            raise ValueError(f"{path}: no version or no hash in: {line[:80]}")
        locked[normal_name(found["name"])] = Locked(found["version"], hashes)
    return locked


def normal_name(name: str) -> str:
    """The one spelling of a distribution's name: lower case, hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()
