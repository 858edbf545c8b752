"""What the process of every function opens: settings, credentials, stores, and a journal that says who wrote a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from sluice import __version__
from sluice.adapters.aliyun.credentials import CredentialsSource, EnvironmentCredentials, LatestCredentials
from sluice.adapters.system_clock import SystemClock
from sluice.app.aliyun import CLOUD, fixed_credentials, open_cloud
from sluice.app.settings.validation import Settings, environment, load_settings
from sluice.app.telemetry.log_lines import open_lines
from sluice.domain.events import Event
from sluice.ports.bundle import Ports
from sluice.ports.journal import Journal

PLATFORM_FIELDS = {
    "faas.name": "FC_FUNCTION_NAME",
    "faas.version": "FC_QUALIFIER",
    "faas.instance": "FC_INSTANCE_ID",
    "cloud.region": "FC_REGION",
}
"""What Function Compute says of a function: the name that logs use, and the variable that says it."""


class FunctionProcess(NamedTuple):
    """What the calls of one process share. Nothing of any tenant is in it."""

    settings: Settings
    ports: Ports
    latest: LatestCredentials
    """Takes the credentials that a request brings."""
    credentials: CredentialsSource
    """Those of the settings, or else the latest."""

    @property
    def journal(self) -> Journal:
        return self.ports.journal


@contextmanager
def open_function(component: str) -> Iterator[FunctionProcess]:
    """Open the stores and the journal, which is lines alone: a function is not scraped, its lines are what is counted.

    Nothing is asked of the stores yet: before the first request there may be no credentials.
    """
    warnings: list[str] = []
    settings = load_settings(None, CLOUD, warnings=warnings)
    latest = LatestCredentials(EnvironmentCredentials(environment()))
    source = fixed_credentials(settings) or latest
    with open_lines(settings.logging, clock=SystemClock(), component=component) as lines:
        said = {name: environment().get(variable) for name, variable in PLATFORM_FIELDS.items()}
        known = {name: value for name, value in said.items() if value}
        journal = LabelledJournal(lines, {"service.version": __version__, **known})
        for warning in warnings:
            journal.record(Event.SETTING_RENAMED, note=warning)
        with open_cloud(settings, journal, credentials=source) as ports:
            yield FunctionProcess(settings, ports, latest, source)


class LabelledJournal:
    """A journal that adds the same fields to each event."""

    def __init__(self, journal: Journal, labels: Mapping[str, str]) -> None:
        self._journal = journal
        self._labels = labels

    def record(self, event: Event, **fields: object) -> None:
        """Pass the event on. The journal does not raise, as its port says."""
        self._journal.record(event, **{**self._labels, **fields})
