"""`sluice bench` says what it measured, on what and when."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from tests.support.command_line import sluice


def test_each_format_is_measured_with_its_speed_size_and_memory(tmp_path: Path) -> None:
    report = json.loads(sluice("bench", "--rows", "2500", "--directory", tmp_path, "--json").stdout)
    assert [one["format"] for one in report["measured"]] == ["csv", "xlsx"]
    for one in report["measured"]:
        assert (one["rows"], one["batches"]) == (2500, 3)
        assert one["bytes"] > 50_000
        assert one["peak_bytes"] > 10_000_000
        assert abs(one["compose_rows_per_s"] * one["compose_s"] / 2500 - 1) < 0.2
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_labelled_with_date_and_machine() -> None:
    first, second, *lines = sluice("bench", "--rows", "1000").stdout.splitlines()
    date = datetime.strptime(first.split(",")[0], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - date).total_seconds()) < 300
    assert re.search(r"\d+ cores?.*Python 3\.", first)
    assert second.startswith("1,000 rows x 10 columns")
    assert [line.split()[0] for line in lines[:3]] == ["FORMAT", "csv", "xlsx"]
