"""Resolves the ${…} of a Serverless Devs file, as far as they can be known without a cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXPRESSION = re.compile(r"\$\{([^${}]*)\}")
CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)", re.DOTALL)
QUOTED = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)")\s*(?:,|$)""")
OUTPUT = re.compile(r"resources\.\w+\.output\.[\w.]+")
DEPTH_MAX = 20


class DeploymentError(ValueError):
    """The deployment file says something that cannot be run here."""


class Variables:
    """Knows what an expression stands for: ``scope`` holds vars, resources and, while one is rendered, this."""

    def __init__(self, folder: Path, env: Mapping[str, str], scope: Mapping[str, Any]) -> None:
        self._folder = folder
        self._env = env
        self._scope = scope

    def render(self, value: Any, depth: int = 0) -> Any:
        """Replace every expression in ``value``, innermost first. Raises DeploymentError for an unknown one."""
        if depth > DEPTH_MAX:
            raise DeploymentError(f"{value!r} refers to itself")
        if isinstance(value, dict):
            return {name: self.render(item, depth) for name, item in value.items()}
        if isinstance(value, list):
            return [self.render(item, depth) for item in value]
        if not isinstance(value, str) or not (found := EXPRESSION.search(value)):
            return value
        resolved = self.render(self._resolve(found[1].strip()), depth + 1)
        if found[0] == value:
            return resolved
        return self.render(value[: found.start()] + str(resolved) + value[found.end() :], depth)

    def _resolve(self, expression: str) -> Any:
        call = CALL.fullmatch(expression)
        return self._call(call["name"], call["arguments"]) if call else self._look_up(expression)

    def _call(self, name: str, arguments: str) -> Any:
        if name == "json":
            return json.loads(str(self._resolve(arguments)))
        given = [first or second for first, second in QUOTED.findall(arguments)]
        match name, given:
            case "env", [variable]:
                return self._env_or(variable, None)
            case "env", [variable, default]:
                return self._env_or(variable, default)
            case "file", [path]:
                return (self._folder / path).read_text(encoding="utf-8")
            case "path", [path]:
                return str((self._folder / path).resolve())
            case "config", ["AccountID"]:
                return self._env_or("AccountID", "1000000000000001")
            case _:
                raise DeploymentError(f"${{{name}({arguments})}} is not known here")

    def _env_or(self, variable: str, default: str | None) -> str:
        if variable in self._env:
            return self._env[variable]
        if default is None:
            raise DeploymentError(f"the environment variable {variable} is not set")
        return default

    def _look_up(self, path: str) -> Any:
        if OUTPUT.fullmatch(path):
            return path  # known only once it is deployed; nothing here needs to know it
        value: Any = self._scope
        for name in path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                raise DeploymentError(f"${{{path}}} is not known here")
            value = value[name]
        return value
