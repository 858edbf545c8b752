"""`make mutants`: a seeded sample of changes to the core, each met by the tests of its folder.

    python -m tests.mutation [--count N] [--seed N] [--only PART]

Takes some ten seconds for each change, so it is no part of `make test`. What no test noticed is listed with its line;
a change that changes nothing belongs into `EQUIVALENTS` with its reason.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.mutation.mutate import Mutation, mutations

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sluice/python/sluice"
OUTPUT = ROOT / "build/mutants"
RUN_S = 600
TESTS = {
    "domain": ("tests/unit/domain", "tests/unit/usecases", "tests/contracts"),
    "usecases": ("tests/unit/usecases", "tests/faults", "tests/stateful"),
    "tables": ("tests/unit/tables", "tests/properties"),
    "adapters/directory": ("tests/unit/adapters", "tests/contracts"),
    "adapters/sqlite": ("tests/unit/adapters", "tests/contracts", "tests/adapters/test_stored_rows.py"),
    "adapters/workers": ("tests/unit/adapters", "tests/e2e/test_serve.py"),
}
"""The core, and where its tests are."""
EQUIVALENTS: dict[str, str] = {}
"""Changes that change nothing that can be seen, as they are printed, and why."""


class Sampled(NamedTuple):
    path: Path
    part: str
    mutation: Mutation

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{self.mutation.line}: {self.mutation.what}"


def sample(count: int, seed: int, only: str) -> list[Sampled]:
    """``count`` changes, drawn from all of them alike."""
    found = [
        Sampled(path, part, mutation)
        for part in TESTS
        if part.startswith(only)
        for path in sorted((PACKAGE / part).rglob("*.py"))
        for mutation in mutations(ast.parse(path.read_text(encoding="utf-8")))
    ]
    return random.Random(seed).sample(found, min(count, len(found)))


def is_noticed(one: Sampled, shadow: Path) -> bool:
    """Run the tests over a copy of the package that has the change. A run that does not end is noticed too."""
    place = shadow / "sluice" / one.path.relative_to(PACKAGE)
    kept = place.read_bytes()
    place.write_text(ast.unparse(one.mutation.make()), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        "not slow and not serial",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
    ]
    environment = os.environ | {"PYTHONPATH": str(shadow), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *TESTS[one.part]], cwd=ROOT, env=environment, capture_output=True, check=False, timeout=RUN_S
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        place.write_bytes(kept)
    return done.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", choices=["", *TESTS])
    options = parser.parse_args()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    shutil.copytree(PACKAGE, OUTPUT / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
    sampled = sample(options.count, options.seed, options.only)
    survivors = []
    for number, one in enumerate(sampled, 1):
        noticed = str(one) in EQUIVALENTS or is_noticed(one, OUTPUT)
        print(f"{number}/{len(sampled)} {'noticed' if noticed else 'SURVIVED'} {one}", flush=True)
        if not noticed:
            survivors.append(str(one))
    share = 1 - len(survivors) / len(sampled)
    print(f"{share:.1%} of {len(sampled)} changes were noticed (seed {options.seed}).")
    (OUTPUT / "survivors").write_text("\n".join(survivors))


if __name__ == "__main__":
    main()
