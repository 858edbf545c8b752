"""Builds the HTTP API: routes, errors, the edge around them, and their documents."""

from __future__ import annotations

import threading
from enum import Enum, auto

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sluice.api.http.bodies.body import BodyBudget, Patience
from sluice.api.http.call import Runtime, VerifiesLinks
from sluice.api.http.errors import HttpError, answer_error
from sluice.api.http.responses import json_response
from sluice.api.http.routes import exports
from sluice.api.http.routes.docs import docs_page
from sluice.api.http.routes.openapi import make_document
from sluice.api.http.server.middleware import Observe, RequestMiddleware
from sluice.api.service import Service
from sluice.domain.errors import SluiceError
from sluice.ports.store_errors import StoreError

_ANSWERED = (SluiceError, StoreError, HttpError, HTTPException, RequestValidationError, ClientDisconnect)


class Offer(Enum):
    """Which of the routes a face has."""

    EVERYTHING = auto()
    NO_FILES = auto()
    """For stores whose links lead to themselves."""
    READS = auto()
    """What changes nothing: look, wait, list, link."""


def build_http_app(
    service: Service,
    *,
    offer: Offer = Offer.EVERYTHING,
    links: VerifiesLinks | None = None,
    closing: threading.Event | None = None,
    patience: Patience | None = None,
    observe: Observe | None = None,
) -> FastAPI:
    """Build the API over one service.

    ``links`` verifies the tokens of ``/v1/files``, for stores whose links lead
    here. Whoever waits is answered once ``closing`` is set. ``observe`` is
    told of every answer, for metrics.
    """
    # The framework's own pages load scripts from a public network; ours do not.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.journal = service.ports.journal
    app.state.runtime = Runtime(
        service=service,
        links=links,
        closing=closing or threading.Event(),
        patience=patience or Patience(),
        bodies=BodyBudget(),
    )
    for kind in _ANSWERED:
        app.add_exception_handler(kind, _answer)
    ports = service.ports
    app.add_middleware(
        RequestMiddleware, clock=ports.clock, randomness=ports.randomness, journal=ports.journal, observe=observe
    )
    routers = _routers(offer)
    for router in routers:
        app.include_router(router)
    app.state.routes = [route for router in routers for route in router.routes]
    app.openapi = lambda: make_document(app)  # type: ignore[method-assign]  # the framework's way to replace it
    app.add_route("/openapi.json", _document, include_in_schema=False)
    app.add_route("/docs", _docs, include_in_schema=False)
    return app


def _routers(offer: Offer) -> list[APIRouter]:
    if offer is Offer.READS:
        reads = APIRouter()
        reads.routes = [route for route in exports.router.routes if getattr(route, "methods", set()) <= {"GET", "HEAD"}]
        return [reads]
    from sluice.api.http.routes import batches, stream  # noqa: PLC0415  # a face that only reads starts without their formats

    routers = [exports.router, batches.router, stream.router]
    if offer is Offer.EVERYTHING:
        from sluice.api.http.routes import files  # noqa: PLC0415  # only one machine serves files itself

        routers.append(files.router)
    return routers


async def _answer(request: Request, error: Exception) -> Response:
    return answer_error(request, error)


async def _document(request: Request) -> Response:
    return json_response(make_document(request.app))


async def _docs(request: Request) -> Response:
    return docs_page(make_document(request.app))
