"""Builds the HTTP API: its operations, error answers, middleware and documents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum, auto
from functools import cache, partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sluice.api.auth import TENANT_SHARE, Shares
from sluice.api.error_status import PROBLEM_PATH
from sluice.api.http.bodies.body import BodyBudget, BodyTimeouts
from sluice.api.http.errors import HttpError, answer_error
from sluice.api.http.links import VerifiesLinks
from sluice.api.http.operation import (
    DOWNLOADS_PART,
    SENDERS_MAX,
    Declared,
    HttpResources,
    Operation,
    OperationRoute,
    json_response,
)
from sluice.api.http.routes import exports, watch
from sluice.api.http.routes.docs import Page, docs_page, home_page, problem_page
from sluice.api.http.routes.openapi import make_document
from sluice.api.http.server.forwarded import ForwardedMiddleware
from sluice.api.http.server.middleware import Observe, RequestMiddleware, SiteMiddleware
from sluice.api.http.watches import SignsWatches, Watches
from sluice.api.service import Service
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.ports.store_errors import StoreError

_ANSWERED = (SluiceError, StoreError, HttpError, HTTPException, ClientDisconnect)


class RouteSet(Enum):
    """Which of the operations a server has."""

    ALL = auto()
    WITHOUT_FILES = auto()
    """For stores whose links lead to themselves."""
    READ_ONLY = auto()
    """What changes nothing: status, waiting, lists, links."""


def build_http_app(
    service: Service,
    *,
    routes: RouteSet = RouteSet.ALL,
    links: VerifiesLinks | None = None,
    watches: SignsWatches | None = None,
    closing: threading.Event | None = None,
    body_timeouts: BodyTimeouts | None = None,
    requests_max: int = 1_000,
    tenant_share: float = TENANT_SHARE,
    hosts: Iterable[str] = (),
    allowed_origins: Collection[str] = (),
    trusted_proxies: Sequence[str] | None = None,
    observe: Observe | None = None,
) -> Starlette:
    """Build the API over one service.

    ``links`` verifies the tokens of ``/v1/files``, for stores whose links lead
    here; ``watches`` signs and reads those of ``/v1/watch``. Callers that wait are answered once ``closing`` is set.
    One tenant has at most ``tenant_share`` of the requests, downloads and tables under way. Without keys
    ``hosts`` are further names that callers may reach this by. Pages of ``allowed_origins`` may ask for datasets.
    ``trusted_proxies`` are the addresses and networks whose forwarded headers
    count; None where the headers say nothing of interest. ``observe`` is called with each answer, for metrics.
    """
    operations = operations_of(routes, watched=watches is not None)
    document = cache(lambda: make_document(operations))
    ports = service.ports
    outer = Middleware(
        RequestMiddleware,
        clock=ports.clock,
        randomness=ports.randomness,
        journal=ports.journal,
        observe=observe,
        allowed_origins=allowed_origins,
    )
    forwarded = []
    if trusted_proxies is not None:
        forwarded = [Middleware(ForwardedMiddleware, trusted=trusted_proxies, journal=ports.journal)]
    ring = service.access.ring
    site = Middleware(SiteMiddleware, ring=ring, hosts=hosts, journal=ports.journal, allowed_origins=allowed_origins)
    app = Starlette(
        routes=[*map(OperationRoute, operations), *_document_routes(document)],
        middleware=[outer, *forwarded, site],
        exception_handlers=dict.fromkeys(_ANSWERED, _answer),
    )
    app.router.redirect_slashes = False
    app.state.resources = HttpResources(
        service=service,
        links=links,
        watches=Watches(watches, requests_max=requests_max, tenant_share=tenant_share) if watches else None,
        closing=closing or threading.Event(),
        body_timeouts=body_timeouts or BodyTimeouts(),
        body_budget=BodyBudget(share=tenant_share, body_bytes_max=ports.limits.input_bytes_max),
        requests=Shares(requests_max, share=tenant_share, what="requests"),
        downloads=Shares(max(1, int(requests_max * DOWNLOADS_PART)), share=tenant_share, what="downloads"),
        tables=Shares(SENDERS_MAX, share=tenant_share, what="tables"),
    )
    return app


def operations_of(routes: RouteSet, *, watched: bool = True) -> tuple[Operation, ...]:
    """What is served; ``watched``: at the addresses of single exports too."""
    watches = watch.OPERATIONS if watched else ()
    if routes is RouteSet.READ_ONLY:
        return (*(operation for operation in exports.OPERATIONS if operation.scope is Scope.READ), *watches)
    from sluice.api.http.routes import batches, datasets, jobs, stream  # noqa: PLC0415  # a server that only reads loads no formats

    rows = (*batches.OPERATIONS, *stream.OPERATIONS)
    operations = (*exports.OPERATIONS, *rows, *datasets.OPERATIONS, *jobs.OPERATIONS, *watches)
    if routes is RouteSet.WITHOUT_FILES:
        return operations
    from sluice.api.http.routes import files  # noqa: PLC0415  # only one machine serves files itself

    return (*operations, *files.OPERATIONS)


def _document_routes(document: Callable[[], Declared]) -> list[Route]:
    pages = {
        "/": Page(home_page),
        "/openapi.json": Page(lambda: json_response(document())),
        "/docs": Page(lambda: docs_page(document())),
        **{f"{PROBLEM_PATH}{code}": Page(partial(problem_page, code)) for code in ErrorCode},
    }

    async def page(request: Request) -> Response:
        found = pages.get(request.scope["path"])
        if found is None:
            raise HTTPException(404)
        return found.answer(request)

    async def live(_request: Request) -> Response:
        """As on the port for health: this process answers."""
        return json_response({"status": "ok"})

    return [
        Route("/", page),
        Route(f"{PROBLEM_PATH}{{code}}", page),
        Route("/health/live", live),
        Route("/openapi.json", page),
        Route("/docs", page),
    ]


async def _answer(request: Request, error: Exception) -> Response:
    return answer_error(request, error)
