"""The listening ports of a service: gRPC, HTTP, health and metrics; their start and their orderly end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from starlette.types import ASGIApp

from sluice.adapters.directory.local_links import LocalLinks
from sluice.api.auth import KeyRing, OpenRing, require_keys_unless_loopback
from sluice.api.call_ids import choose_request_id
from sluice.api.grpc.call import Observe
from sluice.api.grpc.server import GrpcFace, GrpcLimits, TlsFiles
from sluice.api.http.app import Offer, build_http_app
from sluice.api.http.bodies import Patience
from sluice.api.http.health import HealthApp
from sluice.api.http.server import HttpFace, ListenOn
from sluice.api.rate_limit import RateLimiter
from sluice.api.service import Service
from sluice.ports.outside import Outside
from sluice.usecases.find_task import Definitions
from sluice.wiring.key_store import open_key_store
from sluice.wiring.settings import Settings
from sluice.wiring.telemetry import Telemetry


class CannotListenError(OSError):
    """A port is taken, or not ours to take; says which setting named it."""


class Faces(NamedTuple):
    """Where a running service listens."""

    grpc_port: int
    http_port: int
    metrics_port: int
    open_to_all: bool
    """No API key exists, so whoever reaches the port may call; only on a loopback address."""


@contextmanager
def open_faces(
    settings: Settings, outside: Outside, telemetry: Telemetry, *, links: LocalLinks | None, health: HealthApp
) -> Iterator[Faces]:
    """Listen until the context ends, then drain all ports at once within ``server.shutdown_grace_s``.

    ``links`` are those whose files this service serves itself. Raises
    ``KeysMissingError`` when the settings would let strangers in, and
    ``CannotListenError`` when a port is taken; nothing listens then.
    """
    ring = open_ring(settings, outside)
    require_keys_unless_loopback(settings.server.host, ring)
    service = _service(settings, outside, ring)
    closing = threading.Event()
    app = build_http_app(
        service,
        offer=Offer.NO_FILES if links is None else Offer.EVERYTHING,
        links=links,
        closing=closing,
        patience=Patience(idle_s=settings.server.idle_timeout_s, total_s=settings.server.request_timeout_s),
        observe=telemetry.metrics.observe_request,
    )
    monitoring = _http_face(settings, outside, health.build(), port=settings.monitoring.metrics_port, closing=closing)
    http = _http_face(settings, outside, app, port=settings.server.http_port, closing=closing)
    grpc = _grpc_face(settings, service, observe=telemetry.metrics.observe_request)
    started: list[Callable[[float], object]] = []
    try:
        ports = []
        for setting, face in (
            ("server.grpc_port", grpc),
            ("server.http_port", http),
            ("monitoring.metrics_port", monitoring),
        ):
            ports.append(_start(setting, face))
            started.append(face.drain)
        grpc_port, http_port, metrics_port = ports
        yield Faces(grpc_port, http_port, metrics_port, open_to_all=not ring.has_keys())
    finally:
        _drain(started, settings.server.shutdown_grace_s)


def _start(setting: str, face: GrpcFace | HttpFace) -> int:
    try:
        return face.start()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CannotListenError(f"{setting}: cannot listen there: {reason}") from error


def open_ring(settings: Settings, outside: Outside) -> KeyRing | OpenRing:
    """Who may call, by the keys in their store."""
    ring = KeyRing(open_key_store(settings), clock=outside.clock, journal=outside.journal)
    return ring if settings.security.auth_required else OpenRing(ring)


def _service(settings: Settings, outside: Outside, ring: KeyRing | OpenRing) -> Service:
    limiter = RateLimiter(
        clock=outside.clock,
        journal=outside.journal,
        per_s=settings.security.rate_limit_per_s,
        burst=settings.security.rate_limit_burst,
    )
    return Service(outside=outside, definitions=Definitions(outside), ring=ring, rate_limiter=limiter)


def _http_face(settings: Settings, outside: Outside, app: ASGIApp, *, port: int, closing: threading.Event) -> HttpFace:
    listen_on = ListenOn(
        host=settings.server.host,
        port=port,
        connections_max=settings.server.connections_max,
        idle_s=settings.server.idle_timeout_s,
        tls_certificate_file=settings.security.tls_certificate_file,
        tls_key_file=settings.security.tls_key_file,
    )
    return HttpFace(app, listen_on, new_request_id=lambda: choose_request_id(None, outside.randomness), closing=closing)


def _grpc_face(settings: Settings, service: Service, *, observe: Observe) -> GrpcFace:
    security, defaults = settings.security, GrpcLimits()
    tls = None
    if security.tls_certificate_file:
        tls = TlsFiles(Path(security.tls_certificate_file).read_bytes(), Path(security.tls_key_file).read_bytes())
    return GrpcFace(
        service,
        host=settings.server.host,
        port=settings.server.grpc_port,
        limits=GrpcLimits(
            message_bytes_max=max(defaults.message_bytes_max, 2 * settings.performance.max_batch_bytes),
            calls_max=settings.server.connections_max,
            message_timeout_s=settings.server.request_timeout_s,
            idle_timeout_s=settings.server.idle_timeout_s,
        ),
        tls=tls,
        reflection=settings.server.reflection,
        observe=observe,
    )


def _drain(started: list[Callable[[float], object]], deadline_s: float) -> None:
    """Drain all at once: they share the deadline."""
    if started:
        with ThreadPoolExecutor(len(started)) as drains:
            list(drains.map(lambda drain: drain(deadline_s), started))
