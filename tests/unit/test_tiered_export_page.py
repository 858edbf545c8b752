"""The page of the commissioned tiered export answers every heading of it, each row by a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tiered-export.md"
HEADINGS = [
    "Key requirements", "Export request flow", "Size-based strategy", "ExportOptions and ExportJob", "Export endpoint",
    "Direct and chunked export", "Background job", "CSV stream writer", "Excel buffer generation", "Schema for jobs",
    "Frontend polling", "Performance", "Error handling", "Monitoring and logging", "Security considerations",
    "Testing strategy", "Deployment checklist", "Future enhancements",
]  # fmt: skip
LINK = re.compile(r"\[`(tests/[\w/.]+)`\]\(\.\./(tests/[\w/.]+)\)")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if not line.startswith("| asked for")]


def test_every_part_of_the_document_is_on_the_page() -> None:
    assert re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == HEADINGS


def test_every_row_names_a_test_that_is_there() -> None:
    assert len(rows()) >= len(HEADINGS)
    for asked, here, tested in rows():
        found = LINK.findall(tested)
        assert found, asked
        assert here, asked
        assert all(shown == place and (ROOT / place).is_file() for shown, place in found), asked
        assert LINK.sub("", tested).strip(" ,") == "", asked
