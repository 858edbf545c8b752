"""Health and metrics, on a port of their own: for load balancers, orchestrators and Prometheus."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sluice.api.http.operation import json_response
from sluice.domain.errors import MEANINGS, ErrorCode, SluiceError
from sluice.ports.clock import Clock
from sluice.ports.store_errors import StoreFull

Result = TypeVar("Result")

Check = Callable[[], object]
"""Returns when all is well, raises when it is not. May block."""

CHECK_TIMEOUT_S = 5.0
_WELL = {"status": "ok"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChecks:
    """What is looked at, by name."""

    ready: Mapping[str, Check]
    """Why an export could not be accepted now: draining, no room in the queue. Cheap."""
    dependencies: Mapping[str, Check]
    """Whether the stores answer. Asked at most once in ``interval_s``, however many ask us."""
    interval_s: float = 10
    timeout_s: float = CHECK_TIMEOUT_S


class HealthApp:
    """``/health/live``, ``/health/ready``, ``/health/dependencies``, ``/metrics``."""

    def __init__(self, checks: HealthChecks, *, clock: Clock, metrics: Callable[[], bytes], metrics_type: str) -> None:
        self._checks = checks
        self._clock = clock
        self._metrics = metrics
        self._metrics_type = metrics_type
        self._said: dict[str, str] = {}
        """What the dependencies said when they were asked last."""
        self._asked_at = -math.inf
        self._asking = asyncio.Lock()
        self._threads = CapacityLimiter(8)
        self._living: dict[str, Check] = {}
        self._under_way: dict[str, asyncio.Future[Any]] = {}

    def live_while(self, name: str, check: Check) -> None:
        """Count the process as dead once ``check`` raises: something that only another start can mend. Cheap."""
        self._living[name] = check

    def build(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health/live", self.live),
                Route("/health/ready", self.ready),
                Route("/health/dependencies", self.dependencies),
                Route("/metrics", self.metrics),
            ]
        )

    async def live(self, _request: Request) -> Response:
        """The process answers, and nothing in it has ended that only another start brings back."""
        living = self._living
        return _answer(await self._share("live", lambda: self._run(living))) if living else json_response(_WELL)

    async def ready(self, _request: Request) -> Response:
        """An export can be accepted now; if not, ``checks`` says why. Includes the dependencies."""
        said = await self._share("ready", lambda: self._run(self._checks.ready))
        return _answer({**said, **await self._ask_dependencies()})

    async def dependencies(self, _request: Request) -> Response:
        """Whether each store answers."""
        return _answer(await self._ask_dependencies())

    async def metrics(self, _request: Request) -> Response:
        content = await self._share("metrics", lambda: to_thread.run_sync(self._metrics, limiter=self._threads))
        return Response(content, headers={"Content-Type": self._metrics_type})

    async def _share(self, what: str, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Do the work once for all that ask while it is under way: a crowd takes no more than one caller."""
        future: asyncio.Future[Result] | None = self._under_way.get(what)
        if future is None:
            future = self._under_way[what] = asyncio.ensure_future(work())
            future.add_done_callback(lambda _done: self._under_way.pop(what))
        return await asyncio.shield(future)

    async def _ask_dependencies(self) -> dict[str, str]:
        async with self._asking:
            if self._clock.monotonic() - self._asked_at >= self._checks.interval_s:
                self._said = await self._run(self._checks.dependencies)
                self._asked_at = self._clock.monotonic()
            return self._said

    async def _run(self, checks: Mapping[str, Check]) -> dict[str, str]:
        """Make all checks at once; says ``ok`` or what is wrong, in words that give nothing away."""
        said = await asyncio.gather(*(self._make(check) for check in checks.values()))
        return dict(zip(checks, said, strict=True))

    async def _make(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._checks.timeout_s):
                await to_thread.run_sync(check, limiter=self._threads, abandon_on_cancel=True)
        except TimeoutError:
            return f"no answer within {self._checks.timeout_s:g} s"
        except SluiceError as error:
            return error.detail
        except StoreFull as error:
            return MEANINGS[ErrorCode(error.code_shown)].sentence
        except Exception as error:  # noqa: BLE001  # whatever is wrong, the answer is that it is
            return f"failed: {type(error).__name__}"
        return "ok"


def _answer(said: dict[str, str]) -> Response:
    well = all(word == "ok" for word in said.values())
    body = {"status": "ok" if well else "unavailable", "checks": said}
    return json_response(body, 200 if well else 503, {"Cache-Control": "no-store"})
