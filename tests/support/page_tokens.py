"""What pages set in code: which of it is a path of the repository, which is a command, and what is wrong with it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sluice.cli.app import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers/sluice/python/sluice"
NOT_OURS = {".venv", "node_modules", "build", ".hypothesis", "demo-output", "cloud-demo-output"}

ELSEWHERE = {
    ".env": "written by `infra.provision up`",
    "build/": "made by the build",
    "tasks.sqlite3": "in a data directory",
    "keys.json": "in a data directory",
    "keys.json.lock": "in a data directory",
    "objects/": "in a data directory",
    "connections/": "in a folder of definitions",
    "datasets/": "in a folder of definitions",
    "staging/": "in a data directory",
    "uploads/": "in a data directory",
    "in/v1/": "keys of the bucket",
    ".manifest.json": "the end of keys of the bucket",
    "src/schema.json": "in the repository of Serverless Devs",
    "COM1.txt": "a name that Windows reserves",
    "yes/": "a format of a boolean column",
}
"""Tokens with the form of a path that are none of the repository; one that ends with ``/`` stands for all below it."""

OF_OTHERS = {
    "AsyncOTSClient": "of Tablestore's SDK",
    "caching_sha2_password": "of MySQL",
    "dateRange": "of the commissioned architecture",
    "selectedIds": "of the commissioned architecture",
    "selectedColumns": "of the commissioned architecture",
    "requirePermissions": "of the commissioned architecture",
    "OutOfMemory": "what Function Compute calls it",
    "requestPayload": "of Function Compute's failure messages",
    "responseContext": "of Function Compute's failure messages",
    "_x000D_": "an escape of Excel's",
    "_xHHHH_": "the form of such an escape",
}
"""Names on pages that stand nowhere in our code, and whose they are. Names of Alibaba Cloud begin with ``Aliyun``."""

_CODE_IN = (
    "clients",
    "layers/sluice",
    "infra",
    "functions",
    "tests",
    "s.yaml",
    "Makefile",
    "pyproject.toml",
    "config.example.yaml",
)
_NO_CODE = {".md", ".png", ".lock", ".pyc"}
_NAME = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:\(.*\))?")
_COMPOUND = re.compile(r"_|[a-z][A-Z]")
_FENCE = re.compile(r"^( *)```[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINKED = re.compile(r"\[`[^`\n]+`\]\([^)\n]+\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PATH = re.compile(r"[\w.*-]*(?:/[\w.*-]+)*/?")
_EXTENSION = re.compile(
    r"\.(cfg|css|env|html|in|ini|js|json|lock|md|mjs|php|proto|py|pyi|service|sh|sqlite3|toml|txt|ya?ml)$"
)
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*$")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def pages() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.md") if not NOT_OURS & set(path.parts))


def spans(page: Path) -> list[str]:
    """What stands between single backticks, outside of blocks of code and of links, which lead to what they name."""
    return _CODE.findall(_LINKED.sub("", _FENCE.sub("", page.read_text(encoding="utf-8"))))


def commands(page: Path) -> Iterator[str]:
    """Lines of blocks and spans that begin with a command of ours."""
    blocks = [block for _, block in _FENCE.findall(page.read_text(encoding="utf-8"))]
    for line in [*spans(page), *(line for block in blocks for line in block.splitlines())]:
        for part in re.split(r"&&|\|", line.partition(" #")[0]):
            words = [word for word in part.split() if word != "$"]
            while words and _ASSIGNMENT.match(words[0]):
                words.pop(0)
            if words and (
                words[0] in {"make", "sluice"} or words[0].startswith(".venv/bin/") or words[:2] == ["python", "-m"]
            ):
                yield " ".join(words)


def wrong_path(page: Path, token: str) -> bool:
    """Whether ``token`` has the form of a path of the repository and leads nowhere.

    A path is relative to its page, a folder above it, or the package; ``*`` stands for anything. What has a
    placeholder, ``<name>`` or ``{name}``, is no path.
    """
    path, _, test = token.partition("::")
    bases = [base for base in (page.parent, *page.parents) if base.is_relative_to(ROOT)] + [PACKAGE]
    if not _is_path(path, bases):
        return False
    names = (path.rstrip("/"), f"{path}.py")  # a module is named with its ending or without
    found = [match for base in bases for name in names for match in base.glob(name)]
    module, _, name = path.rpartition(".")
    if not found and name.isidentifier():  # a name in a module: domain/limits.Limits
        found = [base / f"{module}.py" for base in bases if (base / f"{module}.py").exists()]
        return not any(re.search(rf"\b{name}\b", one.read_text(encoding="utf-8")) for one in found)
    return not found or (bool(test) and not any(f"def {test}(" in one.read_text(encoding="utf-8") for one in found))


def _is_path(path: str, bases: list[Path]) -> bool:
    """Whether ``path`` ends as a file does, or begins with a folder that exists, or says that it is a folder."""
    if not _PATH.fullmatch(path) or path.startswith("/"):
        return False
    if any(path == name or (name[-1] == "/" and path.startswith(name)) for name in ELSEWHERE):
        return False
    first, slash, _ = path.partition("/")
    is_below = bool(slash) and any((base / first).is_dir() for base in bases)
    return bool(_EXTENSION.search(path)) or path.endswith("/") or is_below


def unknown_name(token: str) -> bool:
    """Whether ``token`` is a name of several words that stands nowhere in the code: it was renamed, or never was.

    The variables of settings are made from the settings' names, so they need not stand anywhere.
    """
    if not _NAME.fullmatch(token) or not _COMPOUND.search(token) or token in OF_OTHERS:
        return False
    words = re.findall(r"\w+", token.partition("(")[0])
    return any(word not in code_words() and not word.startswith(("SLUICE_", "Aliyun")) for word in words)


@cache
def code_words() -> frozenset[str]:
    """Every word of every file that is no page, and the files' own names."""
    words: set[str] = set()
    for start in _CODE_IN:
        for path in [ROOT / start, *(ROOT / start).rglob("*")]:
            if (
                path.is_file()
                and path.suffix not in _NO_CODE
                and not NOT_OURS & set(path.parts)
                and path != Path(__file__)
            ):
                words |= {path.stem, *re.findall(r"\w+", path.read_text(encoding="utf-8", errors="ignore"))}
    return frozenset(words)


