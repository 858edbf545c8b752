"""What is deployed: functions with their triggers and layers, and the routes of custom domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

DEFAULT_PORT = 9000
DEFAULT_TIMEOUT_S = 3
DEFAULT_MEMORY_MB = 512
DEFAULT_RETRIES = 3
DEFAULT_AGE_S = 18_000


class OssTrigger(NamedTuple):
    """Which objects of which bucket start the function."""

    name: str
    bucket: str
    events: tuple[str, ...]
    prefix: str
    suffix: str


class TimerTrigger(NamedTuple):
    """When the function is started."""

    name: str
    cron: str
    payload: str
    enabled: bool


class AsyncConfig(NamedTuple):
    """What becomes of an asynchronous call that fails."""

    retries_max: int = DEFAULT_RETRIES
    age_max_s: float = DEFAULT_AGE_S
    failure_destination: str = ""
    is_task: bool = False
    """Calls with an id that is known already are refused."""


class Hook(NamedTuple):
    """A call to the instance at its start or before its end."""

    timeout_s: float


class Route(NamedTuple):
    """Which function answers a path of the custom domain."""

    path: str
    methods: tuple[str, ...]
    function: str


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """One function, as deployed."""

    name: str
    resource: str
    """Its name in the file."""
    runtime: str
    handler: str
    code: Path
    command: tuple[str, ...] = ()
    port: int = DEFAULT_PORT
    timeout_s: float = DEFAULT_TIMEOUT_S
    memory_mb: int = DEFAULT_MEMORY_MB
    concurrency: int = 1
    instances_max: int = 0
    """How many are reserved for it, which are all that it gets; 0 reserves none."""
    role: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    initializer: Hook | None = None
    pre_stop: Hook | None = None
    asynchronous: AsyncConfig = field(default_factory=AsyncConfig)
    oss_triggers: tuple[OssTrigger, ...] = ()
    timer_triggers: tuple[TimerTrigger, ...] = ()

    @property
    def is_custom(self) -> bool:
        """A server of its own, rather than a handler that is called."""
        return self.runtime.startswith("custom")


class Deployment(NamedTuple):
    """Everything that the file deploys."""

    region: str
    functions: Mapping[str, FunctionSpec]
    """By the name they have in the file."""
    domains: Mapping[str, tuple[Route, ...]]
    """The routes of each custom domain, by the name it has in the file."""
    layers: tuple[Path, ...]
    """The archives of the layers, in the order in which functions name them: the first one wins."""
