"""The pages of commissioned documents answer every heading of theirs, each row by a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    "docs/tiered-export.md": [
        "Key requirements", "Export request flow", "Size-based strategy", "ExportOptions and ExportJob",
        "Export endpoint", "Direct and chunked export", "Background job", "CSV stream writer",
        "Excel buffer generation", "Schema for jobs", "Frontend polling", "Performance", "Error handling",
        "Monitoring and logging", "Security considerations", "Testing strategy", "Deployment checklist",
        "Future enhancements",
    ],
    "docs/pipelines/commissioned.md": [
        "Core, plugins and engine", "Deployment, documentation, tests", "Further plugins",
        "Jobs, API, configuration", "Observability, scale",
    ],
}  # fmt: skip
LINK = re.compile(r"\[`(tests/[\w/.]+)`\]\((?:\.\./)+(tests/[\w/.]+)\)")


def rows(page: str) -> list[list[str]]:
    lines = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if not line.startswith("| asked for")]


@pytest.mark.parametrize("page", PAGES)
def test_every_part_of_the_document_is_on_the_page(page: str) -> None:
    assert re.findall(r"^## (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE) == PAGES[page]


@pytest.mark.parametrize("page", PAGES)
def test_every_row_names_a_test_that_is_there(page: str) -> None:
    assert len(rows(page)) >= len(PAGES[page])
    for asked, here, tested in rows(page):
        found = LINK.findall(tested)
        assert found or here.startswith("*not here*"), asked
        assert here, asked
        assert all(shown == place and (ROOT / place).is_file() for shown, place in found), asked
        assert LINK.sub("", tested).strip(" ,") == "", asked
