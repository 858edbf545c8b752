"""Jobs that read, change and deliver rows, and their runs."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from sluice.api.http.bodies.body import JSON
from sluice.api.http.bodies.jobs import (
    JobListView,
    RunBody,
    RunListQuery,
    RunListView,
    RunPreviewQuery,
    read_asked,
)
from sluice.api.http.bodies.models import PreviewView
from sluice.api.http.errors import request_id_of
from sluice.api.http.json_body import read_json_body
from sluice.api.http.operation import Answer, HttpCall, NoQuery, Operation, RequestBody, json_response
from sluice.api.http.routes.exports import idempotency_key_of
from sluice.api.http.routes.openapi import BODY_CODES, IDEMPOTENCY_KEY, TASK_CODES
from sluice.api.http.server.middleware import TRACE_PARENT_KEY
from sluice.api.http.source_calls import run_on_source
from sluice.api.run_view import JobView, RunView, summary_of_job, summary_of_run, view_job, view_run
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode
from sluice.domain.keys import TaskRef, make_ref
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.usecases.running.find_jobs import KnownJob
from sluice.usecases.running.find_runs import last_runs, list_runs
from sluice.usecases.running.open_asked import RunAsked, open_asked, preview_asked
from sluice.usecases.running.open_run import cancel_run, read_run, status_of_run
from sluice.usecases.sending.open_export import OpenRequest


async def list_jobs(call: HttpCall[NoQuery]) -> Response:
    return await call.run_listing(_list_jobs, call)


def _list_jobs(call: HttpCall[NoQuery]) -> Response:
    tenant, now = call.principal.tenant, call.ports.clock.now()
    found = call.resources.service.jobs.of(tenant)
    last = last_runs(call.ports, tenant, found.keys())
    return json_response(JobListView([summary_of_job(known, last.get(name), now) for name, known in found.items()]))


async def read_schema(call: HttpCall[NoQuery]) -> Response:
    return json_response(await call.run(call.resources.service.jobs.schema))


async def read_job(call: HttpCall[NoQuery]) -> Response:
    return await call.run_listing(_read_job, call)


def _read_job(call: HttpCall[NoQuery]) -> Response:
    known = _known(call)
    last = last_runs(call.ports, call.principal.tenant, {known.job.job})
    return json_response(view_job(known, last.get(known.job.job), call.ports.clock.now()))


async def open_job_run(call: HttpCall[NoQuery]) -> Response:
    known = await call.run(_known, call)
    asked = await _asked(call)
    request = OpenRequest(
        ExportParams(format=ExportFormat.JSONL, filename=""),
        idempotency_key=idempotency_key_of(call),
        request_id=request_id_of(call.request.scope),
        trace_parent=call.request.scope[TRACE_PARENT_KEY],
    )
    opened = await run_on_source(call, open_asked, known, call.principal.tenant, asked, request)
    view = view_run(await call.run(status_of_run, call.ports, opened.task))
    headers = {"Location": f"/v1/runs/{view.run}"}
    if opened.replayed:
        headers["Idempotent-Replayed"] = "true"
    return json_response(view, 201, headers)


async def preview_job(call: HttpCall[RunPreviewQuery]) -> Response:
    known = await call.run(_known, call)
    asked = await _asked(call)
    return json_response(PreviewView(*await run_on_source(call, preview_asked, known, asked, call.query.rows)))


async def list_job_runs(call: HttpCall[RunListQuery]) -> Response:
    return await call.run_listing(_list_runs, call)


def _list_runs(call: HttpCall[RunListQuery]) -> Response:
    query = call.query
    page = list_runs(call.ports, call.principal.tenant, job=query.job, limit=query.limit, cursor=query.cursor)
    return json_response(
        RunListView([summary_of_run(one) for one in page.runs], page.cursor or None, list(page.damaged))
    )


async def read_job_run(call: HttpCall[NoQuery]) -> Response:
    return json_response(view_run(await call.run(read_run, call.ports, _run_ref(call))))


async def cancel_job_run(call: HttpCall[NoQuery]) -> Response:
    return json_response(view_run(await call.run(cancel_run, call.ports, _run_ref(call))))


def _known(call: HttpCall[Any]) -> KnownJob:
    return call.resources.service.jobs.find(call.principal.tenant, call.request.path_params["job"])


def _run_ref(call: HttpCall[Any]) -> TaskRef:
    return make_ref(call.principal.tenant, call.request.path_params["run_id"])


async def _asked(call: HttpCall[Any]) -> RunAsked:
    return await read_json_body(call, read_asked, default=RunAsked())


_PLAN_CODES = (
    *BODY_CODES,
    ErrorCode.JOB_NOT_FOUND,
    ErrorCode.SOURCE_INVALID,
    ErrorCode.SOURCE_UNAVAILABLE,
    ErrorCode.SOURCE_TOO_SLOW,
)
_RUN_CODES = (*TASK_CODES, ErrorCode.JOB_NOT_FOUND)
_BODY = RequestBody({JSON: RunBody}, examples={JSON: {"parameters": {"min_amount": 500}}}, required=False)

OPERATIONS = (
    Operation(
        id="listJobs",
        method="GET",
        path="/v1/jobs",
        summary="List the tenant's jobs, with their last runs and when the next are due",
        endpoint=list_jobs,
        scope=Scope.READ,
        answers={200: Answer("The jobs.", {JSON: JobListView})},
    ),
    Operation(
        id="getJobSchema",
        method="GET",
        path="/v1/jobs/schema",
        summary="Get the JSON Schema of a job's file",
        endpoint=read_schema,
        scope=Scope.READ,
        answers={200: Answer("The schema.", {JSON: {"type": "object"}})},
        codes=(ErrorCode.JOB_NOT_FOUND,),
    ),
    Operation(
        id="getJob",
        method="GET",
        path="/v1/jobs/{job}",
        summary="See what a job's file says, its last run, and when the next is due",
        endpoint=read_job,
        scope=Scope.READ,
        answers={200: Answer("The job.", {JSON: JobView})},
        codes=(ErrorCode.JOB_NOT_FOUND,),
    ),
    Operation(
        id="runJob",
        method="POST",
        path="/v1/jobs/{job}/runs",
        summary="Begin a run of a job",
        description=(
            "A time by the job's schedule has one run, whoever asks for it and however often; another is made once for "
            "each `Idempotency-Key`. The run keeps the job as it is now, whatever becomes of its file."
        ),
        endpoint=open_job_run,
        scope=Scope.RUN_JOBS,
        headers=(IDEMPOTENCY_KEY,),
        body=_BODY,
        answers={
            201: Answer("The run, whose rows are read next.", {JSON: RunView}, ("Location", "Idempotent-Replayed"))
        },
        codes=(
            *_PLAN_CODES,
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            ErrorCode.TASK_DELETED,
            ErrorCode.QUOTA_EXCEEDED,
        ),
    ),
    Operation(
        id="previewJob",
        method="POST",
        path="/v1/jobs/{job}/preview",
        summary="See the first rows as a run would deliver them; nothing is stored",
        endpoint=preview_job,
        scope=Scope.RUN_JOBS,
        query=RunPreviewQuery,
        body=_BODY,
        answers={200: Answer("The rows.", {JSON: PreviewView})},
        codes=(*_PLAN_CODES, ErrorCode.ROW_REFUSED),
    ),
    Operation(
        id="listRuns",
        method="GET",
        path="/v1/runs",
        summary="List the tenant's runs, newest first",
        endpoint=list_job_runs,
        scope=Scope.READ,
        query=RunListQuery,
        answers={200: Answer("A page of runs.", {JSON: RunListView})},
        codes=(ErrorCode.INVALID_REQUEST,),
    ),
    Operation(
        id="getRun",
        method="GET",
        path="/v1/runs/{run_id}",
        summary="See how a run is, with its certificate and the paths of its files",
        endpoint=read_job_run,
        scope=Scope.READ,
        answers={200: Answer("The run.", {JSON: RunView})},
        codes=_RUN_CODES,
    ),
    Operation(
        id="cancelRun",
        method="POST",
        path="/v1/runs/{run_id}/cancel",
        summary="End a run and what is under way of its outputs; what is delivered stays",
        endpoint=cancel_job_run,
        scope=Scope.RUN_JOBS,
        answers={200: Answer("The run, cancelled; repeating it is harmless.", {JSON: RunView})},
        codes=(
            *_RUN_CODES,
            ErrorCode.ALREADY_COMPLETED,
            ErrorCode.TASK_CLOSED,
            ErrorCode.EXPIRED,
        ),
    ),
)
