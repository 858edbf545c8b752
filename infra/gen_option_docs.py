"""Put the formats, and what the options say of themselves, into docs/files.md and the contract; `--check` compares."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from sluice.domain.options import ExportOptions
from sluice.tables.formats import FORMATS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/files.md"
CONTRACT = ROOT / "layers/sluice/proto/export.proto"
LINE_CHARS = 120
FIRST_OF_OURS = 20

_TABLE = re.compile(r"(?<=<!-- options -->\n).*(?=<!-- end of options -->)", re.DOTALL)
_FORMATS = re.compile(r"(?<=<!-- formats -->\n).*(?=<!-- end of formats -->)", re.DOTALL)
_MESSAGE = re.compile(r"(?<=message FormatOptions \{\n).*?(?=\n\})", re.DOTALL)
_FIELD = re.compile(r"^  (?P<field>(?:optional )?\w+ (?P<name>\w+) = (?P<number>[0-9]+);)", re.MULTILINE)
_OURS = "  // Absent means the default of the HTTP API's option of the same name."


def options() -> dict[str, dict[str, Any]]:
    """Every option's JSON schema, by name."""
    _, schemas = msgspec.json.schema_components([ExportOptions])
    properties: dict[str, dict[str, Any]] = schemas[ExportOptions.__name__]["properties"]
    return properties


def page() -> str:
    """docs/files.md as it should be."""
    text = _FORMATS.sub(lambda _: "".join(_formats()), PAGE.read_text(encoding="utf-8"))
    return _TABLE.sub(lambda _: "".join(_rows()), text)


def _formats() -> Iterator[str]:
    yield "| `format` | the file's name ends in | compressed | Content-Type |\n|---|---|---|---|\n"
    for name, known in FORMATS.items():
        plain, compressed = known.extensions
        packed = f"`.{compressed}`" if compressed != plain else "as well"
        yield f"| `{name}` | `.{plain}` | {packed} | `{known.media_type(ExportOptions(), 0)}` |\n"


def _rows() -> Iterator[str]:
    yield "| option | what it does, its default, and why |\n|---|---|\n"
    for name, schema in options().items():
        yield f"| `{name}` | {schema['description']} |\n"


def contract() -> str:
    """The wire contract as it should be."""
    return _MESSAGE.sub(lambda found: "\n".join(_fields(found[0])), CONTRACT.read_text(encoding="utf-8"))


def _fields(message: str) -> Iterator[str]:
    declared = options()
    for found in _FIELD.finditer(message):
        if int(found["number"]) == FIRST_OF_OURS:
            yield f"\n{_OURS}\n"
        comment = textwrap.wrap(declared[found["name"]]["description"], LINE_CHARS - len("  // "))
        yield from (f"  // {line}" for line in comment)
        yield f"  {found['field']}"


def check() -> None:
    """Exit with 1 when the committed page or contract is not what the options say."""
    made = {PAGE: page(), CONTRACT: contract()}
    stale = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    if stale:
        sys.exit(f"{', '.join(stale)}: stale, run python infra/gen_option_docs.py")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        CONTRACT.write_text(contract(), encoding="utf-8")
        PAGE.write_text(page(), encoding="utf-8")
