"""Runs a job in this process, over a directory that it may be taken up again from."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sluice.adapters.directory.atomic_file import whole_file
from sluice.adapters.directory.folder_lock import alone_in
from sluice.adapters.thread_pool import ThreadedPool
from sluice.api.auth import LOCAL_TENANT
from sluice.app.backends import open_ports
from sluice.app.definitions import Definitions, opens_sinks
from sluice.app.jobs import open_lookup
from sluice.app.secrets import find_key
from sluice.app.settings.schema import Storage
from sluice.app.settings.validation import Settings
from sluice.cli.data_options import SilentJournal
from sluice.cli.export.progress import ProgressDisplay
from sluice.cli.failures import describe
from sluice.cli.formatting import counted, say
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.tables.formats import filename_of
from sluice.usecases.running.open_run import RunStatus, open_run, read_run, run_of
from sluice.usecases.upkeep.repair_task import release_lease
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, sweep_quietly
from sluice.usecases.work_off import work_off

SAID = "said-"
"""Begins the name of a file that says so of a run."""
PAUSE_S = 0.2
"""Between two looks at what waits."""


class TriggerQueue:
    """Implements ``Invoker`` by keeping what is triggered for the caller, who does it."""

    def __init__(self) -> None:
        self._waiting: deque[ManifestRef] = deque()

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the port's signature
        if manifest not in self._waiting:
            self._waiting.append(manifest)

    def drain(self) -> Iterator[ManifestRef]:
        """Take what waits, one by one, also what comes meanwhile."""
        while self._waiting:
            yield self._waiting.popleft()


class SpokenReasons:
    """Implements ``Journal`` for who runs the job: why something is tried again, or ends, goes to standard error."""

    def __init__(self) -> None:
        self._said = ""

    def record(self, event: Event, **fields: object) -> None:
        reason = fields.get("reason") if event is Event.SYSTEM_ERROR else None
        if isinstance(reason, str):
            self.say(reason)
        elif event is Event.ATTEMPT_RELEASED and "error" in fields:
            error = fields["error"]
            self.say(f"{error.detail if isinstance(error, SluiceError) else describe(_shown(error)).text}")

    def say(self, text: str) -> None:
        """Print it, once in a row."""
        if text != self._said:
            self._said = text
            say(text if text.startswith("sluice:") else f"sluice: {text}", is_error=True)


def _shown(error: object) -> Exception:
    return error if isinstance(error, Exception) else SluiceError(ErrorCode.INTERNAL)


class SavedFile(NamedTuple):
    """A file of a run, under its own name."""

    output: str
    path: str
    bytes: int
    sha256: str


class LocalRuns:
    """Runs of one directory. One process at a time works on a run: another finds its lease."""

    def __init__(self, ports: Ports, queue: TriggerQueue, data: Path) -> None:
        self.ports = ports
        self._data = data
        self._queue = queue

    def begin(self, params: ExportParams, *, is_again: bool) -> TaskRef:
        """Go on with the run of this job, its parameters and its tick that was cut off here, or begin one.

        A tick has one run: another is begun where ``is_again`` says so. Raises IDEMPOTENCY_KEY_REUSED where there is
        one of other parameters, or of another version of the job.
        """
        unfinished = None if is_again else self._unfinished(params)
        if unfinished is not None:
            return unfinished
        opened = open_run(self.ports, LOCAL_TENANT, params, is_again=is_again)
        if not opened.replayed:
            return opened.task.ref
        made, wanted = run_of(opened.task.live_params), run_of(params)
        if made.asked != wanted.asked:
            how = "another version of the job" if made.version != wanted.version else "other parameters"
            detail = f"The run of {made.tick} was made with {how}, and stands: --again makes another."
            raise SluiceError(ErrorCode.IDEMPOTENCY_KEY_REUSED, detail, run=opened.task.task_id)
        say(f"sluice: the run of {made.tick} is over already: --again makes another", is_error=True)
        return opened.task.ref

    def _unfinished(self, params: ExportParams) -> TaskRef | None:
        """The run that was asked for in the same words and is not over, or whose end was not said.

        Raises ALREADY_CLOSED where another run of the job is not over: of other parameters, or of the job as it was.
        """
        wanted = run_of(params)
        for task in self.ports.tasks.scan():
            run = task.params.run if task.params else None
            if run is None or run.job != wanted.job or task.state in {State.CANCELLED, State.EXPIRED}:
                continue
            is_over = read_run(self.ports, task.ref).is_over
            if run.asked == wanted.asked and not (is_over and self._said(task.ref).exists()):
                return task.ref
            if not is_over:
                how = (
                    "the job as it was before" if run.version != wanted.version else "other parameters, or another time"
                )
                detail = (
                    f"The run {task.task_id} of this job, by {how}, is not over, and may have loaded rows. End it with "
                    f"sluice run cancel {task.task_id} --data {self._data}, or begin beside it with --again."
                )
                raise SluiceError(ErrorCode.ALREADY_CLOSED, detail, run=task.task_id)
        return None

    def _said(self, ref: TaskRef) -> Path:
        """There once the end of a run was said, and its files have their names."""
        return self._data / f"{SAID}{ref.task_id}"

    def end_was_said(self, ref: TaskRef) -> None:
        """Let the same command begin another run from now on, and collect what is past its time in the directory.

        Runs that have ended are tended here as a service's sweeper would; those that have not are left alone.
        """
        self._said(ref).touch()
        memory = SweepMemory(trusts_clock=True)
        kept = set()
        for task in self.ports.tasks.scan():
            kept.add(self._said(task.ref))
            if task.state.terminal:
                sweep_quietly(self.ports, task.ref, memory)
        for said in set(self._data.glob(f"{SAID}*")) - kept:
            said.unlink(missing_ok=True)

    def finish(self, ref: TaskRef, folder: Path, progress: ProgressDisplay) -> tuple[RunStatus, list[SavedFile]]:
        """Do what there is to do until the run is over, trying again what failed for a time.

        Each file is in ``folder`` as soon as it is whole, whatever becomes of the others.
        """
        saved: dict[str, SavedFile] = {}
        memory = SweepMemory()
        self._take_over(ref)
        progress.stage("running", None)
        while True:
            for trigger in self._queue.drain():
                work_off(self.ports, trigger)
            status = read_run(self.ports, ref)
            self._save(status, folder, saved)
            if status.is_over:
                return status, list(saved.values())
            progress.note(_noted(status))
            for task in (status.task, *(one.task for one in status.outputs)):
                if task is not None:
                    sweep_quietly(self.ports, task.ref, memory)
            self.ports.clock.sleep(PAUSE_S)

    def _take_over(self, ref: TaskRef) -> None:
        """Give back what a killed process had under way: no other process is at work here."""
        status = read_run(self.ports, ref)
        for task in (status.task, *(one.task for one in status.outputs)):
            if task is not None and not task.state.terminal:
                release_lease(self.ports, task.ref)
                self._queue.invoke(ManifestRef(task.ref, task.man_sha), epoch=1)

    def _save(self, status: RunStatus, folder: Path, saved: dict[str, SavedFile]) -> None:
        """Give the files that are whole their names in ``folder``, each once."""
        for one in status.outputs:
            if one.task is None or one.task.params is None or not one.task.params.is_file or one.output in saved:
                continue
            if one.task.state is not State.COMPLETED:
                continue
            path = folder / filename_of(one.task)
            _copy(self.ports, one.task, path)
            saved[one.output] = SavedFile(one.output, str(path), one.task.result_size, one.task.result_sha256)


@contextmanager
def open_runs(definitions: Definitions, data: Path) -> Iterator[LocalRuns]:
    """Open the directory, which is made if it is not there. Raises ``StoreRefused`` where another process runs jobs."""
    journal, queue = SpokenReasons(), TriggerQueue()
    settings = Settings(storage=Storage(data_directory=str(data)))
    with ExitStack() as stack:
        ports = stack.enter_context(open_ports(settings, journal, invoker=queue))
        stack.enter_context(alone_in(data, "jobs.lock"))
        ports = with_definitions(ports, definitions)
        yield LocalRuns(ports, queue, data)


@contextmanager
def planning_ports(definitions: Definitions) -> Iterator[Ports]:
    """Ports that read sources and keep nothing: a job is planned and previewed with them."""
    with TemporaryDirectory(prefix="sluice-") as folder:
        settings = Settings(storage=Storage(data_directory=folder, min_free_bytes=0))
        with open_ports(settings, SilentJournal()) as ports:
            yield with_definitions(ports, definitions)


def with_definitions(ports: Ports, definitions: Definitions) -> Ports:
    """Ports that read and load by the connections of a folder."""
    return replace(
        ports,
        open_source=definitions.open_pulled,
        open_lookup=partial(open_lookup, definitions),
        open_sink=opens_sinks(definitions.folder),
        find_key=find_key,
        source_pool=ThreadedPool(),
    )


def _noted(status: RunStatus) -> str:
    task = status.task
    if task.state in {State.WAITING, State.READING}:
        why = f"; waits: {task.last_error_code}" if task.last_error_code else ""
        return f"{counted(task.rows_received, 'row')} read{why}"
    left = [one for one in status.outputs if one.task is None or not one.task.state.terminal]
    waits = [one.task.last_error_code for one in left if one.task is not None and one.task.last_error_code]
    return f"{counted(len(left), 'output')} left" + (f"; waits: {waits[0]}" if waits else "")


def _copy(ports: Ports, task: Task, path: Path) -> None:
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        for block in ports.objects.read_range(task.result_key, 0, task.result_size):
            file.write(block)
            digest.update(block)
        if digest.hexdigest() != task.result_sha256:
            raise SluiceError(ErrorCode.RESULT_VERIFY_FAILED, "the copy is not what was written")