def wrong_in_command(line: str) -> str | None:
    """What a command line names that does not exist."""
    try:
        words = shlex.split(line)
    except ValueError:  # cut inside a quotation
        words = line.split()
    if words[0].startswith(".venv/bin/"):
        program = Path(words[0]).name
        if not (Path(sys.prefix) / "bin" / program).exists():
            return words[0]
        words[0] = program
    match words:
        case ["make", *targets]:
            return next(
                (word for word in targets if re.fullmatch(r"[a-z-]+", word) and word not in make_targets()), None
            )
        case ["sluice", *arguments]:
            return _wrong_in_sluice(arguments)
        case ["python", "-m", module, *_]:
            return None if find_spec(module) else module
        case _:
            return None


@cache
def make_targets() -> frozenset[str]:
    return frozenset(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


@cache
def sluice_command(name: str) -> Any:
    return load_command(name)


def _wrong_in_sluice(arguments: list[str]) -> str | None:
    """Follow the words down the tree of commands; then compare options. An upper-case word or ``…`` may be anything."""
    if not arguments or not arguments[0].islower() or arguments[0].startswith("-"):
        return None
    if arguments[0] not in COMMANDS:
        return arguments[0]
    command, rest = sluice_command(arguments[0]), arguments[1:]
    if hasattr(command, "commands") and rest and rest[0].isascii() and rest[0].islower():
        if rest[0] not in command.commands:
            return rest[0]
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    options = (word.strip("[]").partition("=")[0] for word in rest if re.match(r"\[?--?\w", word))
    return next((option for option in options if option not in known), None)
