"""What a table costs the program that has it: sent from PHP to a service, or written in PHP by others."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.bench.bound_service import tree_cpu_seconds
from tests.bench.orders import Orders
from tests.bench.plan import Plan
from tests.bench.results import Sent
from tests.bench.sender_table import FOUR, ONE, OURS, SENDERS, Sender, can_run, versions
from tests.support.running_service import ServiceProcess, serving
from tests.support.slow_link import slow_link

ROOT = Path(__file__).resolve().parents[2]
LINK_MS = 20
"""There and back."""
BLOCK_ROWS = 1_000
SMALL = 10
"""Memory is looked at with so many times fewer rows too."""
_RUNS = itertools.count()


class Way(NamedTuple):
    """One line of the table: a subject, how much it sends, and how far."""

    sender: Sender
    rows: int
    link_ms: int = 0


class Took(NamedTuple):
    """One run, in a process of its own."""

    pushed_s: float
    finished_s: float
    cpu_s: float
    service_cpu_s: float
    peak_bytes: int
    grown_bytes: int


class Stage(NamedTuple):
    """A service, the same at the end of a long link, and a folder with the table."""

    service: ServiceProcess
    far_port: int
    folder: Path

    def run(self, way: Way) -> Took:
        """Send the table once; its numbers are new to the service, so that it has no file of it yet."""
        port = self.far_port if way.link_ms else self.service.http_port
        job = {
            "rows": way.rows,
            "first": 1 + next(_RUNS) * 10_000_000,
            "table": str(self.folder / "table.json"),
            "folder": str(self.folder),
            "url": f"http://127.0.0.1:{port}",
            "grpc": self.service.grpc_target,
            "settings": way.sender.settings,
        }
        pid = self.service.process.pid
        before_s = tree_cpu_seconds(pid)
        said = subprocess.run(
            way.sender.command, cwd=ROOT, input=json.dumps(job).encode(), stdout=subprocess.PIPE, check=True
        )
        service_cpu_s = tree_cpu_seconds(pid) - before_s if way.sender in OURS else 0.0
        return Took(service_cpu_s=service_cpu_s, **json.loads(said.stdout))


def measure_senders(plan: Plan) -> list[Sent]:
    """All that can run here, in turn, again and again; the slow ones once."""
    with stage() as here:
        return measure_ways(here, list(ways(plan.sender_rows)), plan.rounds)


@contextmanager
def stage() -> Iterator[Stage]:
    with (
        TemporaryDirectory() as folder,
        serving(Path(folder) / "data", anew=True) as service,
        slow_link(service.http_port, LINK_MS / 2000) as far_port,
    ):
        write_table(Path(folder) / "table.json")
        yield Stage(service, far_port, Path(folder))


def write_table(path: Path) -> None:
    """The block of rows that subjects repeat, as PDO gives them from MySQL: decimals and moments are texts."""
    orders = Orders(BLOCK_ROWS)
    typed = zip(orders.typed(), orders.texts(), strict=True)
    rows = [[*values[:4], texts[4], values[5], texts[6], *values[7:]] for values, texts in typed]
    columns = {spec.name: spec.type.value for spec in orders.specs}
    path.write_text(json.dumps({"columns": columns, "rows": rows}), encoding="utf-8")


def ways(rows: int) -> Iterator[Way]:
    """What is here: each subject with all rows, then ours with fewer, and over the link."""
    found = versions()
    here = [sender for sender in SENDERS if can_run(sender, found)]
    yield from (Way(sender, rows) for sender in here)
    yield from (Way(sender, rows // SMALL) for sender in here if sender.name == FOUR)
    yield from (Way(sender, rows, LINK_MS) for sender in here if sender.name in {FOUR, ONE})


def measure_ways(here: Stage, wanted: Sequence[Way], rounds: int) -> list[Sent]:
    runs: dict[Way, list[Took]] = {way: [] for way in wanted}
    for turn in range(rounds):
        for way in wanted:
            if turn == 0 or not way.sender.slow:
                runs[way].append(here.run(way))
    return [sent_of(way, took) for way, took in runs.items()]


def sent_of(way: Way, runs: Iterable[Took]) -> Sent:
    of_one = list(runs)
    return Sent(
        subject=way.sender.name,
        rows=way.rows,
        link_ms=way.link_ms,
        pushed_s=[run.pushed_s for run in of_one],
        finished_s=[run.finished_s for run in of_one],
        cpu_s=[run.cpu_s for run in of_one],
        service_cpu_s=[run.service_cpu_s for run in of_one],
        peak_bytes=max(run.peak_bytes for run in of_one),
        grown_bytes=max(run.grown_bytes for run in of_one),
    )
