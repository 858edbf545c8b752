"""What calls for jobs and runs send and get."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from sluice.api.http.bodies.models import read_model
from sluice.api.run_view import JobSummary, RunSummary
from sluice.usecases.pulling.open_pull import PREVIEW_ROWS_MAX
from sluice.usecases.reading.read_task import PAGE_MAX
from sluice.usecases.running.open_asked import RunAsked


class RunBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which run. `tick` is a time by the job's schedule, as `2026-12-01T02:30`, or `last`: there is one run of each.

    Without it the run is of no time, and `:run.window_start` is no value that it has.
    """

    parameters: Annotated[dict[str, str | int | float | bool], Meta(max_length=100)] = {}
    tick: Annotated[str, Meta(max_length=40)] = ""

    def to_request(self) -> RunAsked:
        return RunAsked(self.parameters, self.tick)


def read_asked(body: bytes) -> RunAsked:
    """Read a body. Raises INVALID_REQUEST."""
    return read_model(body, model=RunBody).to_request()


class JobListView(Struct, frozen=True):
    jobs: list[JobSummary]


class RunListView(Struct, frozen=True):
    """A page of runs, newest first. `cursor` asks for the next page; null at the end. A page may be empty before."""

    runs: list[RunSummary]
    cursor: str | None
    damaged: list[str] = []


class RunListQuery(Struct, frozen=True, kw_only=True):
    job: Annotated[str, Meta(description="Only runs of this job.")] = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX, description="How many runs a page has at most.")] = 50
    cursor: Annotated[str, Meta(description="The `cursor` of the page before.")] = ""


class RunPreviewQuery(Struct, frozen=True, kw_only=True):
    rows: Annotated[int, Meta(ge=1, le=PREVIEW_ROWS_MAX, description="How many.")] = 20
