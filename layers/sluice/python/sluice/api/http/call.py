"""What the routes share, and one call that was let in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import Request

from sluice.api.auth import Principal
from sluice.api.http.bodies.body import BodyBudget, Patience
from sluice.api.http.errors import invalid_request
from sluice.api.service import Service
from sluice.domain.api_key import Scope
from sluice.domain.keys import TaskRef
from sluice.ports.bundle import Ports
from sluice.usecases.find_task import make_ref

Result = TypeVar("Result")

SHOWN_CHARS_MAX = 64
"""How much of an unknown name an answer repeats."""

BODY_FACTOR = 3
"""A batch is at most this many times as large in the request as in its chunk: quotes, brackets, escapes."""


class Grant(Protocol):
    """What a link allows: to read one object, under one name."""

    @property
    def key(self) -> str: ...

    @property
    def filename(self) -> str: ...


class VerifiesLinks(Protocol):
    def verify(self, token: str) -> Grant:
        """Read a token. Raises ``SluiceError``: PERMISSION_DENIED unless it is one of ours, EXPIRED after its time."""


def _limiter(threads: int) -> Callable[[], CapacityLimiter]:
    return lambda: CapacityLimiter(threads)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One per HTTP face. Use cases block, so they run in threads; each kind of work has its own."""

    service: Service
    links: VerifiesLinks | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the face drains: whoever waits is answered now."""
    keep_alive_s: float = 15
    """Proxies cut connections that say nothing; in a stream of events a comment says something this often."""
    patience: Patience = field(default_factory=Patience)
    bodies: BodyBudget = field(default_factory=BodyBudget)
    workers: CapacityLimiter = field(default_factory=_limiter(40))
    senders: CapacityLimiter = field(default_factory=_limiter(16))
    """Bodies of any length, each of which holds a thread from its first byte to its last."""
    readers: CapacityLimiter = field(default_factory=_limiter(16))
    """Downloads."""
    decoding: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(2))
    """Decoding takes several times a body's size for a moment, and more threads would not make it faster."""

    @property
    def ports(self) -> Ports:
        return self.service.ports

    @property
    def body_bytes_max(self) -> int:
        return BODY_FACTOR * self.ports.limits.batch_bytes_max


@dataclass(frozen=True)
class Call:
    """A request whose sender is known. The tenant comes from the credential and from nowhere else."""

    request: Request
    runtime: Runtime
    principal: Principal

    @property
    def ports(self) -> Ports:
        return self.runtime.ports

    def ref(self, task_id: str) -> TaskRef:
        """Raises TASK_NOT_FOUND for text that is no task id."""
        return make_ref(self.principal.tenant, task_id)

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do blocking work in a thread."""
        return await to_thread.run_sync(work, *arguments, limiter=self.runtime.workers)


_bearer = HTTPBearer(auto_error=False, description="An API key, made with `sluice keys add TENANT`.")


def runtime_of(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _enter(request: Request, scope: Scope) -> Call:
    """Let a caller in, or raise UNAUTHENTICATED, RATE_LIMITED or PERMISSION_DENIED before anything of it is read."""
    runtime = runtime_of(request)
    principal = runtime.service.admit(request.headers.get("authorization"), scope)
    _refuse_unknown_parameters(request)
    return Call(request, runtime, principal)


_REPEATED = frozenset({"columns"})
"""Parameters that take several values."""


def _refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query parameter that the route would ignore, for it may be a typo, or that is given twice."""
    if not request.query_params:
        return
    known = query_parameters_of(request.scope["route"])
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        shown = name[:SHOWN_CHARS_MAX]
        if name not in known:
            raise invalid_request(f"{shown} is no parameter of this call", field=shown, known=sorted(known))
        if name in seen and name not in _REPEATED:
            raise invalid_request(f"{shown} is given twice", field=shown)
        seen.add(name)


def query_parameters_of(route: APIRoute) -> frozenset[str]:
    """The names a route reads, and those that only its document declares."""
    declared = (route.openapi_extra or {}).get("parameters", ())
    return frozenset(
        [parameter.alias for parameter in route.dependant.query_params]
        + [parameter["name"] for parameter in declared if parameter["in"] == "query"]
    )


async def _reader(request: Request, _key: Annotated[object, Security(_bearer)]) -> Call:
    return _enter(request, Scope.READ)


async def _writer(request: Request, _key: Annotated[object, Security(_bearer)]) -> Call:
    return _enter(request, Scope.WRITE)


Reader = Annotated[Call, Depends(_reader)]
Writer = Annotated[Call, Depends(_writer)]
