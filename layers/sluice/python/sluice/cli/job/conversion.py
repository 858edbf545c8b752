"""Translates the commissioned form of a job, with input, pipeline and output, into a job of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from sluice.domain.dataset import DefinitionsError
from sluice.domain.suggestion import did_you_mean

LANDING = "landing"
"""The connection of the folder that files are read from."""
_INPUT = {"type", "path", "has_header", "delimiter", "encoding", "columns"}
_OUTPUT = {"type", "path", "write_header", "delimiter"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_PROCESSORS = ("filter", "mapping")


class Converted(NamedTuple):
    """A job and its connection, as values of their files."""

    job: dict[str, Any]
    connection: dict[str, Any]


def convert_job(tree: object, name: str) -> Converted:
    """Translate. Raises ``DefinitionsError`` for what cannot be said in a job of ours: nothing is left out silently."""
    problems: list[str] = []
    if not _NAME.fullmatch(name):
        raise DefinitionsError([f"{name!r} is no name of a job: lower-case letters, digits, - and _"])
    if not isinstance(tree, Mapping) or not {"input", "output"} <= set(tree):
        raise DefinitionsError(["is no job of that form: it has input, pipeline and output"])
    source, folder = _source(_part(tree, "input", _INPUT, problems), problems)
    steps = _steps(tree.get("pipeline") or {}, problems)
    output = _output(_part(tree, "output", _OUTPUT, problems), problems)
    problems += [f"{key}: is nothing that is translated" for key in set(tree) - {"input", "pipeline", "output"}]
    if problems:
        raise DefinitionsError(problems)
    job = {"job": name, "source": source, **({"steps": steps} if steps else {}), "outputs": [output]}
    return Converted(job, {"name": LANDING, "type": "folder", "path": folder})


def _part(tree: Mapping[str, Any], name: str, known: set[str], problems: list[str]) -> Mapping[str, Any]:
    part = tree[name]
    if not isinstance(part, Mapping):
        problems.append(f"{name}: has a type and a path")
        return {}
    problems += [
        f"{name}.{key}: is nothing that is translated{did_you_mean(str(key), known)}"
        for key in part
        if key not in known
    ]
    return part


def _source(part: Mapping[str, Any], problems: list[str]) -> tuple[dict[str, Any], str]:
    if part.get("type") != "csv":
        problems.append("input.type: csv alone is translated")
    path = PurePosixPath(str(part.get("path", "")))
    if not path.name:
        problems.append("input.path: is missing")
    made: dict[str, Any] = {"type": "csv", "connection": LANDING, "path": path.name}
    if part.get("has_header") is False:
        made["header"] = False
    for key in ("delimiter", "encoding", "columns"):
        if key in part and (key, part[key]) != ("delimiter", ","):
            made[key] = part[key]
    return made, str(path.parent)


def _steps(pipeline: Any, problems: list[str]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    processors = (pipeline.get("processors") or []) if isinstance(pipeline, Mapping) else None
    if not isinstance(processors, list) or not all(isinstance(one, Mapping) for one in processors):
        problems.append("pipeline: has processors, a list of parts with a type")
        return steps
    for index, one in enumerate(processors):
        place, kind = f"pipeline.processors[{index}]", one.get("type")
        match kind:
            case "filter":
                condition, mode = str(one.get("condition", "")), one.get("mode", "include")
                if mode not in {"include", "exclude"}:
                    problems.append(f"{place}.mode: is include or exclude")
                steps.append({"filter": condition if mode == "include" else f"({condition}) is not true"})
            case "mapping":
                steps.append({"rename": dict(one.get("field_mappings") or {})})
            case _:
                problems.append(f"{place}.type: {kind!r} is none of {', '.join(_PROCESSORS)}")
    return steps


def _output(part: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    if part.get("type") != "csv":
        problems.append("output.type: csv alone is translated")
    path = PurePosixPath(str(part.get("path", "")))
    if not path.name:
        problems.append("output.path: is missing")
    if part.get("write_header") is False:
        problems.append("output.write_header: a file of ours always names its columns")
    options = {"csv_bom": False, "formula_guard": "off"}
    if part.get("delimiter", ",") != ",":
        options["csv_delimiter"] = part["delimiter"]
    return {"name": "file", "type": "file", "format": "csv", "filename": path.stem, "options": options}
