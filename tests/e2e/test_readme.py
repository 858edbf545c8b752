"""What the README says is so: its commands work, and everything it points at exists."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from sluice.cli.app import COMMANDS
from tests.support.running_service import serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path for path in ROOT.rglob("*.md") if ".venv" not in path.parts and "node_modules" not in path.parts)


def block(title: str) -> str:
    found = re.search(rf"<!-- tested: {title} -->\n```bash\n(.*?)```", README, re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.slow
def test_the_curl_walkthrough_makes_the_workbook_it_says(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block("curl walkthrough")],
            cwd=tmp_path,
            env={**os.environ, "URL": service.url},
            check=True,
            timeout=60,
        )
    rows = CalamineWorkbook.from_path(str(tmp_path / "orders.xlsx")).get_sheet_by_index(0).to_python()
    assert rows == [
        ["id", "customer", "paid"],
        [1.0, "王伟", True],
        ["20250314000000000123", "=1+1", ""],
        [3.0, "O'Neil, John", False],
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_points_at_nothing_that_does_not_exist(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)`", page.read_text(encoding="utf-8"))}
    assert named <= targets


def test_the_tests_page_tells_of_every_folder() -> None:
    told = set(
        re.findall(r"^\| `([a-z0-9]+)` \|", (ROOT / "tests/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert told == {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_the_command_lines_page_tells_of_every_command() -> None:
    page = (ROOT / "layers/sluice/python/sluice/cli/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `sluice ([a-z]+)", page, re.MULTILINE)) == set(COMMANDS)


def test_the_decisions_page_tells_of_every_decision_in_order() -> None:
    folder = ROOT / "docs/decisions"
    told = re.findall(r"^\| \[\d{4}\]\(([^)]+)\)", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert told == sorted(path.name for path in folder.glob("0*.md"))
