"""The Python sender of the conformance suite: does the job on standard input, says how it goes on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from sluice.client import Client, Export, Receipt, SluiceApiError, Status, verify_webhook
from sluice.client.client import QUIET_S

HURRY = 50.0
"""How much faster this sender's clock runs: its pauses and waits are seconds, and the suite's are not."""


class HurriedClock:
    def __init__(self, hurry: float) -> None:
        self._hurry = hurry

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * self._hurry

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self._hurry)


class SourceError(Exception):
    """What a source of rows raises, as a database whose server has gone."""


class Sending:
    """One job."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.hurry = QUIET_S / job["look_s"] if "look_s" in job else HURRY
        made = rows(job, job.get("rows", 0))
        self.rows = {"list": Rows(job), "once": map(list, made)}.get(job.get("source", ""), made)
        self.sent = self.replayed = self.batches = self.retries = 0

    def run(self) -> None:
        job = self.job
        tries = job.get("settings", {}).get("tries", 8)
        with Client(
            job["url"],
            token=job.get("key", ""),
            retry_for_s=max(120, 5 * tries),
            clock=HurriedClock(self.hurry),
            on_retry=self.retrying,
        ) as client:
            export = client.export(job["task_id"]) if "task_id" in job else self.sent_by(client)
            if job.get("twice"):
                export = self.send(client)
            done = export.wait(job.get("wait_s", 120) * self.hurry, on_progress=self.waiting)
            if "save_to" in job:
                export.save_to(job["save_to"])
            say(
                event="done",
                task_id=export.id,
                rows=done.rows_written,
                warnings=done.warnings,
                watch_url=export.watch_url,
                sent=self.sent,
                replayed=self.replayed,
                batches=self.batches,
                retries=self.retries,
            )

    def sent_by(self, client: Client) -> Export:
        """As a program that tries again with the rows that it has."""
        for _ in range(self.job.get("again", 0)):
            try:
                return self.send(client)
            except SluiceApiError as error:
                say(event="progress", rows=self.sent, state=error.code)
        return self.send(client)

    def send(self, client: Client) -> Export:
        job = self.job
        how: dict[str, Any] = {
            "filename": job["filename"],
            "options": job.get("options"),
            "idempotency_key": job.get("idempotency_key"),
            "restart": job.get("restart", False),
            "on_batch": self.stored,
        }
        if "sheets" in job:
            sheets = job["sheets"].items()
            return client.send_sheets({name: (rows(job, one["rows"]), one["columns"]) for name, one in sheets}, **how)
        kind = job["filename"].rpartition(".")[2]
        return client.send_table(self.rows, format=kind, columns=job["columns"], **how)

    def stored(self, receipt: Receipt) -> None:
        self.sent += receipt.rows
        self.batches += 1
        self.replayed += receipt.replayed
        say(event="progress", rows=self.sent, state="open")

    def waiting(self, status: Status) -> None:
        say(event="progress", rows=self.sent, state=status.state)

    def retrying(self, _: str) -> None:
        self.retries += 1


def row(number: int, job: dict[str, Any]) -> list[object]:
    """Row ``number`` of the table that every sender sends; the suite knows it too."""
    quarters = number // 4 if number % 4 == 0 else number / 4
    amount = None if number % 7 == 0 else quarters
    cells: list[object] = [number, f'客户 {number} 😀, "quoted"\n=1+1', number % 2 == 0, amount]
    cells.append(f"2025031400000{number:07}")
    if number == job.get("odd_row"):
        odd = job["odd_value"]
        cells[job["odd_cell"]] = OWN_VALUES.get(odd, odd)
    return cells


def rows(job: dict[str, Any], count: int) -> Iterator[list[object]]:
    for number in range(1, count + 1):
        if number == job.get("fails_at"):
            raise SourceError("the database went away")
        yield row(number, job)


SHANGHAI = timezone(timedelta(hours=8, minutes=5, seconds=43))
OWN_VALUES: dict[object, object] = {
    "broken text": "broken \udcff text",
    "a moment of long ago": datetime(1900, 12, 31, tzinfo=SHANGHAI),
}


class Rows:
    """They begin anew at each reading."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job

    def __iter__(self) -> Iterator[list[object]]:
        return rows(self.job, self.job["rows"])


def say(**what: object) -> None:
    print(json.dumps(what, ensure_ascii=False), flush=True)


def main() -> None:
    job = json.load(sys.stdin)
    try:
        if "notice" in job:
            headers, secrets = job["headers"], job["secrets"]
            say(event="done", notice=verify_webhook(job["notice"].encode(), headers, secrets))
        else:
            Sending(job).run()
    except SourceError as error:
        say(event="failed", code="SOURCE", retryable=False, message=str(error))
    except SluiceApiError as error:
        say(
            event="failed",
            code=error.code,
            row=error.facts.get("row"),
            column=error.facts.get("column"),
            status=error.status,
            retryable=error.retryable,
            request_id=error.request_id,
            task_id=error.facts.get("task"),
            message=str(error),
        )
    except ValueError as error:  # what Python says of a wrong argument
        say(event="failed", code="USAGE", retryable=False, message=str(error))
    except OSError as error:  # what Python says where a file cannot be written
        say(event="failed", code="NOT_WRITTEN", retryable=False, message=str(error))


if __name__ == "__main__":
    main()
