"""Words that the glossary replaced, looked for in names, in comments and docstrings, on pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.page_tokens import NOT_OURS, ROOT, pages

PACKAGE = "layers/sluice/python/sluice"
CHECKED = (PACKAGE, "infra", "functions")


class Retired(NamedTuple):
    """A word as a regular expression, and what is said instead."""

    word: str
    instead: str
    in_names: bool = True
    in_prose: bool = True


RETIRED = (
    Retired(r"(door)?bells?", "trigger"),
    Retired(r"rung|ringing|rang", "triggered"),
    Retired(r"(?<!key )rings?", "triggers", in_names=False),
    Retired(r"manners", "what it is: rules, limits, time-outs"),
    Retired(r"deeds?", "action, step"),
    Retired(r"told|tellings?", "what it is: fields, text, answer; or who logs, answers, reports"),
    Retired(r"whoever", "the caller, the process: name it"),
    Retired(r"(no|some|any)body", "no caller, another process: name it"),
    Retired(r"(un)?speakable", "redacted"),
    Retired(r"spell(s|ed|ings?)?", "format for text, encode for stored forms"),
    Retired(r"looks", "styles", in_prose=False),
    Retired(r"(the|of|about|own|new) looks", "styles", in_names=False),
    Retired(r"outside", "Ports", in_prose=False),
    Retired(r"faces?", "API, server"),
    Retired(r"stand[-_]ins?", "emulator, twin"),
    Retired(r"lanes?", "pool, concurrency"),
    Retired(r"patience", "time-out, deadline, retry", in_prose=False),
    Retired(r"held", "read, leased, buffered, accepted, kept: whichever it is"),
)

ALLOWED = {
    "bells": "the old name of a metric, for one release",
    "held_sequences": "a field of the gRPC contract",
}
"""Names that stay, and why."""


_ANY = re.compile(rf"\b(?:{'|'.join(one.word for one in RETIRED)})\b", re.IGNORECASE)
"""Most lines have none."""
_ANY_IN_NAMES = re.compile(rf"(?:^|_)(?:{'|'.join(one.word for one in RETIRED if one.in_names)})(?:_|$)")


class Found(NamedTuple):
    """One retired word."""

    place: str
    word: str
    instead: str


def sources() -> Iterator[Path]:
    """Python files that are checked; generated ones are not."""
    for folder in CHECKED:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not NOT_OURS & set(path.parts) and not path.is_relative_to(ROOT / PACKAGE / "proto"):
                yield path


def retired_words() -> Iterator[Found]:
    """Find them in names, comments, docstrings and pages."""
    for path in sources():
        place = str(path.relative_to(ROOT))
        code = path.read_text(encoding="utf-8")
        yield from in_names(place, code)
        yield from in_prose(place, prose_of_code(code))
    for page in pages():
        if page.name == "CHANGELOG.md" or page.is_relative_to(ROOT / "docs/decisions"):  # these are history
            continue
        yield from in_prose(str(page.relative_to(ROOT)), prose_of_page(page.read_text(encoding="utf-8")))


def in_names(place: str, code: str) -> Iterator[Found]:
    """Compare the words of each name, in whichever style; names in f-strings too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                names.add(name)
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                names.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.add(name)
    for name in sorted(names - ALLOWED.keys()):
        for instead in _said_instead(name):
            yield Found(place, name, instead)


@cache
def _said_instead(name: str) -> list[str]:
    words = "_".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)).lower()
    named = [one for one in RETIRED if one.in_names] if _ANY_IN_NAMES.search(words) else []
    return [one.instead for one in named if re.search(rf"(?:^|_)(?:{one.word})(?:_|$)", words)]


def in_prose(place: str, lines: Iterator[tuple[int, str]]) -> Iterator[Found]:
    for number, line in lines:
        for one in RETIRED if _ANY.search(line) else ():
            for match in re.finditer(rf"\b(?:{one.word})\b", line, re.IGNORECASE) if one.in_prose else ():
                yield Found(f"{place}:{number}", match[0], one.instead)


def prose_of_code(code: str) -> Iterator[tuple[int, str]]:
    """Comments and docstrings, without what they quote as code."""
    for token in tokenize.generate_tokens(io.StringIO(code).readline) if _ANY.search(code) else ():
        if token.type == tokenize.COMMENT:
            yield token.start[0], re.sub(r"noqa: [A-Z0-9, ]+|type: ignore\[[^]]*\]", "", token.string)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            text = re.sub(r"``[^`]*``", lambda found: "\n" * found[0].count("\n"), node.value.value)
            yield from enumerate(text.splitlines(), start=node.lineno)


def prose_of_page(text: str) -> Iterator[tuple[int, str]]:
    """Lines of a page without blocks of code, and without what stands in backticks."""
    is_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith("    "):
            yield number, re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)
