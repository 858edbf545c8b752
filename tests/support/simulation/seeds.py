"""Seeds that failed once: kept in files, for ever."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from tests.support.simulation.chaos import MIXES, SHEETS_MIX, run_chaos
from tests.support.simulation.oracle import Violation
from tests.support.simulation.simulation import Simulation

FOLDER = Path(__file__).resolve().parents[2] / "seeds"
SCALE = "SLUICE_SIM_RUNS"


class Seed(NamedTuple):
    """One random schedule: the name of its mix and its number."""

    mix: str
    seed: int
    violation: str = ""

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.mix.replace(' ', '-')}-{self.seed}.json"


def kept_seeds() -> list[Seed]:
    return [Seed(**json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json"))]


def runs_of(default: int) -> int:
    """How many schedules to run: ``default``, or what the environment says."""
    return int(os.environ.get(SCALE, default))


def is_scaled() -> bool:
    """Whether somebody asked for more runs, and will wait for them."""
    return SCALE in os.environ


def replay(seed: Seed) -> Simulation:
    """Run the schedule; raises ``Violation``."""
    return run_chaos(seed.seed, next(mix for mix in (*MIXES, SHEETS_MIX) if mix.name == seed.mix))


def run_and_keep(seed: Seed) -> Simulation:
    """Run the schedule; when it fails, keep the seed in a file, to be committed with the fix."""
    try:
        return replay(seed)
    except Violation as violation:
        failed = seed._replace(violation=str(violation))
        failed.path.write_text(json.dumps(failed._asdict(), indent=2) + "\n")
        raise
