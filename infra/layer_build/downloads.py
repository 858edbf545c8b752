"""Fetches the files that a lock file names, once; a file is used only when its hash is in the lock."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
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
    """The one form of a distribution's name: lower case, hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


PYTHON = "3.12"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""Debian 11, which both runtimes are, has glibc 2.31."""
SDIST = ".tar.gz"


class DownloadError(Exception):
    """The files could not be had, or are not those of the lock."""


def fetch(lock: Path, cache: Path) -> dict[str, Path]:
    """Give the file of each locked distribution, by name; fetch what ``cache`` does not hold yet.

    A cache that holds everything is used without the network. Raises ``DownloadError``.
    """
    locked = read_lock(lock)
    folder = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if not folder.is_dir():
        _download(lock, folder)
    files = {name_of(path): path for path in sorted(folder.iterdir())}
    _check(files, locked, folder)
    return files


def name_of(path: Path) -> str:
    """The distribution that a wheel or a source archive holds."""
    if path.name.endswith(SDIST):
        return normal_name(path.name.removesuffix(SDIST).rpartition("-")[0])
    return normal_name(path.name.partition("-")[0])


def _download(lock: Path, folder: Path) -> None:
    """Fill ``folder`` whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        platforms = [f"--platform={name}" for name in PLATFORMS]
        command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--prefer-binary", "--require-hashes", f"--requirement={lock}", f"--dest={scratch}/files"]
        command += [f"--python-version={PYTHON}", "--implementation=cp", *platforms]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip, with our options
        if done.returncode:
            raise DownloadError(f"pip download failed:\n{done.stdout}{done.stderr}")
        shutil.move(f"{scratch}/files", folder)


def _check(files: Mapping[str, Path], locked: Mapping[str, Locked], folder: Path) -> None:
    """Raise unless there is exactly one file for each name, and each is one that the lock knows."""
    if files.keys() != locked.keys():
        differing = ", ".join(sorted(files.keys() ^ locked.keys()))
        raise DownloadError(f"{folder} does not hold what the lock names ({differing}); delete it and build again")
    for name, path in files.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() not in locked[name].hashes:
            raise DownloadError(f"{path} is not the file that the lock names; delete it and build again")
