"""`make mutants`: a seeded sample of changes to the core, each met by every test that runs the changed line.

    python -m tests.mutation [--count N] [--seed N] [--only PART] [--jobs N] [--again] [--learned]

First all tests of the core run once, to learn which of them run which line; ``--learned`` takes what the last such run
learned, where no test is new since. Then each change is made in a copy of the package; ``--again`` meets only the
changes that survived the last time. Minutes to an hour, so it is no part of `make test`. What no test noticed is listed
with its line; a change that changes nothing that can be seen belongs into ``equivalents.txt`` with its reason.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from coverage import CoverageData

from tests.mutation.mutate import Mutation, mutations

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sluice/python/sluice"
OUTPUT = ROOT / "build/mutants"
MET = OUTPUT / "met"
"""Which test ran which line."""
SURVIVORS = OUTPUT / "survivors"
RUN_S = 3_600
"""A test that hangs ends its run much sooner; how long a run takes on a busy machine says nothing."""
CORE = ("domain", "usecases", "tables", "adapters/directory", "adapters/sqlite", "adapters/workers")
SUITES = ("unit", "contracts", "adapters", "stateful")
"""Whose tests may notice a change, the quick ones first; those that run a line are known."""
WHOLE = {
    "domain": ("tests/faults",),
    "usecases": ("tests/faults",),
    "tables": (
        "tests/compat/test_rules_of_values.py",
        "tests/compat/test_xlsx_bad_inputs.py",
        "tests/properties",
        "tests/e2e/test_every_interface_reads_the_same.py",
    ),
    "adapters": ("tests/e2e/test_serve.py", "tests/e2e/test_stopped_composers.py"),
}
"""What a change is met by besides, that none of these noticed: to note which of them runs a line would take an hour."""
PYTEST = (sys.executable, "-m", "pytest", "-q", "-m", "not memory", "-p", "no:randomly", "-o", "timeout=60")


class Sampled(NamedTuple):
    path: Path
    text: str
    """The changed line."""
    mutation: Mutation

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}: {self.text}: {self.mutation.what}"


def sample(count: int, seed: int, only: str) -> list[Sampled]:
    """``count`` changes, drawn from all of them alike."""
    found = []
    for path in (path for part in CORE if part.startswith(only) for path in sorted((PACKAGE / part).rglob("*.py"))):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        found += [Sampled(path, lines[one.line - 1].strip(), one) for one in mutations(ast.parse(text))]
    return random.Random(seed).sample(found, min(count, len(found)))


def equivalents() -> dict[str, str]:
    """Changes that change nothing that can be seen, as they are printed, and why."""
    blocks = (Path(__file__).parent / "equivalents.txt").read_text(encoding="utf-8").split("\n\n")
    return dict(block.strip().split("\n", 1) for block in blocks if block.strip())


def learn() -> None:
    """Run the tests of the core once and note the lines that each of them runs."""
    options = ["-m", "not slow and not memory", "-n", "2", "--cov", "--cov-context=test", "--cov-report="]
    environment = os.environ | {"COVERAGE_FILE": str(MET)}
    subprocess.run([*PYTEST, *options, *(f"tests/{suite}" for suite in SUITES)], cwd=ROOT, env=environment, check=True)


class Tests:
    """Which tests run which line."""

    def __init__(self) -> None:
        self._data = CoverageData(str(MET))
        self._data.read()

    def of(self, one: Sampled) -> tuple[list[str], bool]:
        """The tests that run the changed line, and whether these are known to be all.

        Of a line that runs at import, those that run any of its module; others may read what it made.
        """
        by_line = self._data.contexts_by_lineno(str(one.path))
        first, last = one.mutation.line, one.mutation.last_line
        met = {name for line in range(first, last + 1) for name in by_line.get(line, ())}
        found = {name.partition("|")[0] for name in met - {""}}
        is_known = bool(found) and "" not in met
        if not is_known:
            found = {name.partition("|")[0] for names in by_line.values() for name in names} - {""}
        return sorted(found, key=lambda name: (SUITES.index(name.split("/")[1]), name)), is_known


def is_noticed(one: Sampled, tests: Iterable[str], shadow: Path) -> bool:
    """Run the tests over a copy of the package that has the change, until one fails or does not end.

    It notices the change if it fails again with it, and not without it: a busy machine fails a test now and then.
    """
    place = shadow / "sluice" / one.path.relative_to(PACKAGE)
    kept = place.read_bytes()
    place.write_text(ast.unparse(one.mutation.make()), encoding="utf-8")
    for compiled in (place.parent / "__pycache__").glob(f"{place.stem}.*"):
        compiled.unlink()  # never made again: it could be taken for that of another change in the same second
    try:
        found = failing(tests, shadow)
        if not found or not failing(found, shadow):
            return False
    finally:
        place.write_bytes(kept)
    return not failing(found, shadow)


def failing(tests: Iterable[str], shadow: Path) -> list[str]:
    """The first of the tests that fails over that copy; all of them where a run ends without saying which."""
    tests = list(tests)
    code, found = run(tests, shadow)
    if code not in {0, 1}:  # the change gave tests other names, or they do not load
        code, found = run(dict.fromkeys(name.partition("::")[0] for name in tests), shadow)
    return (found or tests) if code else []


def run(tests: Iterable[str], shadow: Path) -> tuple[int, list[str]]:
    """The exit code of a run that ends with the first test that fails, and the name of that test, if it has one."""
    listed, cache = shadow / "tests.txt", shadow / "cache"
    listed.write_text("\n".join(tests))
    shutil.rmtree(cache, ignore_errors=True)
    command = [*PYTEST, "-x", "-o", f"cache_dir={cache}", f"@{listed}"]
    environment = os.environ | {"PYTHONPATH": str(shadow), "PYTHONDONTWRITEBYTECODE": "1"}
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    try:
        code = process.wait(RUN_S)
    except subprocess.TimeoutExpired:
        code = 1
    finally:
        with suppress(ProcessLookupError):  # what it started ends with it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    failed = cache / "v/cache/lastfailed"
    return code, list(json.loads(failed.read_text())) if failed.exists() else []


def meet(sampled: list[Sampled], jobs: int) -> list[str]:
    """Those that no test noticed."""
    known, tests, shadows = equivalents(), Tests(), SimpleQueue[Path]()
    for number in range(jobs):
        shadow = OUTPUT / str(number)
        shutil.rmtree(shadow, ignore_errors=True)
        shutil.copytree(PACKAGE, shadow / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(shadow, quiet=1)
        shadows.put(shadow)

    def meet_one(one: Sampled) -> str:
        if str(one) in known:
            return "EQUIVALENT"
        chosen, are_all = tests.of(one)
        shadow = shadows.get()
        try:
            if chosen and is_noticed(one, chosen, shadow):
                return f"noticed by one of {len(chosen)}:"
            whole = WHOLE[one.path.relative_to(PACKAGE).parts[0]]
            whole = whole if are_all else ("tests/unit", *whole)
            return "noticed at length:" if is_noticed(one, whole, shadow) else "SURVIVED"
        finally:
            shadows.put(shadow)

    survivors = []
    with ThreadPoolExecutor(jobs) as threads:
        for number, (one, outcome) in enumerate(zip(sampled, threads.map(meet_one, sampled), strict=True), 1):
            print(f"{number}/{len(sampled)} {outcome} {one}", flush=True)
            survivors += [str(one)] if outcome.startswith("SURVIVED") else []
    return survivors


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", choices=["", *CORE])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--learned", action="store_true", help="take what the last run learned")
    options = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    sampled = sample(options.count, options.seed, options.only)
    if options.again:
        before = set(SURVIVORS.read_text().splitlines())
        meeting = [one for one in sampled if str(one) in before]
    else:
        meeting = sampled
    if not options.learned:
        learn()
    survivors = meet(meeting, options.jobs)
    equivalent = sum(str(one) in equivalents() for one in sampled)
    noticed = len(sampled) - len(survivors) - equivalent
    counted = len(sampled) - equivalent
    share = f"{noticed / counted:.1%} of {counted} changes were noticed"
    print(f"{share} (seed {options.seed}); {equivalent} more change nothing.")
    SURVIVORS.write_text("\n".join(survivors))


if __name__ == "__main__":
    main()
