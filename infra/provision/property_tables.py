"""Reads the tables of resource properties that a template is checked against."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

TYPES_FILE = Path(__file__).parents[1] / "ros" / "resource_types.yaml"

_NAME = re.compile(r"(?P<name>[A-Za-z0-9]+)(?P<required>\*)?(?P<list>\[\])?")
_ENUM = re.compile(r"enum\((?P<values>[^)]*)\)")
_WORDS = frozenset({"string", "integer", "number", "boolean", "map"})


class Shape(NamedTuple):
    """What one value may be."""

    word: str
    """``string``, ``integer``, ``number``, ``boolean``, ``map``, ``enum`` or ``properties``."""
    values: frozenset[str] = frozenset()
    """Of an ``enum``."""
    properties: dict[str, Property] = {}  # noqa: RUF012  # a default that nobody changes
    """Of ``properties``."""


class Property(NamedTuple):
    """One property: must it be there, is it a list, and of what."""

    required: bool
    is_list: bool
    shape: Shape


class ResourceType(NamedTuple):
    """One resource type."""

    shape: Shape
    attributes: frozenset[str]


@cache
def read_types(path: Path = TYPES_FILE) -> dict[str, ResourceType]:
    """Every resource type of the file. Raises ValueError for a table that is not well-formed."""
    types = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        name: ResourceType(parse_shape(table["properties"]), frozenset(table["attributes"]))
        for name, table in types.items()
    }


def parse_shape(written: Any) -> Shape:
    """Read one value of a table."""
    if isinstance(written, dict):
        return Shape("properties", properties=dict(_parse_property(*item) for item in written.items()))
    if enum := _ENUM.fullmatch(str(written)):
        return Shape("enum", values=frozenset(value.strip() for value in enum["values"].split(",")))
    if written not in _WORDS:
        raise ValueError(f"not a type: {written!r}")
    return Shape(str(written))


def _parse_property(written_name: str, written: Any) -> tuple[str, Property]:
    name = _NAME.fullmatch(written_name)
    if name is None:
        raise ValueError(f"not a property: {written_name!r}")
    return name["name"], Property(bool(name["required"]), bool(name["list"]), parse_shape(written))
