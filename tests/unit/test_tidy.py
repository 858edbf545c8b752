"""The sizes and names of the architecture page hold for every file."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import plain_words
from tests.support.plain_words import ALLOWED, in_names, in_prose, prose_of_code, prose_of_page, retired_words

pytestmark = pytest.mark.slow  # every file is parsed

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "layers/sluice/python/sluice"
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "misc"}
FILE_LINES_MAX = 400
TEST_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
NESTING_MAX = 3
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)
VERBS = {
    "apply", "bound", "cancel", "close", "collect", "compose", "count", "deliver", "find", "ingest", "load", "make",
    "open", "plan", "preview", "process", "put", "read", "reconcile", "render", "repair", "reuse", "sweep", "wait",
    "work", "write",
}  # fmt: skip


NOUNS = {"calls_outside", "certificate", "lease", "params_cache", "run_values", "schedule"}
"""What use cases share and is no step of its own."""


def sources() -> list[Path]:
    return [path for path in SOURCE.rglob("*.py") if "proto" not in path.parts]


def checks() -> list[Path]:
    return list((ROOT / "tests").rglob("*.py"))


class Function(NamedTuple):
    name: str
    lines: int
    depth: int


class Facts(NamedTuple):
    """What is asked about a file; its syntax tree, which takes a hundred times the room, is not kept."""

    docstring: str
    functions: list[Function]
    classes: list[str]
    imported: set[str]
    """The modules it imports from; a type alone, as that of UUIDs, brings no chance."""
    doubled: list[int]
    """The lines of dictionaries that have a key twice."""


@cache
def facts(path: Path) -> Facts:
    tree = ast.parse(path.read_text())
    found = Facts(ast.get_docstring(tree) or "", [], [], set(), [])
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.functions.append(Function(node.name, (node.end_lineno or 0) - node.lineno + 1, depth(node)))
        elif isinstance(node, ast.ClassDef):
            found.classes.append(node.name)
        elif isinstance(node, ast.Import):
            found.imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and [one.name for one in node.names] != ["UUID"]:
            found.imported.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:
            keys = [ast.dump(key) for key in node.keys if key]
            if len(keys) != len(set(keys)):
                found.doubled.append(node.lineno)
    return found


def depth(node: ast.AST) -> int:
    """How deep blocks stand in blocks; an ``elif`` is not deeper than its ``if``."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_too_long() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in [*sources(), *checks()]}
    lines_max = {path: TEST_LINES_MAX if "tests" in path.parts else FILE_LINES_MAX for path in lines}
    assert {named(path): count for path, count in lines.items() if count > lines_max[path]} == {}


def test_no_function_is_too_long() -> None:
    long = {
        f"{named(path)} {f.name}": f.lines
        for path in [*sources(), *checks()]
        for f in facts(path).functions
        if f.lines > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_no_function_is_nested_too_deep() -> None:
    deep = [f"{named(path)} {f.name}" for path in sources() for f in facts(path).functions if f.depth > NESTING_MAX]
    assert deep == []


def test_every_module_says_in_one_line_what_it_is_for() -> None:
    first_lines = {path: facts(path).docstring.partition("\n")[0] for path in sources()}
    assert [named(path) for path, line in first_lines.items() if not line.endswith((".", ":"))] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [named(path) for path in [*sources(), *checks()] if path.stem in FORBIDDEN_NAMES] == []


def test_files_of_use_cases_are_verbs() -> None:
    files = [path.stem for path in (SOURCE / "usecases").rglob("*.py") if path.stem not in {"__init__", *NOUNS}]
    assert [name for name in files if name.partition("_")[0] not in VERBS] == []


def test_every_folder_a_newcomer_lands_in_has_a_readme() -> None:
    folders = ["functions", "layers", "infra", "tests", "tests/support", "tests/bench", "layers/sluice/python/sluice"]
    folders += [named(path) for path in SOURCE.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    assert [folder for folder in folders if not (ROOT / folder / "README.md").exists()] == []


def test_a_class_name_has_one_meaning() -> None:
    """The client is left out: it is a program of its own, and speaks of the same things from the other side."""
    places: dict[str, list[str]] = {}
    for path in sources():
        if "client" not in path.relative_to(SOURCE).parts:
            for name in facts(path).classes:
                places.setdefault(name, []).append(named(path))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_the_clock_and_chance_are_only_touched_by_their_adapter() -> None:
    guilty = [
        named(path)
        for path in sources()
        if path.name != "system_clock.py" and facts(path).imported & {"time", "random", "secrets", "uuid"}
    ]
    assert guilty == []


def test_only_the_settings_read_the_environment() -> None:
    guilty = [named(p) for p in sources() if p.name != "validation.py" and "os.environ" in p.read_text()]
    assert guilty == []


def test_no_dictionary_has_a_key_twice() -> None:
    """Ruff compares keys that are texts or names; ours are mostly members of enumerations."""
    files = [*sources(), *checks(), *(ROOT / "infra").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    doubled = [f"{named(path)}:{line}" for path in files for line in facts(path).doubled]
    assert doubled == []


def test_no_comment_sends_its_reader_to_another() -> None:
    lazy = re.compile(r"#\s*(?:--|-)?\s*as above\b")
    files = [*sources(), *checks(), *(ROOT / "infra").rglob("*.py"), ROOT / "pyproject.toml"]
    assert [named(path) for path in files if lazy.search(path.read_text())] == []


def test_no_name_or_text_uses_a_word_that_the_glossary_replaced() -> None:
    assert [f"{place}: {word} (say: {instead})" for place, word, instead in retired_words()] == []


def test_the_exceptions_to_plain_words_are_used() -> None:
    texts = [path.read_text() for path in plain_words.sources()]
    texts += [path.read_text() for path in (ROOT / "layers/sluice/proto").glob("*.proto")]
    assert [name for name in ALLOWED if not any(name in text for text in texts)] == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("class HeldBell: ...", ["HeldBell", "HeldBell"]),
        ("def f(told, *, spell_it=1): return x.the_face", ["spell_it", "the_face", "told"]),
        ("f(whoever=1)", ["whoever"]),
        ("try: ...\nexcept E as nobody: ...", ["nobody"]),
        ("print(f'{told}')", ["told"]),
        ("key_ring = interface = surface = belle = retold = told_off_", ["told_off_"]),
        ("held_sequences = looks_at = 1", ["looks_at"]),
    ],
)
def test_a_retired_word_is_found_in_names_of_any_form(code: str, words: list[str]) -> None:
    assert [found.word for found in in_names("", code)] == words


def test_a_retired_word_is_found_in_comments_docstrings_and_pages_but_not_in_quoted_code() -> None:
    code = '"""Whoever rings.\n\nIs ``told`` so."""\nx = "nobody"  # noqa: E501 - the face\n'
    assert [found[:2] for found in in_prose("a.py", prose_of_code(code))] == [
        ("a.py:4", "face"),
        ("a.py:1", "rings"),
        ("a.py:1", "Whoever"),
    ]
    page = "It looks at `told`.\nThe looks of [a face](told.md).\n```\nbell\n```\na stand-in\n"
    assert [found[:2] for found in in_prose("a.md", prose_of_page(page))] == [
        ("a.md:2", "The looks"),
        ("a.md:2", "face"),
        ("a.md:6", "stand-in"),
    ]
