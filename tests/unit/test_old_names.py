"""Old names end with the release that docs/operations.md gives them, whether or not it is remembered.

When this fails because the version has come: remove the alias, its tests and its row of the table.
"""

from __future__ import annotations

import re
from pathlib import Path

from sluice import __version__
from sluice.app.settings.source import RENAMED
from sluice.app.telemetry import metrics
from sluice.app.telemetry.metric_families import OLD_PREFIX, Families
from sluice.cli import app
from sluice.cli.task.commands import commands as task_commands

PAGE = Path(__file__).parents[2] / "docs/operations.md"
EVERY_METRIC = "every metric with the prefix of the earlier service"


def aliases() -> set[str]:
    """What the code still takes or shows under an old name, as the table calls it."""
    found = set(RENAMED) | set(metrics._OLD_VALUES.values())
    families = Families()
    found |= {EVERY_METRIC for metric in families.old_names.collect() if metric.name.startswith(OLD_PREFIX)}
    said = ((metric.name, metric.documentation) for metric in families.registry.collect())
    found |= {f"{name}_total" for name, documentation in said if documentation.startswith("The old name")}
    hidden = [one.name or "" for one in task_commands.registered_commands if one.hidden]
    return found | {f"sluice task {name}" for name in hidden}


def table() -> dict[str, str]:
    """Each row's first cell, and the release with which its old name ends."""
    section = PAGE.read_text().partition("### Names that changed")[2].partition("\nThe commissioned metrics")[0]
    rows = re.findall(r"^\| (.*?) \| .*? \| ([0-9]+\.[0-9]+) \|$", section, re.MULTILINE)
    return dict(rows)


def number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def left_over(version: str) -> set[str]:
    """Aliases that are there although ``version`` was to end them."""
    ended = [row for row, until in table().items() if number(version) >= number(until)]
    return {alias for alias in aliases() if any(alias in row for row in ended)}


def test_no_old_name_outlives_its_release() -> None:
    assert left_over(__version__) == set(), (
        "this version ends these old names: remove them, and their rows of the table"
    )


def test_each_old_name_has_a_row_with_its_end_and_each_row_an_old_name() -> None:
    assert {alias for alias in aliases() if not any(alias in row for row in table())} == set()
    assert [row for row in table() if not any(alias in row for alias in aliases())] == []


def test_the_next_release_that_ends_one_would_be_stopped() -> None:
    """Of what there is now: all of it, once the last has come; none of it before the first."""
    ends = sorted(number(until) for until in table().values())
    assert left_over("999.0.0") == aliases()
    assert not ends or left_over(f"{ends[0][0]}.{ends[0][1] - 1}.9") == set()
    assert not ends or left_over(f"{ends[0][0]}.{ends[0][1]}.0rc1") != set()


def test_no_other_command_is_hidden_without_a_row() -> None:
    """A former name of a command is one that the list does not show."""
    groups = {name: app.load_command(name) for name in app.COMMANDS}
    hidden = {
        f"sluice {name} {one.name}"
        for name, group in groups.items()
        for one in getattr(group, "commands", {}).values()
        if one.hidden
    }
    assert {one for one in hidden if not any(one in row for row in table())} == set()
