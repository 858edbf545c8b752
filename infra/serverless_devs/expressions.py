"""Works out the `${...}` expressions of s.yaml, the few kinds that ours uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
