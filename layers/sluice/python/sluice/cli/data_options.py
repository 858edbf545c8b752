"""The options by which a command finds a service's data, and opening the data without ever making it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sluice.app.backends import backend_of, open_ports
from sluice.app.settings.validation import Settings, load_settings
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.lifecycle import make_due
from sluice.domain.task import LIVE
from sluice.ports.bundle import Ports
from sluice.usecases.apply_transition import apply_transition

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The service's directory; as its settings say by default.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", envvar="SLUICE_CONFIG", exists=True, dir_okay=False, help="The service's YAML file."
    ),
]
BEGINNING = re.compile(r"[a-z2-7]{1,26}", re.ASCII)
_SHOWN_MAX = 5

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class SilentJournal:
    """Implements ``Journal`` for a process whose output is its answer."""

    def record(self, event: Event, **fields: object) -> None:
        """Drop the event."""


class SweepInvoker:
    """Implements ``Invoker`` in a process without composers: the sweeper of the running service starts one.

    Before ``plug`` it drops calls, which the port allows.
    """

    def __init__(self) -> None:
        self._ports: Ports | None = None

    def plug(self, ports: Ports) -> None:
        """Reach the rows through ``ports`` from now on."""
        self._ports = ports

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the port's signature
        """Make the task due now; a composer that is at work is not disturbed."""
        task = self._ports.tasks.read(manifest.task) if self._ports else None
        if self._ports is None or task is None or task.state not in LIVE:
            return
        apply_transition(self._ports, task.ref, make_due(task, now=self._ports.clock.now()))


def settings_of(data: Path | None, config: Path | None) -> Settings:
    """Read the settings that a service over ``data`` has. Raises ``SettingsError``."""
    return load_settings(config, {"storage.data_directory": None if data is None else str(data)})


@contextmanager
def open_data(data: Path | None, config: Path | None) -> Iterator[Ports]:
    """Open the stores of a service, which may be running; what is triggered here, its sweeper starts."""
    settings = settings_of(data, config)
    tasks_file = backend_of(settings).tasks_file(settings)
    if tasks_file is not None and not tasks_file.is_file():
        raise typer.BadParameter(f"no service has its data in {settings.data_directory}", param_hint="--data")
    trigger = SweepInvoker()
    with open_ports(settings, SilentJournal(), invoker=trigger) as ports:
        trigger.plug(ports)
        yield ports


def find_ref(ports: Ports, task_id: str) -> TaskRef:
    """Find the one task whose id begins so, by looking at every row.

    Raises TASK_NOT_FOUND, and INVALID_REQUEST for the beginning of several ids.
    """
    found: list[TaskRef] = []
    if BEGINNING.fullmatch(task_id):
        found += [task.ref for task in ports.tasks.scan(found.append) if task.task_id.startswith(task_id)]
    known: dict[str, TaskRef] = {ref.task_id: ref for ref in found if ref.task_id.startswith(task_id)}
    return known[only_one(list(known), "no task in this directory has this id")]


def only_one(task_ids: Sequence[str], none_found: str) -> str:
    """The one id that was found. Raises TASK_NOT_FOUND for none, and INVALID_REQUEST with some of several."""
    if len(task_ids) > 1:
        detail = f"{len(task_ids)} tasks have an id that begins so; add a letter"
        raise SluiceError(ErrorCode.INVALID_REQUEST, detail, tasks=list(task_ids[:_SHOWN_MAX]))
    if not task_ids:
        raise SluiceError(ErrorCode.TASK_NOT_FOUND, none_found)
    return task_ids[0]
