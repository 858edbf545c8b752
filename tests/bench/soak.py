"""Hours of exports through one service: whether what it holds stays flat. `make soak MINUTES=60`.

Narrow and wide tables, small and large batches, files fetched and deleted, a sender that is refused: what a service
meets in a day, as fast as the machine goes. Prints the memory of the service as it goes, and fails if it grew.
``--record`` keeps the samples in ``soak.csv`` and draws them, ``--redraw`` draws those that were kept.
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from sluice.client import Client, SluiceApiError
from tests.bench.plots import draw_soak
from tests.support.http_calls import CALLER
from tests.support.running_service import ServiceProcess

MIB = 1 << 20
SAMPLES = Path(__file__).parent / "soak.csv"
SENDERS = 4
SAMPLE_S = 5
GROWTH_BYTES_MAX = 16 * MIB
"""The service remembers what 1,024 tasks were opened with, and allocators keep what they have: less is no growth."""
WIDTHS = (2, 10, 60, 400)
CELLS = (2_000, 20_000, 90_000)


class Sample(NamedTuple):
    at_s: float
    rss: int
    exports: int


def growth(samples: Sequence[Sample]) -> int:
    """Bytes between the median of the second quarter, when all caches are warm, and that of the last one."""
    quarter = len(samples) // 4
    if not quarter:
        raise ValueError("too short to say anything: give it more minutes")
    warm, last = samples[quarter : 2 * quarter], samples[-quarter:]
    return int(statistics.median(one.rss for one in last) - statistics.median(one.rss for one in warm))


def rss_of(pid: int) -> int:
    """Resident memory of a process, without that of its composers."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


class Senders:
    """Make exports until they are stopped."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.exports = 0
        self.stopped = threading.Event()

    def run(self, seed: int) -> None:
        chance = random.Random(seed)
        with Client(self._url) as client:
            while not self.stopped.is_set():
                self._export(client, chance)
                self.exports += 1

    def _export(self, client: Client, chance: random.Random) -> None:
        width = chance.choice(WIDTHS)
        rows = chance.choice(CELLS) // width
        columns = [{"name": f"column {index}"} for index in range(width)]
        export = client.open(format=chance.choice(("csv", "xlsx", "jsonl")), filename="soak", columns=columns)
        for sequence in range(1, chance.randint(2, 4)):
            export.put(sequence, [[f"{chance.random()}"] * width for _ in range(rows)])
        try:
            export.put(9, [["too", "wide"] * width])
        except SluiceApiError as error:
            if error.code != "ROW_WIDTH_MISMATCH":
                raise
        export.close()
        export.wait(600)
        CALLER.get(export.link().url).raise_for_status()
        if chance.random() < 1 / 2:
            CALLER.delete(f"{self._url}/v1/exports/{export.id}").raise_for_status()


def soak(minutes: float, folder: Path) -> list[Sample]:
    """Run the senders against a service over ``folder`` and sample its memory."""
    service = ServiceProcess(folder / "data", env={"SLUICE_LOGGING_LEVEL": "WARN"}, anew=True)
    senders, samples, began = Senders(service.url), list[Sample](), time.monotonic()
    try:
        with ThreadPoolExecutor(SENDERS) as threads:
            runs = [threads.submit(senders.run, seed) for seed in range(SENDERS)]
            while (at_s := time.monotonic() - began) < 60 * minutes and not any(run.done() for run in runs):
                time.sleep(SAMPLE_S)
                samples.append(Sample(at_s, rss_of(service.process.pid), senders.exports))
                print(f"{at_s:7.0f} s  {samples[-1].exports:6,} exports  {samples[-1].rss / MIB:6.1f} MB", flush=True)
            senders.stopped.set()
            for run in runs:
                run.result()
    finally:
        service.kill()
    return samples


def record(samples: Sequence[Sample]) -> None:
    with SAMPLES.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Sample._fields)
        writer.writerows((round(one.at_s), one.rss, one.exports) for one in samples)


def recorded() -> list[Sample]:
    with SAMPLES.open(newline="", encoding="utf-8") as file:
        return [Sample(float(at_s), int(rss), int(exports)) for at_s, rss, exports in list(csv.reader(file))[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--redraw", action="store_true")
    options = parser.parse_args()
    if options.redraw:
        samples = recorded()
    else:
        folder = Path(tempfile.mkdtemp(prefix="sluice-soak-"))
        try:
            samples = soak(options.minutes, folder)
        finally:
            shutil.rmtree(folder)
    if options.record:
        record(samples)
    if options.record or options.redraw:
        draw_soak([(one.at_s, one.rss, one.exports) for one in samples], SAMPLES.parent)
    grown = growth(samples)
    print(f"grown by {grown / MIB:.1f} MB from the second quarter to the last; {GROWTH_BYTES_MAX / MIB:.0f} MB may be")
    if grown > GROWTH_BYTES_MAX:
        sys.exit("the service grows")


if __name__ == "__main__":
    main()
