"""Reads s.yaml as Serverless Devs reads it: variables, templates, the file that another one extends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from infra.serverless_devs.expressions import DescriptionError, Scope, worked_out

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
