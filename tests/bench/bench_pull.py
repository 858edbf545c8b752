"""What a file of a table of PostgreSQL costs: made by us, and by others; how soon it is there; what a page costs."""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import httpx
import jwt
import psutil

from sluice.adapters.sources.postgresql import PostgresqlSource
from sluice.adapters.sources.server_source import Query
from sluice.app.definitions import load_definitions
from sluice.demo.order_table import COLUMNS
from sluice.domain.dataset import PostgresqlConnection, TableSource
from sluice.domain.options import ExportFormat
from sluice.domain.pulled import Cursor
from sluice.domain.secret import Secret
from sluice.domain.user import User
from sluice.usecases.pulling.make_params import PullRequest, make_params
from tests.bench.apart import ROOT, measure_apart
from tests.bench.orders import Orders
from tests.bench.plan import Plan
from tests.bench.pull_table import OURS_CSV, OURS_XLSX, PASSWORD, USER, Puller, PullStage, named, pull_stage, pullers
from tests.bench.results import Clicked, Paged, PulledFile, PullRun, Written
from tests.bench.subject_table import subject_named
from tests.support.composed_runs import DataDirectory
from tests.support.running_service import serving

PAGE_ROWS = 2_000
PAGES = (1, 1_000)
PAGE_TRIES = 7
WARM_CLICKS = 3
LOOK_S = 0.05
"""How often the memory of a program is looked at."""
WORKER_S = 900
SECRET = "a secret of the application, of 32 bytes or more"
REFERENCE = "XlsxWriter, typed"


class Took(NamedTuple):
    """One run of one program."""

    seconds: float
    cpu_s: float
    peak_bytes: int


def measure_pulls(plan: Plan) -> list[PullRun]:
    """All that can run here, in turn, again and again; nothing where no rows are asked for."""
    if not plan.pull_rows:
        return []
    load, large = os.getloadavg()[0], max(plan.pull_memory_rows)
    with pull_stage([plan.pull_rows, *plan.pull_memory_rows, plan.click_rows]) as stage:
        reference, their_cpu_s, files = measure_files(stage, plan)
        files += [_file(OURS_XLSX, rows, [worker(stage, rows, ExportFormat.XLSX)]) for rows in plan.pull_memory_rows]
        clicked = measure_clicks(stage, plan.click_rows, plan.clicks)
        pages = [measure_page(stage, large, page) for page in PAGES if page * PAGE_ROWS <= large]
        return [
            PullRun(
                load=load, reference=reference, reference_cpu_s=their_cpu_s, files=files, clicks=clicked, pages=pages
            )
        ]


def measure_files(stage: PullStage, plan: Plan) -> tuple[Written, list[float], list[PulledFile]]:
    """XlsxWriter with rows in memory, and whoever reads the table, in turn."""
    rows, orders = plan.pull_rows, Orders(plan.writer_rows)
    programs = pullers(stage, rows)
    runs: dict[str, list[Took]] = {name: [] for name in (OURS_XLSX, OURS_CSV, *(one.name for one in programs))}
    theirs = []
    for _ in range(plan.rounds):
        theirs.append(measure_apart(subject_named(REFERENCE), orders))
        runs[OURS_XLSX].append(worker(stage, rows, ExportFormat.XLSX))
        runs[OURS_CSV].append(worker(stage, rows, ExportFormat.CSV))
        for program in programs:
            runs[program.name].append(run_program(stage, program, rows))
    reference = Written(
        subject=REFERENCE,
        rows=orders.rows,
        columns=orders.columns,
        seconds=[one.seconds for one in theirs],
        file_bytes=theirs[0].file_bytes,
        grown_bytes=max(one.grown_bytes for one in theirs),
    )
    return reference, [one.cpu_s for one in theirs], [_file(name, rows, took) for name, took in runs.items()]


def _file(subject: str, rows: int, took: Sequence[Took]) -> PulledFile:
    return PulledFile(
        subject=subject,
        rows=rows,
        seconds=[one.seconds for one in took],
        cpu_s=[one.cpu_s for one in took],
        peak_bytes=max(one.peak_bytes for one in took),
    )


