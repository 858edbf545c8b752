"""`make bench`: everything, side by side, in one run; one page of output.

    python -m tests.bench [--quick] [--rounds N] [--only SECTION ...] [--record | --redraw]

Results go to `build/bench/results.json`, plots beside them; with `--record` also into the pages.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.bench.bench_cold_start import measure_starts
from tests.bench.bench_crowd import measure_crowds
from tests.bench.bench_memory import measure_memory
from tests.bench.bench_pipelines import measure_steps
from tests.bench.bench_pull import measure_pulls
from tests.bench.bench_relay import measure_relay
from tests.bench.bench_senders import measure_senders
from tests.bench.bench_service import measure_links
from tests.bench.bench_writers import measure_growth_by_columns, measure_growth_by_rows, measure_writers
from tests.bench.page import page_of
from tests.bench.plan import FULL, QUICK, Plan
from tests.bench.plots import draw
from tests.bench.recording import APART, HERE, RESULTS, record, with_apart
from tests.bench.results import Results, load_results, save_results
from tests.bench.sender_table import versions

OUTPUT = HERE.parents[1] / "build/bench"
MAKE = "make bench"
SECTIONS: dict[str, Callable[[Plan], list[object]]] = {
    "writers": lambda plan: list(measure_writers(plan)),
    "by_rows": lambda plan: list(measure_growth_by_rows(plan)),
    "by_columns": lambda plan: list(measure_growth_by_columns(plan)),
    "relay": lambda plan: list(measure_relay(plan)),
    "links": lambda plan: list(measure_links(plan)),
    "memory": lambda plan: list(measure_memory(plan)),
    "crowds": lambda plan: list(measure_crowds(plan)),
    "starts": lambda plan: list(measure_starts(plan.rounds) if plan.starts else []),
    "senders": lambda plan: list(measure_senders(plan)),
    "pull": lambda plan: list(measure_pulls(plan)),
    "pipelines": lambda plan: list(measure_steps(plan)),
}
"""The fields of ``Results`` that are measured, in this order."""


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the page, draw, and record where that is asked for."""
    options = _options(arguments)
    if options.redraw:
        results = load_results(RESULTS)
    else:
        plan = QUICK if options.quick else FULL
        plan = msgspec.structs.replace(plan, rounds=options.rounds) if options.rounds else plan
        OUTPUT.mkdir(parents=True, exist_ok=True)
        results = run(plan, options.only or list(SECTIONS), command=_command(options))
    print(f"\n{page_of(results)}")
    if options.record and options.only:
        record(with_apart(load_results(RESULTS), results, options.only))
        return
    if options.record or options.redraw:
        record(results)
    _draw(results, HERE if options.record or options.redraw else OUTPUT)


def run(plan: Plan, sections: list[str], *, command: str) -> Results:
    """Measure the sections of ``plan``, one after the other; what is there is kept if a later one fails."""
    results = Results(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=machine(),
        command=command,
        load=os.getloadavg()[0],
        rounds=plan.rounds,
        versions=versions() if "senders" in sections else {},
    )
    started = time.monotonic()
    for name in sections:
        before = time.monotonic()
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        setattr(results, name, SECTIONS[name](plan))
        results.seconds = time.monotonic() - started
        save_results(results, OUTPUT / "results.json")
        print(f"{time.monotonic() - before:.0f} s", file=sys.stderr, flush=True)
    return results


def machine() -> str:
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: a smoke, not a measurement")
    parser.add_argument("--rounds", type=int, help="how often the writers and the relay are measured")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="some sections")
    parser.add_argument("--record", action="store_true", help="rewrite the pages and the plots from this whole run")
    parser.add_argument("--redraw", action="store_true", help="the same from the recorded run; nothing is measured")
    options = parser.parse_args(arguments)
    if options.record and (options.quick or not set(options.only or []) <= APART):
        alone = ", ".join(sorted(APART))
        parser.error(f"only a whole run is recorded, or --only {alone}: ratios are of one run, side by side")
    return options


def _command(options: argparse.Namespace) -> str:
    """What has to be said to make for the same run."""
    words = [MAKE, *(["QUICK=1"] if options.quick else []), *([f"ROUNDS={options.rounds}"] if options.rounds else [])]
    return " ".join([*words, *([f"ONLY='{' '.join(options.only)}'"] if options.only else [])])


def _draw(results: Results, folder: Path) -> None:
    try:
        files = draw(results, folder)
    except ImportError:
        print("no plots: `make bench` installs what draws them", file=sys.stderr)
        return
    print(f"plots: {', '.join(str(file.relative_to(HERE.parents[1])) for file in files)}", file=sys.stderr)


if __name__ == "__main__":
    main()
