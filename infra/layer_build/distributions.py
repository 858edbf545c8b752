"""Opens wheels and source archives: what a distribution would install, as paths and bytes."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from infra.layer_build.downloads import SDIST

_TO_SITE_PACKAGES = ("purelib", "platlib")
_LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE")


class Member(NamedTuple):
    """One file."""

    path: str
    """Below the folder of the packages."""
    content: bytes


def open_distribution(path: Path) -> Iterator[Member]:
    """Yield what ``path`` installs. Nothing of it is run.

    A source archive gives the packages that it names as its own: what is built
    of pure Python is a copy of them. One that holds code to compile is refused
    with ValueError, as its wheel is what belongs into the lock.
    """
    return _open_source(path) if path.name.endswith(SDIST) else _open_wheel(path)


def _open_wheel(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            place = _place_in_site_packages(name)
            if place and not name.endswith("/"):
                yield Member(place, wheel.read(name))


def _place_in_site_packages(name: str) -> str | None:
    """Where a wheel's file goes; None for scripts and the like, which are not called in a layer."""
    first, _, rest = name.partition("/")
    if not first.endswith(".data"):
        return name
    scheme, _, place = rest.partition("/")
    return place if scheme in _TO_SITE_PACKAGES else None


def _open_source(path: Path) -> Iterator[Member]:
    stem = path.name.removesuffix(SDIST)
    with tarfile.open(path) as archive:
        files = {one.name.partition("/")[2]: one for one in archive.getmembers() if one.isfile()}

        def content(name: str) -> bytes:
            opened = archive.extractfile(files[name])
            assert opened is not None, name
            return opened.read()

        packages = _packages(path, files, content)
        for name in files:
            if name.endswith((".c", ".pyx", ".cpp")):
                raise ValueError(f"{path.name} holds code to compile ({name}); the lock must name its wheel")
            if name.partition("/")[0] in packages:
                yield Member(name, content(name))
            elif name.startswith(_LICENCES):
                yield Member(f"{stem}.dist-info/licenses/{name}", content(name))
        yield Member(f"{stem}.dist-info/METADATA", content("PKG-INFO"))


def _packages(path: Path, files: dict[str, tarfile.TarInfo], content: Callable[[str], bytes]) -> set[str]:
    lists = [name for name in files if name.endswith(".egg-info/top_level.txt")]
    if len(lists) != 1:
        raise ValueError(f"{path.name} does not say which packages it holds")
    return set(content(lists[0]).decode().split())
