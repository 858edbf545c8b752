"""Gives a process what it takes to reach the tables of definitions; what reads them is imported by who has some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.adapters.system_clock import SystemClock
from sluice.adapters.thread_pool import ThreadedPool
from sluice.app.secrets import find_key
from sluice.app.settings.validation import Settings, is_one_machine
from sluice.domain.pulled import Pulled
from sluice.domain.target import TableTarget
from sluice.ports.bundle import Ports, no_lookups, no_sinks, no_sources
from sluice.ports.journal import Journal
from sluice.ports.sink import Sink
from sluice.ports.source import Source
from sluice.usecases.running.find_jobs import NO_JOBS, Jobs

if TYPE_CHECKING:
    from sluice.app.definitions import DefinitionsFolder

SLOTS_FOLDER = "slots"
"""In the data directory."""


def for_readers(ports: Ports, settings: Settings) -> Ports:
    """The ports of a process that reads tables: their secrets are looked for when they are opened."""
    return replace(
        ports,
        open_source=_open_source_of(settings),
        open_sink=_open_sink_of(settings),
        open_lookup=_open_lookup_of(settings),
        find_key=find_key,
        source_pool=ThreadedPool(),
    )


def for_askers(ports: Ports, settings: Settings, definitions: DefinitionsFolder | None) -> Ports:
    """The ports of a process whose callers ask for tables: they are counted and previewed, and not read."""
    open_source = definitions.open_pulled if definitions else no_sources
    return replace(ports, open_source=open_source, open_lookup=_open_lookup_of(settings), find_key=find_key)


def open_definitions(settings: Settings, journal: Journal) -> DefinitionsFolder | None:
    """The tables that the settings define; None where they define none. Raises ``DefinitionsError``."""
    folder = settings.datasets.definitions
    if not folder:
        return None
    from sluice.app.definitions import DefinitionsFolder  # noqa: PLC0415  # a process without datasets has no need of it

    return DefinitionsFolder(Path(folder), journal, monotonic=SystemClock().monotonic, slots=_slots_of(settings))


def open_jobs(definitions: DefinitionsFolder | None, settings: Settings, journal: Journal) -> Jobs:
    """The jobs of the folder that the settings name; none where they name none. Raises ``DefinitionsError``."""
    if definitions is None:
        return NO_JOBS
    from sluice.app.jobs_folder import JobsFolder  # noqa: PLC0415  # a process without definitions has no need of it

    return JobsFolder(Path(settings.datasets.definitions), definitions, journal).jobs()


def _open_source_of(settings: Settings) -> Callable[[Pulled], Source]:
    """Open the tables of the definitions that the settings name; what reads them is imported then."""

    def open_source(pulled: Pulled) -> Source:
        if not settings.datasets.definitions:
            return no_sources(pulled)
        from sluice.app.definitions import opens_sources  # noqa: PLC0415  # a composer has no need of it

        return opens_sources(Path(settings.datasets.definitions), slots=_slots_of(settings))(pulled)

    return open_source


def _open_lookup_of(settings: Settings) -> Callable[[str], Source]:
    """Open the tables that steps look up in, as the folder of definitions has them."""

    def open_named(name: str) -> Source:
        if not settings.datasets.definitions:
            return no_lookups(name)
        from sluice.app.jobs import definitions_of, open_lookup  # noqa: PLC0415  # for jobs that look up alone

        return open_lookup(definitions_of(Path(settings.datasets.definitions), slots=_slots_of(settings)), name)

    return open_named


def _open_sink_of(settings: Settings) -> Callable[[TableTarget], Sink]:
    """Open the tables that rows are loaded into; what loads them is imported then."""

    def open_sink(target: TableTarget) -> Sink:
        if not settings.datasets.definitions:
            return no_sinks(target)
        from sluice.app.definitions import opens_sinks  # noqa: PLC0415  # a composer of files has no need of it

        return opens_sinks(Path(settings.datasets.definitions), slots=_slots_of(settings))(target)

    return open_sink


def _slots_of(settings: Settings) -> Path | None:
    """Where the processes of one machine count sessions; instances of functions have no folder in common."""
    return settings.data_directory / SLOTS_FOLDER if is_one_machine(settings) else None
