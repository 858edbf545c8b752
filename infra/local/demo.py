"""`python -m infra.local.demo`: the product as the cloud runs it, on this machine, with the trouble of a real day."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from infra.emulators.function_compute.event_function import Invocation
from infra.emulators.function_compute.interpreter import Interpreter
from infra.emulators.function_compute.triggers import NEVER, TWICE, Delivery
from infra.emulators.oss import Fault, Hold
from infra.local.cloud import INPUT, OUTPUT, LocalCloud, local_cloud
from infra.local.demo_checks import check_cities, check_orders_csv, check_orders_xlsx, checked_calls
from sluice.client import Client, Export, SluiceApiError, Status
from sluice.demo.grpc_sender import city_rows, push_cities
from sluice.demo.http_sender import Sent, open_orders, push_orders, save_link
from sluice.domain.keys import is_shared_key

OUTPUT_FOLDER = Path("cloud-demo-output")
"""Ours, so it may be emptied."""
SWEEP_EVERY_S = 2
WAIT_S = 60
HALF_WAY_PARTS = 3
SMALL_ROWS = 60_000
"""A table of fewer rows may have one part only."""
MB = 1e6


class Mismatch(Exception):
    """Something is not as it should be."""


class Demo:
    """One day. ``say`` gets a line at a time."""

    def __init__(self, cloud: LocalCloud, folder: Path, say: Callable[[str], object]) -> None:
        self._cloud = cloud
        self._folder = folder
        self._say = say
        self._token = cloud.new_key("acme")
        self._relay = self._client("api_domain")
        self._query = self._client("query_domain")
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._relay.close()
        self._query.close()

    def run(self, rows: int, cities: int) -> None:
        """Everything, in order. Raises Mismatch, or AssertionError for a cell that differs."""
        self._tell_start()
        sent_cities = city_rows()[:cities]
        orders = rows - len(sent_cities)
        export = self.orders(orders)
        self.cities(sent_cities)
        self.csv(export, orders)
        self.tidy_up()

    def orders(self, rows: int) -> Export:
        """Push over HTTP; the composer is killed half-way."""
        export = open_orders(self._relay, rows)
        with self._one_put_and_one_update_for_each_batch() as expected:
            sent = push_orders(export, rows, lambda _: None)
            expected.append(sent)
        self._tell(
            f"orders: {sent.rows:,} rows over HTTP in {sent.batches:,} batches, out of order, {sent.repeats} of them"
            f" twice: {sent.seconds:.1f} s, {sent.rows / sent.seconds:,.0f} rows/s;"
            f" each batch cost one OSS PUT and one Tablestore UpdateRow"
        )
        hold = Hold()
        fault = Fault(hold, operation="UploadPart", bucket=OUTPUT, after=HALF_WAY_PARTS if rows > SMALL_ROWS else 0)
        self._cloud.oss.faults.add(fault)
        with self._sweeping():
            export.close(rows=rows, batches=sent.batches)
            closed_at = time.monotonic()
            hold.wait_reached(WAIT_S)
            killed = self._cloud.host.events["compose"].kill_running()
            hold.release()
            self._tell(f"orders: killed {killed} composer (SIGKILL) while it was uploading part {fault.passed + 1}")
            done = self._wait(export.id)
        self._tell(f"orders: the sweeper had it composed again, {time.monotonic() - closed_at:.1f} s after the close")
        self._query.export(export.id).save_to(self._folder / "orders.xlsx")
        cells = check_orders_xlsx(self._folder / "orders.xlsx", rows, str(done.checksum_sha256))
        self._tell(f"orders: orders.xlsx through the signed link: all {cells:,} cells are as sent, SHA-256 as stated")
        return export

    def cities(self, rows: list[tuple[str, ...]]) -> None:
        """Push over gRPC, in one call; the trigger is lost."""
        self._plan(NEVER)
        port = self._cloud.host.grpc_port("relay_grpc")
        started = time.monotonic()
        with self._sweeping():
            answer = push_cities(f"127.0.0.1:{port}", rows, token=self._token)
        if answer.error_code:
            raise Mismatch(f"{answer.error_code}: {answer.error_message}")
        self._tell(
            f"cities: {answer.record_count:,} rows over gRPC, the trigger was lost, the sweeper rang:"
            f" {time.monotonic() - started:.1f} s from the first row to the link"
        )
        save_link(answer.oss_url, self._folder / "cities.xlsx")
        cells = check_cities(self._folder / "cities.xlsx", rows, answer.checksum_sha256)
        self._tell(f"cities: cities.xlsx through the signed link: all {cells:,} cells are as sent, SHA-256 as stated")

    def csv(self, source: Export, rows: int) -> None:
        """Make another file from the same chunks; the trigger comes twice."""
        self._plan(TWICE)
        before = len(self._cloud.host.invocations("compose"))
        export = source.render(format="csv", filename="orders.csv")
        done = self._wait(export.id)
        self._settle()
        outcomes = sorted(outcome(run) for run in self._cloud.host.invocations("compose")[before:])
        if len(outcomes) != 2 or outcomes.count("completed") != 1:  # noqa: PLR2004 - invoked twice
            raise Mismatch(f"the doubled trigger gave {outcomes}")
        outcomes.remove("completed")
        self._tell(f"orders.csv: the trigger came twice: one composer made the file, to the other it was {outcomes[0]}")
        self._query.export(export.id).save_to(self._folder / "orders.csv")
        cells = check_orders_csv(self._folder / "orders.csv", rows, str(done.checksum_sha256))
        self._tell(f"orders.csv: all {cells:,} cells are as sent, SHA-256 as stated")

    def tidy_up(self) -> None:
        """Sweep once more; what the killed composer left is gone, and nothing failed for good."""
        self._check_triggers()
        swept = self._cloud.host.invoke("sweep", b'{"payload":"sweep"}')
        kept = [key for key in self._cloud.oss.keys(OUTPUT) if not is_shared_key(key)]
        left = [key for key in kept if not key.endswith(("export.xlsx", "export.csv"))]
        uploads = self._cloud.oss.upload_ids(OUTPUT)
        failed = self._cloud.host.calls["compose"].failed
        files = len(kept)
        if swept.outcome != "success" or left or uploads or failed or files != 3:  # noqa: PLR2004 - as many as made
            raise Mismatch(f"left behind: {swept.payload}, {left}, {uploads}, {failed}, {files} files")
        self._tell("the sweeper aborted what the killed composer had begun; three files are left, and nothing else")
        self._tell_runs()

    def _client(self, domain: str) -> Client:
        return Client(self._cloud.host.doors[domain].url, self._token)

    def _plan(self, delivery: Delivery) -> None:
        self._cloud.host.triggers["compose/manifests"].plan(delivery)

    def _wait(self, task_id: str) -> Status:
        return self._query.export(task_id).wait(WAIT_S, poll_s=1)

    def _check_triggers(self) -> None:
        """The sweeper would hide a trigger that never comes."""
        ways = [one.delivery.how for one in self._cloud.host.triggers["compose/manifests"].seen]
        if ways != ["now", "never", "twice"]:
            raise Mismatch(f"the trigger's events came {ways}")

    def _settle(self) -> None:
        self._cloud.oss.settle()
        if not self._cloud.host.calls["compose"].settle(WAIT_S):
            raise Mismatch("a composer does not end")

    @contextmanager
    def _sweeping(self) -> Iterator[None]:
        """Let the sweeper's timer fire while the block runs, more often than in the cloud."""
        with self._cloud.host.firing("sweep/every-minute", period_s=SWEEP_EVERY_S):
            yield
        self._cloud.host.calls["sweep"].settle(WAIT_S)

    @contextmanager
    def _one_put_and_one_update_for_each_batch(self) -> Iterator[list[Sent]]:
        """Count the calls that the stores got while batches were sent; the block adds what was sent."""
        puts, rows = len(self._cloud.oss.requests), len(self._cloud.ots.requests)
        sent: list[Sent] = []
        yield sent
        calls = sum(one.batches + one.repeats for one in sent)
        problem = checked_calls(self._cloud.oss.requests[puts:], self._cloud.ots.requests[rows:], calls, INPUT)
        if problem:
            raise Mismatch(problem)

    def _tell_start(self) -> None:
        note = self._cloud.interpreter.note
        self._tell(f"functions of s.yaml: {', '.join(self._cloud.host.deployment.functions)}")
        self._tell(note or "they run from the built layers on Python 3.12, with nothing else on the path")
        self._tell("OSS and Tablestore are emulators on this machine, called by the vendor's SDKs")

    def _tell_runs(self) -> None:
        """What it took; a composer that was killed never said how long loading took it."""
        runs = self._cloud.host.invocations("compose")
        done = [run for run in runs if run.import_s]
        peak, warm = max(run.peak_bytes for run in runs), min(run.import_s for run in done)
        loaded = max(run.import_peak_bytes for run in done)
        colds = [f"{custom.spec.resource} {custom.cold_start_s:.2f} s" for custom in self._cloud.host.custom.values()]
        self._tell(f"cold starts: {', '.join(colds)}")
        self._tell(
            f"composers: {len(runs)} runs, {sum(run.outcome == 'crash' for run in runs)} killed;"
            f" the most memory of a whole process {peak / MB:.0f} MB, of which loading takes {loaded / MB:.0f} MB"
            f" and {warm:.2f} s"
        )

    def _tell(self, line: str) -> None:
        self._say(f"[{time.monotonic() - self._started:6.1f} s] {line}")


