"""For all tests: options ask for those that are left out; collecting ten thousand is kept cheap."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.support.long_first import long_first
from tests.support.programs import note_left_out

settings.register_profile("any_machine", deadline=None)  # a slow or busy machine is no finding
settings.load_profile("any_machine")

LEFT_OUT = {
    "live": "talks to the real cloud; tests/support/live_cloud.py says what it needs",
    "huge": "writes and reads files beyond 4 GiB, which takes minutes; tests/compat/README.md has the last result",
    "more_languages": "runs the clients of JavaScript, Java and Go, which start slowly or have large toolchains",
    "tools": "runs tools beside the product: the command line of Serverless Devs, the sampler of mutants, benchmarks",
    "php_versions": "runs PHP as WebAssembly, for which npm installs half a gigabyte",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker, why in LEFT_OUT.items():
        parser.addoption(f"--{marker}", action="store_true", help=f"run the tests marked '{marker}' too: each {why}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LongFirst())
    for marker, why in LEFT_OUT.items():
        config.addinivalue_line("markers", f"{marker}: {why}; left out without --{marker}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unwanted = [marker for marker in LEFT_OUT if not config.getoption(f"--{marker}")]
    dropped = {item for item in items if any(item.get_closest_marker(marker) for marker in unwanted)}
    if dropped:
        config.hook.pytest_deselected(items=[item for item in items if item in dropped])
        items[:] = [item for item in items if item not in dropped]


class LongFirst:
    """The last to order tests: behind what makes their order random."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        items[:] = long_first(items, lambda item: item.get_closest_marker("long") is not None, workers)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Remember what did not run for want of a program: `make test` says so in its last line."""
    skipped = terminalreporter.stats.get("skipped", [])
    note_left_out(str(report.longrepr) for report in skipped)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage: what is made here stays, and later looks pass over it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
