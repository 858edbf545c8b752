"""What `make test` says of tests that did not run for want of a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import programs
from tests.support.programs import left_out_line, note_left_out, why_not


def test_the_last_line_counts_the_tests_and_has_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LEFT_OUT", tmp_path / "build/left-out")
    note_left_out([f"('x.py', 3, 'Skipped: {why_not('php')}')", "('x.py', 9, 'Skipped: no IPv6 here')"])
    note_left_out([why_not("soffice"), why_not("php")])
    note_left_out([])
    packages = programs.LEFT_OUT.read_text().split()
    assert (
        left_out_line(packages)
        == "3 tests did not run. This changes that: apt-get install libreoffice-calc-nogui php-cli"
    )
    assert left_out_line([]) == ""


def test_a_package_whose_name_has_a_digit_is_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LEFT_OUT", tmp_path / "build/left-out")
    note_left_out([why_not("php-sqlite")])
    assert programs.LEFT_OUT.read_text() == "php-sqlite3\n"
