"""The jobs of a folder of definitions as it is now: what is changed in a file holds for runs that are planned then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock

from sluice.app.definitions import DefinitionsFolder
from sluice.app.file_stamps import FileStamp, stamps_of
from sluice.app.job_files import JobFile, job_schema
from sluice.app.jobs import JOBS_FOLDER, load_job_of_folder, plan_job
from sluice.domain.dataset import DefinitionsError
from sluice.domain.events import Event
from sluice.domain.job import ParameterValue
from sluice.ports.bundle import Ports
from sluice.ports.journal import Journal
from sluice.usecases.running.find_jobs import Jobs, KnownJob
from sluice.usecases.running.plan_run import PlannedRun


class JobsFolder:
    """A file that is changed is read again, and no other.

    One with mistakes is recorded, once, and what was read of it before holds on; a file that is gone is a job that is
    gone. Safe to use from any thread.
    """

    def __init__(self, folder: Path, definitions: DefinitionsFolder, journal: Journal) -> None:
        """Read the folder. Raises ``DefinitionsError`` with every mistake in its files."""
        self._folder = folder
        self._definitions = definitions
        self._journal = journal
        self._lock = Lock()
        self._stamps: dict[Path, FileStamp] = {}
        self._jobs: dict[Path, KnownJob] = {}
        self._by_name: dict[str, KnownJob] = {}
        problems = self._read_changed()
        if problems:
            raise DefinitionsError(problems)

    def jobs(self) -> Jobs:
        """What use cases and callers see of it."""
        return Jobs(self.current, job_schema)

    def current(self) -> Mapping[str, KnownJob]:
        """The jobs that hold now, by name."""
        with self._lock:
            for problem in self._read_changed():
                self._journal.record(Event.VALIDATION_ERROR, component="jobs", reason=problem)
            return self._by_name

    def _read_changed(self) -> list[str]:
        stamps = stamps_of(self._folder, (JOBS_FOLDER,))
        if stamps == self._stamps:
            return []
        problems: list[str] = []
        for path in self._jobs.keys() - stamps.keys():
            del self._jobs[path]
        for path, stamp in stamps.items():
            if stamp != self._stamps.get(path):
                if path.with_suffix(".yaml") in stamps.keys() - {path}:
                    problems.append(f"{path.name}: {path.stem} is defined in another file too")
                    continue
                try:
                    found = load_job_of_folder(path)
                except DefinitionsError as error:
                    problems += error.problems
                else:
                    self._jobs[path] = KnownJob(found.job, found.version, partial(self._plan, found))
        self._stamps = stamps
        self._by_name = {known.job.job: known for known in self._jobs.values()}
        return problems

    def _plan(
        self, file: JobFile, ports: Ports, given: Mapping[str, ParameterValue], tick: datetime | None
    ) -> PlannedRun:
        return plan_job(ports, self._definitions.current(), file, given=given, tick=tick)
