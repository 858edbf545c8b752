"""Reads s.yaml as Serverless Devs reads it: variables, templates, the file that another one extends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_EXPRESSION = re.compile(r"\$\{([^{}]+)\}")
_CALL = re.compile(r"(?P<name>[a-z]+)\((?P<arguments>.*)\)")
_REFERENCE = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+", re.ASCII)
_ARGUMENT = re.compile(r"\s*(?:'(?P<text>[^']*)'|(?P<number>-?\d+(?:\.\d+)?)|(?P<boolean>true|false))\s*(?:,|$)")


class DescriptionError(ValueError):
    """The description of the deployment cannot be read; the message says where and why."""


class Unknown(Exception):
    """An expression whose value is known only while deploying, as the output of a resource is."""


class Scope(NamedTuple):
    """What expressions may refer to."""

    environment: Mapping[str, str]
    folder: Path
    """Where paths start: the folder of the file that holds the expression."""
    values: Mapping[str, Any]
    """``vars`` and ``resources``."""


def worked_out(value: Any, scope: Scope) -> Any:
    """The value with its expressions worked out, however deep they stand. Raises ``DescriptionError``.

    A text that is one expression takes the type of its value. What is known
    only while deploying stays as it is written.
    """
    if isinstance(value, dict):
        return {key: worked_out(one, scope) for key, one in value.items()}
    if isinstance(value, list):
        return [worked_out(one, scope) for one in value]
    return _worked_out_text(value, scope) if isinstance(value, str) else value


def _worked_out_text(text: str, scope: Scope) -> Any:
    whole = _EXPRESSION.fullmatch(text)
    try:
        if whole is not None:
            return _value_of(whole[1].strip(), scope)
        return _EXPRESSION.sub(lambda match: str(_value_of(match[1].strip(), scope)), text)
    except Unknown:
        return text


def _value_of(expression: str, scope: Scope) -> Any:
    call = _CALL.fullmatch(expression)
    if call is not None and call["name"] == "json":
        return _decoded(str(_value_of(call["arguments"].strip(), scope)), expression)
    if call is not None:
        return _called(call["name"], _arguments(call["arguments"], expression), scope)
    if _REFERENCE.fullmatch(expression) is None:
        raise DescriptionError(f"${{{expression}}} is a kind of expression that is not read here")
    return _referred(expression, scope)


def _called(name: str, arguments: list[Any], scope: Scope) -> Any:
    match name, arguments:
        case "env", [str(variable)]:
            if not scope.environment.get(variable):
                raise DescriptionError(f"the variable {variable} is not set")
            return scope.environment[variable]
        case "env", [str(variable), otherwise]:
            return scope.environment.get(variable) or otherwise
        case "path", [str(relative)]:
            path = (scope.folder / relative).resolve()
            if not path.exists():
                raise DescriptionError(f"there is no {path}")
            return str(path)
    raise DescriptionError(f"{name}() with {len(arguments)} arguments is not read here")


def _decoded(text: str, expression: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise DescriptionError(f"${{{expression}}} is of {text!r}, which is no JSON") from None


def _referred(expression: str, scope: Scope) -> Any:
    first, *names = expression.split(".")
    if first == "resources" and names[1:2] == ["output"]:
        raise Unknown(expression)
    value: Any = scope.values.get(first)
    for name in names:
        if not isinstance(value, dict) or name not in value:
            raise DescriptionError(f"${{{expression}}} leads nowhere")
        value = value[name]
    return worked_out(value, scope)


def _arguments(text: str, expression: str) -> list[Any]:
    found: list[Any] = []
    at = 0
    while at < len(text):
        match = _ARGUMENT.match(text, at)
        if match is None:
            raise DescriptionError(f"${{{expression}}} has an argument that is not read here")
        literal = match["number"] or match["boolean"]
        found.append(yaml.safe_load(literal) if literal else match["text"])
        at = match.end()
    return found


__all__ = ["Description", "DescriptionError", "Resource", "read_description", "read_variables"]

ROOT = Path(__file__).resolve().parents[2]
S_YAML = ROOT / "s.yaml"
PROD_YAML = ROOT / "infra/serverless_devs/prod.yaml"
EXAMPLE_ENV = ROOT / "infra/serverless_devs/example.env"


class Resource(NamedTuple):
    """One thing that is deployed."""

    name: str
    component: str
    """``fc3`` for a function, ``fc3-domain`` for an address, or the folder of a component of our own."""
    props: dict[str, Any]
    """What is known only while deploying stands in it as it is written, for example ``${resources.x.output.arn}``."""
    actions: dict[str, list[dict[str, Any]]]


class Description(NamedTuple):
    """Everything that is deployed, by name, in the order of the file."""

    document: dict[str, Any]
    """The whole file, worked out, with what it extends."""
    resources: dict[str, Resource]

    def functions(self) -> Iterator[Resource]:
        return (resource for resource in self.resources.values() if resource.component == "fc3")

    def domains(self) -> Iterator[Resource]:
        return (resource for resource in self.resources.values() if resource.component == "fc3-domain")

    def layers(self) -> Iterator[Resource]:
        return (one for one in self.resources.values() if one.component not in {"fc3", "fc3-domain"})


def read_description(path: Path, environment: Mapping[str, str]) -> Description:
    """Read ``path`` with what ``environment`` says. Raises ``DescriptionError``; unreadable YAML is one, too."""
    document = _read(path, environment)
    resources = {
        name: Resource(name, str(one.get("component", "")), one.get("props", {}), one.get("actions", {}))
        for name, one in document["resources"].items()
    }
    return Description(document, resources)


def read_variables(path: Path) -> dict[str, str]:
    """Read a file of lines ``NAME=value``, as the one that ``infra.provision`` writes."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.removeprefix("export ").partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    document = _load(path)
    extended = document.pop("extend", None)
    if extended is None:
        return _worked_out(_with_templates(document), path.parent, environment)
    below = _load((path.parent / extended).resolve())
    # Expressions of either file see the variables of both, and count paths from their own folder.
    variables = _merged(below.get("vars", {}), document.get("vars", {}))
    lower = _worked_out(_with_templates(below | {"vars": variables}), (path.parent / extended).parent, environment)
    upper = _worked_out(document | {"vars": variables}, path.parent, environment)
    merged: dict[str, Any] = _merged(lower, upper)
    return merged


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DescriptionError(f"{path}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("resources"), dict):
        raise DescriptionError(f"{path}: describes no resources")
    return document


def _with_templates(document: dict[str, Any]) -> dict[str, Any]:
    """The document with each template's properties below those of the resources that extend it."""
    templates = document.get("template", {})
    resources = {}
    for name, resource in document["resources"].items():
        template = resource.get("extend", {}).get("name")
        if template is not None and template not in templates:
            raise DescriptionError(f"{name} extends the template {template}, which is not there")
        resources[name] = {**resource, "props": _merged(templates.get(template, {}), resource.get("props", {}))}
    return {**document, "resources": resources}


def _worked_out(document: dict[str, Any], folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    values = {"vars": document.get("vars", {}), "resources": document["resources"]}
    try:
        result: dict[str, Any] = worked_out(document, Scope(environment, folder, values))
    except RecursionError:
        raise DescriptionError("an expression leads to itself") from None
    return result


def _merged(lower: Any, upper: Any) -> Any:
    """Mappings key by key, lists place by place, else the upper one."""
    if isinstance(lower, dict) and isinstance(upper, dict):
        return lower | {key: _merged(lower[key], one) if key in lower else one for key, one in upper.items()}
    if isinstance(lower, list) and isinstance(upper, list):
        both = [_merged(below, above) for below, above in zip(lower, upper, strict=False)]
        return both + lower[len(both) :] + upper[len(both) :]
    return upper
