"""Cuts the lock down to what a service needs: `runtime_lock.py pyproject.toml requirements.lock [EXTRA]`."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_HEAD = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_VIA = "    # "


class Pin(NamedTuple):
    """One package of the lock."""

    text: str
    """Its lines: version, marker, hashes."""
    needed_by: frozenset[str]


def read_lock(text: str) -> dict[str, Pin]:
    """Every package of a lock that says what each is needed by."""
    return {_normal(_HEAD.match(block)["name"]): _read_pin(block) for block in _blocks(text)}  # type: ignore[index]  # a block begins so


def cut(pins: Mapping[str, Pin], roots: set[str]) -> dict[str, Pin]:
    """The packages that ``roots`` need, and the roots."""
    kept = set(roots)
    while more := {name for name, pin in pins.items() if name not in kept and pin.needed_by & kept}:
        kept |= more
    return {name: pin for name, pin in pins.items() if name in kept}


def read_roots(pyproject: str, extras: Iterable[str] = ()) -> set[str]:
    """What the project needs itself, and for ``extras``."""
    project = tomllib.loads(pyproject)["project"]
    needed = [*project["dependencies"]]
    for extra in extras:
        needed += project["optional-dependencies"][extra]
    return {_normal(_NAME.match(item)[0]) for item in needed}  # type: ignore[index]  # a requirement begins so


def _blocks(text: str) -> Iterator[str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if not line.startswith(" ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield "\n".join(lines[start:end])


def _read_pin(block: str) -> Pin:
    lines = block.splitlines()
    origins = [line.removeprefix(_VIA).strip() for line in lines if line.startswith(_VIA)]
    named = (line.removeprefix("via").strip().split(" ")[0] for line in origins)
    text = "\n".join(line for line in lines if not line.startswith(_VIA))
    return Pin(text, frozenset(_normal(name) for name in named if name))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    project, lock = (Path(argument).read_text(encoding="utf-8") for argument in sys.argv[1:3])
    for pin in cut(read_lock(lock), read_roots(project, sys.argv[3:])).values():
        print(pin.text)