def worker(stage: PullStage, rows: int, file_format: ExportFormat) -> Took:
    """A worker process of the service reads the table, stores its batches, and makes the file from them."""
    folder = stage.folder / "data"
    dataset = load_definitions(stage.definitions).datasets[named(rows)]
    params = make_params(dataset, User(name="ann"), PullRequest(format=file_format))
    data = DataDirectory(folder, env=stage.env)
    task = data.open(params)
    before, started = _children_s(), time.perf_counter()
    peak_bytes = data.compose(task, timeout_s=WORKER_S)
    took = Took(time.perf_counter() - started, _children_s() - before, peak_bytes)
    rmtree(folder)
    return took


def run_program(stage: PullStage, program: Puller, rows: int) -> Took:
    """A program of its own; what it made is counted. Raises where rows are missing."""
    started = time.perf_counter()
    with (stage.folder / "said").open("wb") as said:
        process = subprocess.Popen(program.command, env=program.env, cwd=ROOT, stdout=said, stderr=said)
        peak_bytes, ended = 0, 0
        while not ended:
            peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
            time.sleep(LOOK_S)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{program.name}: {(stage.folder / 'said').read_text(errors='replace')[-2000:]}")
    made = sorted(stage.folder.glob(program.output))
    if program.output.endswith("csv") and (found := sum(map(_rows_of, made))) != rows:
        raise RuntimeError(f"{program.name} made {found} rows of {rows}")
    for file in made:
        file.unlink()
    for state in ("dlt", "dlt-state"):
        rmtree(stage.folder / state, ignore_errors=True)
    return Took(seconds, used.ru_utime + used.ru_stime, peak_bytes)


def _peak_bytes(pid: int) -> int:
    """Of the process and those that it started, the largest; what ``wait4`` says of a child counts its parent too."""
    peaks = [0]
    with suppress(psutil.Error, OSError):
        for one in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            lines = Path(f"/proc/{one.pid}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return max(peaks)


def _rows_of(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_clicks(stage: PullStage, rows: int, clicks: int) -> Clicked:
    """A user asks a running service for the file again and again, and has its last byte."""
    claims = {"sub": "ann", "tenant": "local", "exp": time.time() + 3600}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
    env = {**stage.env, "SLUICE_SECURITY_JWT_SECRET": SECRET}
    body = {"format": "xlsx", "options": {"reuse": False}}
    seconds = []
    with (
        serving(stage.folder / "service", env=env, anew=True) as service,
        httpx.Client(base_url=service.url, headers=headers, timeout=60) as client,
    ):
        for _ in range(WARM_CLICKS + clicks):
            started = time.perf_counter()
            answer = client.post(f"/v1/datasets/{named(rows)}/exports", json=body)
            seconds.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.text
            assert answer.headers["sluice-rows"] == str(rows)
    return Clicked(rows=rows, seconds=seconds[WARM_CLICKS:])


def measure_page(stage: PullStage, rows: int, page: int) -> Paged:
    """What the first page behind a key costs, as a reader asks for it that goes on there, and by OFFSET."""
    connection = PostgresqlConnection(
        name="bench", host="127.0.0.1", port=stage.port, database="postgres", user=USER, password="${secret:bench}"
    )
    table = TableSource(connection="bench", table=f"public.{named(rows)}", key=("id",), consistency="key")
    names = [column.name for column in COLUMNS]
    source = PostgresqlSource(connection, table, names, password=lambda: Secret(PASSWORD), folder=Path("/"))
    after: Cursor | None = (str((page - 1) * PAGE_ROWS),) if page > 1 else None
    with source._session(connection, is_snapshot=True) as session:
        described = source._describe(session)
        keyed = Query(source._columns, source._behind(session, described, after), f" LIMIT {PAGE_ROWS}")
        skipped = Query(source._columns, (), f" LIMIT {PAGE_ROWS} OFFSET {(page - 1) * PAGE_ROWS}")
        buffers, by_offset = (_buffers(stage, source.select(described, query)) for query in (keyed, skipped))
    took = []
    for _ in range(PAGE_TRIES):
        started = time.perf_counter()
        with source.reading(after) as slices:
            next(slices)
        took.append(time.perf_counter() - started)
    return Paged(page=page, rows=PAGE_ROWS, buffers=buffers, buffers_by_offset=by_offset, seconds=took)


def _buffers(stage: PullStage, query: str) -> int:
    """Blocks of the table and of its index that the server looks at."""
    said = stage.server(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query};")
    top = json.loads(said)[0]["Plan"]
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])
