"""What the README says is so: its commands work, and everything it points at exists."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from sluice.cli.app import COMMANDS
from tests.support.page_tokens import (
    ELSEWHERE,
    OF_OTHERS,
    commands,
    pages,
    spans,
    unknown_name,
    wrong_in_command,
    wrong_path,
)
from tests.support.running_service import serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = pages()
HISTORY = {ROOT / "CHANGELOG.md"}
"""Says what things were called when they changed."""
DECISIONS = {page for page in PAGES if page.is_relative_to(ROOT / "docs/decisions")}
"""Say what things were called when it was decided; paths in them are kept right all the same."""


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


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in HISTORY], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_names_no_path_that_does_not_exist(page: Path) -> None:
    assert [token for token in spans(page) if wrong_path(page, token)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_no_command_target_or_module_that_does_not_exist(page: Path) -> None:
    wrong = {line: wrong_in_command(line) for line in commands(page)}
    assert {line: name for line, name in wrong.items() if name is not None} == {}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in HISTORY | DECISIONS], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_names_nothing_that_the_code_does_not_have(page: Path) -> None:
    assert [token for token in spans(page) if unknown_name(token)] == []


@pytest.mark.parametrize(
    ("halves", "unknown"),  # of which this file may not have the whole
    [
        (("read_", "variables"), False),
        (("Settings", ".limits()"), False),
        (("apply_", "transition(step)"), False),
        (("read_", "fables"), True),
        (("Settings", ".limits_", "of()"), True),
        (("Fables", "Cache"), True),
        (("AliyunOSS", "FullAccess"), False),
        (("non", "sense"), False),
    ],
)
def test_a_name_of_several_words_must_stand_in_the_code(halves: tuple[str, ...], unknown: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert unknown_name("".join(halves)) is unknown


def test_each_exception_is_named_by_a_page() -> None:
    named = {token for page in PAGES for token in spans(page)}
    assert set(OF_OTHERS) <= named
    assert {one for one in ELSEWHERE if not any(token.startswith(one) for token in named)} == set()


@pytest.mark.parametrize(
    ("token", "wrong"),
    [
        ("domain/task.py", False),
        ("domain/tusk.py", True),
        ("tables/writers/", False),
        ("tables/painters/", True),
        ("tests/unit/test_tidy.py::test_no_file_is_too_long", False),
        ("tests/unit/test_tidy.py::test_no_such_test", True),
        ("domain/limits.Timings", False),
        ("domain/limits.Tidings", True),
        ("tests/unit/tables/test_xlsx_*.py", False),
        ("tests/unit/tables/test_ods_*.py", True),
        ("functions/<name>/", False),
        ("/v1/exports", False),
        ("application/json", False),
        ("Asia/Shanghai", False),
        (".env", False),
    ],
)
def test_a_path_is_told_from_what_only_has_a_slash(token: str, wrong: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert wrong_path(ROOT / "docs/README.md", token) is wrong


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("make demo", None),
        ("make bench ONLY=relay", None),
        ("make tea", "tea"),
        ("sluice task show ID --data DIR", None),
        ("sluice task …", None),
        ("sluice task shew ID", "shew"),
        ("sluice taks", "taks"),
        ("sluice serve --date DIR", "--date"),
        (".venv/bin/sluice keys add TENANT", None),
        (".venv/bin/slice keys", ".venv/bin/slice"),
        ("python -m infra.provision up", None),
        (".venv/bin/python -m infra.prevision up", "infra.prevision"),
    ],
)
def test_a_command_is_followed_as_far_as_it_goes(line: str, wrong: str | None) -> None:
    assert wrong_in_command(line) == wrong


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


def test_the_glossary_has_at_most_forty_words_each_once_and_in_order() -> None:
    page = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*([a-z ]+)\*\* \|", page, re.MULTILINE)
    assert words == sorted(set(words))
    assert 20 < len(words) <= 40
