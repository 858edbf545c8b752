"""Finds mistakes in a ROS template without asking ROS: properties, types, references."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from infra.provision.metrics import RULE, unpublished

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
    properties: dict[str, Property] = {}  # noqa: RUF012  # a default that is never changed
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


Json = dict[str, Any]

PSEUDO_PARAMETERS = frozenset(
    f"ALIYUN::{name}"
    for name in ("StackName", "StackId", "Region", "AccountId", "TenantId", "ResourceGroupId", "NoValue", "Index")
)
_FUNCTION_GIVES = {"Fn::Sub": "string", "Fn::Join": "string", "Fn::GetAtt": "string"}
"""Of every attribute used here."""
_PARAMETER_GIVES = {"String": "string", "Number": "integer", "Boolean": "boolean"}
_SUB_NAME = re.compile(r"\$\{([^}]+)\}")
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "map": (dict,),
}


class Scope(NamedTuple):
    """What a value may refer to."""

    parameters: Json
    resources: Json
    types: dict[str, ResourceType]


def check_template(template: Json, types: dict[str, ResourceType] | None = None) -> list[str]:
    """Every mistake found, each with the place it stands in; empty for a template without one."""
    scope = Scope(template["Parameters"], template["Resources"], types or read_types())
    mistakes = [mistake for name in scope.resources for mistake in _check_resource(name, scope)]
    for name, output in template["Outputs"].items():
        mistakes += _check_references(output, f"Outputs.{name}", scope)
    return [*mistakes, *_unused_parameters(template), *_dependency_circles(scope)]


def _check_resource(name: str, scope: Scope) -> Iterator[str]:
    resource = scope.resources[name]
    known = scope.types.get(resource["Type"])
    if known is None:
        yield f"{name}: unknown type {resource['Type']}"
        return
    unknown_keys = resource.keys() - {"Type", "Properties", "DependsOn", "DeletionPolicy", "Condition", "Metadata"}
    yield from (f"{name}: unknown key {key}" for key in sorted(unknown_keys))
    for other in _as_list(resource.get("DependsOn", [])):
        if other not in scope.resources:
            yield f"{name}: depends on {other}, which there is not"
    properties = resource["Properties"]
    yield from _check_value(properties, known.shape, name, scope)
    yield from _check_references(properties, name, scope)
    if resource["Type"] == RULE:
        yield from (f"{name}: {complaint}" for complaint in unpublished(properties))


def _check_value(value: Any, shape: Shape, place: str, scope: Scope) -> Iterator[str]:
    function = _function_of(value)
    if function is not None:
        yield from _check_function_type(value, function, shape, place, scope)
    elif shape.word == "properties":
        yield from _check_properties(value, shape, place, scope)
    elif shape.word == "enum":
        if isinstance(value, bool) or str(value) not in shape.values:
            yield f"{place}: {value!r} is not one of {', '.join(sorted(shape.values))}"
    elif not isinstance(value, _PYTHON_TYPES[shape.word]) or (isinstance(value, bool) and shape.word != "boolean"):
        yield f"{place}: {value!r} is not of type {shape.word}"


def _check_properties(value: Any, shape: Shape, place: str, scope: Scope) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: {value!r} has no properties"
        return
    for name in sorted(value.keys() - shape.properties.keys()):
        yield f"{place}: unknown property {name}"
    for name, known in shape.properties.items():
        if name in value:
            yield from _check_property(value[name], known, f"{place}.{name}", scope)
        elif known.required:
            yield f"{place}: {name} is missing"


def _check_property(value: Any, known: Property, place: str, scope: Scope) -> Iterator[str]:
    if not known.is_list:
        yield from _check_value(value, known.shape, place, scope)
    elif not isinstance(value, list):
        yield f"{place}: {value!r} is no list"
    else:
        for index, item in enumerate(value):
            yield from _check_value(item, known.shape, f"{place}[{index}]", scope)


def _check_function_type(value: Json, function: str, shape: Shape, place: str, scope: Scope) -> Iterator[str]:
    if function == "Ref":
        gives = _PARAMETER_GIVES.get(scope.parameters.get(value["Ref"], {}).get("Type", "String"), "string")
    else:
        gives = _FUNCTION_GIVES[function]
    takes = {"number": {"integer"}, "enum": {"string"}}.get(shape.word, {shape.word})
    if gives not in takes:
        yield f"{place}: {function} gives {gives}, not {shape.word}"
    if shape.word == "enum":
        allowed = scope.parameters.get(value.get("Ref", ""), {}).get("AllowedValues")
        if allowed is None or not set(map(str, allowed)) <= shape.values:
            yield f"{place}: {function} may give what is not one of {', '.join(sorted(shape.values))}"


def _check_references(value: Any, place: str, scope: Scope) -> Iterator[str]:
    """Find what is referred to and is not there, at any depth."""
    match value:
        case {"Ref": str(name), **rest} if not rest:
            if name not in scope.parameters and name not in PSEUDO_PARAMETERS and name not in scope.resources:
                yield f"{place}: Ref to {name}, which there is not"
        case {"Fn::GetAtt": [str(name), str(attribute)], **rest} if not rest:
            yield from _check_attribute(name, attribute, place, scope)
        case {"Fn::Sub": str(text), **rest} if not rest:
            for name in _SUB_NAME.findall(text):
                yield from _check_references({"Ref": name}, place, scope)
        case dict() | list():
            yield from _check_inside(value, place, scope)


def _check_inside(value: Json | list[Any], place: str, scope: Scope) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if key == "Ref" or str(key).startswith("Fn::"):
            yield f"{place}: {key} is not written as this check knows it"
        yield from _check_references(item, f"{place}.{key}", scope)


def _check_attribute(name: str, attribute: str, place: str, scope: Scope) -> Iterator[str]:
    resource = scope.resources.get(name)
    if resource is None:
        yield f"{place}: attribute of {name}, which there is not"
    elif resource["Type"] in scope.types and attribute not in scope.types[resource["Type"]].attributes:
        yield f"{place}: {resource['Type']} has no attribute {attribute}"


def _unused_parameters(template: Json) -> Iterator[str]:
    used = set(_names_used([template["Resources"], template["Outputs"]]))
    for name in sorted(template["Parameters"].keys() - used):
        yield f"Parameters.{name}: nobody uses it"


def _dependency_circles(scope: Scope) -> Iterator[str]:
    """ROS makes resources in the order of their references: a circle can never be made."""
    waits_for = {
        name: {
            other
            for other in (*_names_used(resource["Properties"]), *_as_list(resource.get("DependsOn", [])))
            if other in scope.resources
        }
        for name, resource in scope.resources.items()
    }
    while ready := [name for name, others in waits_for.items() if not others & waits_for.keys()]:
        for name in ready:
            del waits_for[name]
    if waits_for:
        yield f"these wait for each other: {', '.join(sorted(waits_for))}"


def _names_used(value: Any) -> Iterator[str]:
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from _SUB_NAME.findall(text)
        case dict():
            for item in value.values():
                yield from _names_used(item)
        case list():
            for item in value:
                yield from _names_used(item)


def _function_of(value: Any) -> str | None:
    if not isinstance(value, dict) or len(value) != 1:
        return None
    name = str(next(iter(value)))
    return name if name == "Ref" or name in _FUNCTION_GIVES else None


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
