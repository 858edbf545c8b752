"""What the functions with a port share: how they are opened, and how long they run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from sluice.adapters.aliyun.credentials import LatestCredentials
from sluice.api.auth import KeyRing
from sluice.api.service import Service
from sluice.app.aliyun import open_cloud_keys
from sluice.app.functions.function_process import open_function
from sluice.app.settings.validation import Settings, environment
from sluice.app.sources import for_askers, open_definitions
from sluice.app.stop_signal import wait_for_stop
from sluice.app.tokens import open_tokens
from sluice.domain.events import Event
from sluice.ports.journal import Journal

HOST = "0.0.0.0"  # noqa: S104 - the platform's gateway reaches the function from outside of its instance
PORT_VARIABLES = ("FC_SERVER_PORT", "FC_CUSTOM_LISTEN_PORT")
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Serve = Callable[["WebFunction", int], AbstractContextManager[int]]
"""Listens on a port while the context lasts, then drains; gives the port."""


class WebFunction(NamedTuple):
    """What a function with a port works with."""

    settings: Settings
    service: Service
    latest: LatestCredentials

    @property
    def journal(self) -> Journal:
        return self.service.ports.journal

    def warm(self) -> None:
        """Read the API keys, which opens the connection that the first caller would wait for. Never raises."""
        try:
            if not self.service.access.ring.has_keys():
                self.journal.record(Event.AUTHENTICATION_FAILED, reason="no API key exists, so nobody can call")
        except Exception as error:  # noqa: BLE001 - each request will meet the same, and answer with it
            self.journal.record(Event.SYSTEM_ERROR, error=error)


@contextmanager
def open_web_function(component: str) -> Iterator[WebFunction]:
    """Open stores, keys and definitions. Nothing is asked of stores yet: before a request there may be no credentials.

    Raises ``SettingsError`` and ``DefinitionsError``.
    """
    with open_function(component) as opened:
        settings = opened.settings
        definitions = open_definitions(settings, opened.journal)
        ports = for_askers(opened.ports, settings, definitions)
        keys = open_cloud_keys(settings, opened.credentials)
        security = settings.security
        # Never open: everybody reaches a function.
        ring = KeyRing(keys, clock=ports.clock, journal=ports.journal, tokens=open_tokens(settings, ports))
        service = Service.over(
            ports,
            ring,
            rate_per_s=security.rate_limit_per_s,
            burst=security.rate_limit_burst,
            user_rate_per_s=settings.datasets.user_rate_per_s,
            user_burst=settings.datasets.user_rate_burst,
            datasets=definitions.datasets if definitions else dict,
        )
        yield WebFunction(settings, service, opened.latest)


def run_web_function(component: str, serve: Serve, *, port: int) -> None:
    """Serve on the port that the platform names, else on ``port``, until a signal says stop.

    Raises ValueError for a port that is no number.
    """
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: stop.set())
    named = (environment()[name] for name in PORT_VARIABLES if environment().get(name))
    with open_web_function(component) as function, serve(function, int(next(named, port))) as listening:
        function.journal.record(Event.SERVICE_STARTED, port=listening, **{"faas.coldstart": True})
        wait_for_stop(stop)
        function.journal.record(Event.SERVICE_STOPPED)
