"""docs/files.md cannot rot: every rule names tests, and every test it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from sluice.tables.file_plan import Warned

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/files.md"
_PROOF = re.compile(r"\[`(?P<name>test_\w+)`\]\((?P<path>[^)]+)\)")
_LINK = re.compile(r"\]\((?P<path>[^)#]+)\)")


def rules() -> list[str]:
    """Every rule of the page, with its proofs."""
    rules_only = PAGE.read_text(encoding="utf-8").partition("\n## Warnings\n")[0]
    return re.findall(r"^\* .*(?:\n  .*)*", rules_only, re.MULTILINE)


@cache
def functions_of(path: Path) -> frozenset[str]:
    return frozenset(
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    )


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule[2:50])
def test_every_rule_names_tests_that_there_are(rule: str) -> None:
    proofs = list(_PROOF.finditer(rule))
    assert proofs
    missing = [proof["name"] for proof in proofs if proof["name"] not in functions_of(PAGE.parent / proof["path"])]
    assert missing == []


def test_the_page_has_a_rule_for_everything_a_file_is_made_of() -> None:
    headings = re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:-2] == [
        *("Formats", "Values, every format"),
        *("Values in XLSX", "Workbooks", "Several tables in one workbook", "Values in CSV", "CSV files"),
        *("JSON Lines and Parquet", "File names", "Whole files"),
    ]
    assert len(rules()) >= 80


def test_every_link_of_the_page_leads_to_a_file() -> None:
    paths = {found["path"] for found in _LINK.finditer(PAGE.read_text(encoding="utf-8"))}
    assert [path for path in paths if not (PAGE.parent / path).is_file()] == []


def test_every_warning_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [kind for kind in Warned if f"`{kind.value}`" not in text.partition("\n## Warnings\n")[2]] == []
