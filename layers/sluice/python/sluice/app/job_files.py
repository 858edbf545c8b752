"""Reads files of jobs: one job in each, and every mistake at once, with its line."""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from sluice.app.settings.yaml_tree import read_yaml
from sluice.domain.dataset import DefinitionsError
from sluice.domain.job import Job, Mistake, mistakes_of_job
from sluice.domain.suggestion import did_you_mean

_UNKNOWN = "Object contains unknown field `"
_MISSING = "Object missing required field `"


class JobFile(NamedTuple):
    """A job as its file says it."""

    path: Path
    job: Job
    version: str
    """Digest of all that it says."""
    lines: Mapping[str, int]
    """The line of each place, as ``outputs[1].mode``."""

    def worded(self, mistakes: Iterable[Mistake]) -> list[str]:
        """The mistakes as sentences, each behind its line and its place."""
        return [_worded(self.path, self.lines, mistake) for mistake in mistakes]


def load_job(path: Path) -> JobFile:
    """Read a job. Raises ``DefinitionsError`` with every mistake that can be seen without its source."""
    problems: list[str] = []
    lines: dict[str, int] = {}
    tree = read_yaml(path, path.name, problems, lines)
    if tree is None:
        raise DefinitionsError(problems)
    if not isinstance(tree, dict):
        raise DefinitionsError([f"{path.name}: is no job: a job begins with job: and its name"])
    mistakes = list(_mistakes_of_form(tree))
    if not mistakes:
        job = msgspec.convert(tree, Job)
        mistakes = mistakes_of_job(job)
        if not mistakes:
            return JobFile(path, job, version_of(job), lines)
    raise DefinitionsError([_worded(path, lines, mistake) for mistake in mistakes])


def version_of(job: Job) -> str:
    """Digest of all that a job says."""
    return hashlib.sha256(msgspec.json.encode(job, order="deterministic")).hexdigest()[:16]


def job_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a job's file, for editors."""
    schema = msgspec.json.schema(Job, schema_hook=_schema_of)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A job of Sluice", **schema}


def _schema_of(kind: type) -> dict[str, Any]:
    """Of the parts of a step, which are read where the columns are known."""
    if kind is object:
        return {"description": "Any value."}
    raise NotImplementedError


def _worded(path: Path, lines: Mapping[str, int], mistake: Mistake) -> str:
    """The line is that of the place itself, or of what it would be in."""
    place = mistake.place
    while place and place not in lines:
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    where = f"{path.name}:{lines[place]}" if place in lines else path.name
    return f"{where}: {mistake.place}: {mistake.sentence}" if mistake.place else f"{where}: {mistake.sentence}"


def _mistakes_of_form(tree: Mapping[object, object]) -> Iterator[Mistake]:
    """Each part is read on its own, so that a mistake in one hides none in another."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(Job)}
    hints = typing.get_type_hints(Job, include_extras=True)
    for name in tree:
        if name not in fields:
            yield Mistake(str(name), f"is nothing that a job has{did_you_mean(str(name), fields)}")
    for name, field in fields.items():
        if name not in tree:
            if field.required:
                yield Mistake("", f"{name} is missing")
            continue
        given, kind = tree[name], hints[field.name]
        element = _element_of(kind)
        if element is not None and isinstance(given, list):
            for index, one in enumerate(given):
                yield from _mistakes_of(one, element, f"{name}[{index}]")
            if given:
                continue
        yield from _mistakes_of(given, kind, name)


def _element_of(kind: Any) -> Any | None:
    """What a tuple of any length holds; None for what is none."""
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    arguments = typing.get_args(kind)
    return arguments[0] if typing.get_origin(kind) is tuple and arguments[1:] == (Ellipsis,) else None


def _mistakes_of(given: object, kind: Any, place: str) -> Iterator[Mistake]:
    try:
        msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        text, _, inside = str(error).partition(" - at ")
        where = place + inside.strip("`").removeprefix("$")
        if text.startswith(_UNKNOWN):
            name = text.removeprefix(_UNKNOWN).rstrip("`")
            known = sorted(_fields_at(kind, given))
            near = did_you_mean(name, known) or (f"; there are {', '.join(known)}" if known else "")
            yield Mistake(f"{where}.{name}", f"is nothing that can be said here{near}")
            yield from _mistakes_without(given, kind, place, name)
        elif text.startswith(_MISSING):
            yield Mistake(where, f"{text.removeprefix(_MISSING).rstrip('`')} is missing")
        else:
            yield Mistake(where, _said_of(text, kind))


def _mistakes_without(given: object, kind: Any, place: str, name: str) -> Iterator[Mistake]:
    """The mistakes that one unknown name has hidden, where it stood in the part itself."""
    if isinstance(given, dict) and name in given:
        yield from _mistakes_of({key: value for key, value in given.items() if key != name}, kind, place)


def _said_of(text: str, kind: Any) -> str:
    if text.startswith("Invalid value '"):  # a type: that is none
        tags = sorted(_tags_of(kind))
        value = text.removeprefix("Invalid value '").rstrip("'")
        return f"{value!r} is none of {', '.join(tags)}{did_you_mean(value, tags)}" if tags else text
    return text


def _structs_of(kind: Any) -> Iterator[type[msgspec.Struct]]:
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        for one in typing.get_args(kind):
            yield from _structs_of(one)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind


def _tags_of(kind: Any) -> list[str]:
    infos = (inspect.type_info(one) for one in _structs_of(kind))
    return [str(info.tag) for info in infos if isinstance(info, inspect.StructType) and info.tag is not None]


def _fields_at(kind: Any, given: object) -> Iterator[str]:
    """The names that the part may have: of its type, where there are several."""
    tag = given.get("type") if isinstance(given, dict) else None
    for struct in _structs_of(kind):
        info = inspect.type_info(struct)
        if isinstance(info, inspect.StructType) and info.tag in {None, tag}:
            yield from (field.encode_name for field in info.fields)
