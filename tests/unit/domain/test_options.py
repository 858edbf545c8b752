"""Every option says what it does, its default and why that is the default, wherever options are shown."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.domain.options import ExportOptions

ROOT = Path(__file__).resolve().parents[3]
NAMES = ExportOptions.__struct_fields__
_SAYS = re.compile(r"(?P<what>.{15,}?) Default `(?P<default>[^`]*)`(?:, which is [^:]+)?: (?P<why>.{20,}\.)", re.DOTALL)


def schema() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components([ExportOptions])
    properties: dict[str, Any] = schemas["ExportOptions"]["properties"]
    return properties


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_does_its_default_and_why(name: str) -> None:
    said = schema()[name].get("description", "")
    found = _SAYS.fullmatch(said)
    assert found is not None, f"{name}: {said!r}"
    assert json.loads(found["default"]) == schema()[name]["default"] == getattr(ExportOptions(), name)


EMPTY = '""'


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_of_an_option_is_explained(name: str) -> None:
    choices = schema()[name].get("enum", ())
    said = schema()[name]["description"]
    missing = [choice for choice in choices if choice not in {"crlf", "lf"} and f"`{choice or EMPTY}`" not in said]
    assert not missing


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_and_the_page_say_the_same_as_the_option(name: str) -> None:
    said = schema()[name]["description"]
    contract = (ROOT / "layers/sluice/proto/export.proto").read_text(encoding="utf-8")
    comment = "\n".join(f"  // {line}" for line in textwrap.wrap(said, 115))
    assert re.search(rf"{re.escape(comment)}\n  (?:optional )?\w+ {name} = [0-9]+;", contract), (
        "run python infra/gen_option_docs.py"
    )
    page = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {said} |\n" in page, "run python infra/gen_option_docs.py"
