"""The page of reports answers every number: by a test that is there, or by saying that it is not closed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/proof.md"
NUMBERS = {
    "attack": [str(number) for number in range(1, 18)],
    "defect": [*map(str, range(1, 36)), *map(str, range(36, 58)), "36a", "36b"],
    "deployment": [*(f"W{number}" for number in range(1, 4)), *(f"L{number}" for number in range(1, 5))]
    + [f"U{number}" for number in range(1, 11)],
    "fresh attack": list("ABCDEFGHIJKLM"),
    "third fresh attack": ["C-F1", "C-F2", "C-F3", "C-F4", "C-F5"],
    "sixth fresh attack": ["F-1", "F-2", "F-3", "F-4", "F-5", "F-6", "F-7", "F-8", "F-9", "F-10", "F-11"],
    "seventh fresh attack": [f"G-{number}" for number in range(1, 14)],
    "eighth fresh attack": ["H-1", "H-2", "H-3", "H-4", "H-5", "H-6", "H-7", "H-8", "H-9", "H-10", "H-11"],
    "attack on the senders": [f"S-{number}" for number in range(1, 29)],
    "tenth fresh attack": ["H-1", "H-2", "H-3", "H-4", "H-5"],
    "eleventh fresh attack": ["K-1", "K-2", "K-3", "K-4", "K-5", "K-6", "K-7", "K-8", "K-9", "K-10", "K-12", "K-14"],
    "newcomer to jobs": [f"N-{number}" for number in range(1, 8)],
    "attack on jobs": [*(f"P-C{number}" for number in range(1, 5)), *(f"P-H{number}" for number in range(1, 12))],
    "ninth fresh attack": ["I-1", "I-2", "I-3", "I-4", "I-5", "I-6", "I-7", "I-8", "I-10", "I-11"],
    "second fresh attack": [
        "A-F1",
        "A-F2",
        "A-F3",
        "A-F4",
        "A-F4b",
        "A-F5",
        "A-F9",
        "A-F10",
        "A-F11",
        "A-F13",
        "A-F15",
        "B-F1",
        "B-F2",
        "B-F3",
        "B-F4",
        "B-F5",
        "B-F7",
        "B-F9",
        "B-F11",
        "B-F12",
        "B-F16",
        "B-F18",
    ],
    "fourth fresh attack": [f"D-F{number}" for number in range(1, 11)],
    "fifth fresh attack": [f"E-F{number}" for number in range(1, 21)],
}


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if "|---" not in line]


@pytest.mark.parametrize("report", NUMBERS)
def test_every_number_of_a_report_has_a_row(report: str) -> None:
    reported = " ".join(row[1] for row in rows())
    named = re.findall(
        rf"(?<!fresh )(?<!second ){report}s? ((?:[0-9A-Z-]+[ab]?(?:, (?=[0-9A-Z-]+[ab]?\b))?)+)", reported
    )
    found = {number for numbers in named for number in numbers.split(", ")}
    assert [number for number in NUMBERS[report] if number not in found] == []


def test_every_row_has_a_test_or_says_that_it_is_not_closed() -> None:
    bare = [row for row in rows() if row[1] != "where it was reported" and not re.search(r"\]\(", row[2])]
    assert [row for row in bare if "not closed" not in row[1]] == []
