"""The tests that need the real cloud or minutes of work: left out unless asked for with ``--live`` or ``--huge``."""

from __future__ import annotations

import pytest

LEFT_OUT = {
    "live": "talks to the real cloud; tests/support/live_cloud.py says what it needs",
    "huge": "writes and reads files beyond 4 GiB, which takes minutes; tests/compat/README.md has the last result",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker, why in LEFT_OUT.items():
        parser.addoption(f"--{marker}", action="store_true", help=f"run the tests marked '{marker}' too: each {why}")


def pytest_configure(config: pytest.Config) -> None:
    for marker, why in LEFT_OUT.items():
        config.addinivalue_line("markers", f"{marker}: {why}; left out without --{marker}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unwanted = [marker for marker in LEFT_OUT if not config.getoption(f"--{marker}")]
    dropped = [item for item in items if any(item.get_closest_marker(marker) for marker in unwanted)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