def outcome(run: Invocation) -> str:
    """What a composer says of its task."""
    return run.payload.partition('"outcome":"')[2].partition('"')[0] or run.outcome


def run_demo(
    folder: Path, *, rows: int, cities: int, say: Callable[[str], object], interpreter: Interpreter | None = None
) -> None:
    """Run the day in ``folder``, which holds the files, the logs and the objects afterwards."""
    with local_cloud(folder, interpreter=interpreter) as cloud, Demo(cloud, folder, say) as demo:
        demo.run(rows, cities)


def main(arguments: list[str], run: Callable[..., None] = run_demo) -> int:
    """Run it; 1 when anything is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.demo", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of both tables together")
    parser.add_argument("--cities", type=int, default=sys.maxsize, help="at most so many of them are cities")
    parser.add_argument("--output", type=Path, help=f"a new or empty folder; without it {OUTPUT_FOLDER}, emptied first")
    options = parser.parse_args(arguments)
    if options.rows <= (cities := len(city_rows()[: options.cities])):
        parser.error(f"--rows: more than the {cities:,} cities that are among them; --cities takes fewer")
    if options.output is None:
        options.output = OUTPUT_FOLDER
        shutil.rmtree(options.output, ignore_errors=True)
    elif options.output.exists() and any(options.output.iterdir()):
        parser.error(f"--output: {options.output} is not empty, and nothing of it shall be lost")
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        run(
            options.output.resolve(), rows=options.rows, cities=options.cities, say=lambda line: print(line, flush=True)
        )
    except (Mismatch, SluiceApiError, AssertionError, RuntimeError, TimeoutError) as error:
        print(f"FAILED: {error}; the logs are in {options.output}", file=sys.stderr)
        return 1
    print(f"Files and logs: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
