"""The listening ports of a service: gRPC, HTTP, health and metrics; their start and their orderly end."""

from __future__ import annotations

import ctypes
import resource
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.types import ASGIApp

from sluice.adapters.directory.links import LocalLinks, WatchAddresses
from sluice.api.auth import KeyRing, OpenRing
from sluice.api.grpc.dispatch import Observe
from sluice.api.grpc.server import GrpcLimits, GrpcServer, TlsFiles
from sluice.api.http.app import RouteSet, build_http_app
from sluice.api.http.bodies.body import BodyTimeouts
from sluice.api.http.routes.health import HealthApp
from sluice.api.http.server.middleware import SiteMiddleware
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.api.loopback import require_keys_unless_loopback
from sluice.api.service import Service
from sluice.app.backends import backend_of
from sluice.app.settings.validation import Settings, SettingsError
from sluice.app.telemetry.telemetry import Telemetry
from sluice.app.tokens import open_tokens
from sluice.domain.dataset import Dataset
from sluice.domain.limits import KIB
from sluice.ports.bundle import Ports
from sluice.ports.log_context import choose_request_id
from sluice.usecases.running.find_jobs import NO_JOBS, Jobs

_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1
"""Options of glibc's ``mallopt``."""
GRPC_CONNECTIONS_TIMES = 8
"""As many connections as over HTTP: mute ones cost 15 KB each there, and look like any other."""
HEALTH_CONNECTIONS_MAX = 64
"""Of the port for health and metrics: whatever is asked of the other ports, this one answers."""


class CannotListenError(OSError):
    """A port is taken, or not ours to take; says which setting named it."""


class Servers(NamedTuple):
    """Where a running service listens."""

    grpc_port: int
    http_port: int
    metrics_port: int
    open_to_all: bool
    """No API key exists, so every caller that reaches the port is let in; only on a loopback address."""


@contextmanager
def open_servers(
    settings: Settings,
    ports: Ports,
    telemetry: Telemetry,
    *,
    links: LocalLinks | None,
    watches: WatchAddresses | None,
    health: HealthApp,
    datasets: Callable[[], Mapping[str, Dataset]] = dict,
    jobs: Jobs = NO_JOBS,
) -> Iterator[Servers]:
    """Listen until the context ends, then drain all ports at once within ``server.shutdown_grace_s``.

    ``links`` are those whose files this service serves itself. Raises
    ``KeysMissingError`` when the settings would let strangers in, and
    ``CannotListenError`` when a port is taken; nothing listens then.
    """
    ring = open_ring(settings, ports)
    require_keys_unless_loopback(settings.server.host, ring)
    service = Service.over(
        ports,
        ring,
        rate_per_s=settings.security.rate_limit_per_s,
        burst=settings.security.rate_limit_burst,
        user_rate_per_s=settings.datasets.user_rate_per_s,
        user_burst=settings.datasets.user_rate_burst,
        admit_timeout_s=settings.concurrency.queue_timeout_s,
        datasets=datasets,
        jobs=jobs,
        watch_url=watches.mint if watches is not None else None,
    )
    closing = threading.Event()
    hosts = frozenset(filter(None, (settings.server.host, urlsplit(settings.server.public_url).hostname)))
    app = _http_app(settings, service, telemetry, links=links, watches=watches, closing=closing, hosts=hosts)
    _allow_files()
    give_memory_back()
    listen = partial(_http_server, settings, ports, closing=closing)
    monitored = SiteMiddleware(health.build(), ring=ring, hosts=hosts, journal=ports.journal)
    monitoring = listen(monitored, settings.monitoring.metrics_port, HEALTH_CONNECTIONS_MAX)
    http = listen(app, settings.server.http_port, settings.server.connections_max)
    grpc = _grpc_server(settings, service, observe=telemetry.metrics.observe_request)
    health.live_while("grpc", grpc.check)
    started: list[Callable[[float], object]] = []
    try:
        numbers = []
        for setting, server in (
            ("server.grpc_port", grpc),
            ("server.http_port", http),
            ("monitoring.metrics_port", monitoring),
        ):
            numbers.append(_start(setting, server))
            started.append(server.drain)
        grpc_port, http_port, metrics_port = numbers
        yield Servers(grpc_port, http_port, metrics_port, open_to_all=not ring.has_keys())
    finally:
        if started:  # all at once, for they share the deadline
            with ThreadPoolExecutor(len(started)) as drains:
                list(drains.map(lambda drain: drain(settings.server.shutdown_grace_s), started))


def _start(setting: str, server: GrpcServer | HttpServer) -> int:
    try:
        return server.start()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        way_out = (
            f"stop what has it, or give another: --{setting.partition('.')[2].replace('_', '-')}, 0 takes a free one"
        )
        raise CannotListenError(f"{setting}: cannot listen there: {reason}; {way_out}") from error


def open_ring(settings: Settings, ports: Ports) -> KeyRing | OpenRing:
    """Who may call, by the keys in their store."""
    keys, tokens = backend_of(settings).open_keys(settings), open_tokens(settings, ports)
    ring = KeyRing(keys, clock=ports.clock, journal=ports.journal, tokens=tokens)
    return ring if settings.security.auth_required else OpenRing(ring)


def _allow_files() -> None:
    """Let the process open as many files as it may: each connection of each port is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def give_memory_back() -> None:
    """Have the allocator of glibc give large blocks back to the system, and share arenas between threads.

    Left alone it has eight arenas for each processor and keeps in each what the bodies of one moment took.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, 256 * KIB), (_M_TRIM_THRESHOLD, 256 * KIB)):
            mallopt(option, value)


def _http_app(
    settings: Settings,
    service: Service,
    telemetry: Telemetry,
    *,
    links: LocalLinks | None,
    watches: WatchAddresses | None,
    closing: threading.Event,
    hosts: Iterable[str],
) -> Starlette:
    timeout_s = settings.server.sender_timeout_s
    return build_http_app(
        service,
        routes=RouteSet.WITHOUT_FILES if links is None else RouteSet.ALL,
        links=links,
        watches=watches,
        closing=closing,
        body_timeouts=BodyTimeouts(idle_s=timeout_s, total_s=timeout_s),
        requests_max=settings.server.connections_max,
        hosts=hosts,
        allowed_origins=settings.datasets.allowed_origins,
        trusted_proxies=settings.server.trusted_proxies,
        tenant_share=settings.server.tenant_share,
        observe=telemetry.metrics.observe_request,
    )


def _http_server(
    settings: Settings, ports: Ports, app: ASGIApp, port: int, connections_max: int, *, closing: threading.Event
) -> HttpServer:
    listen_on = ListenOn(
        host=settings.server.host,
        port=port,
        connections_max=connections_max,
        idle_s=settings.server.idle_timeout_s,
        tls_certificate_file=settings.security.tls_certificate_file,
        tls_key_file=settings.security.tls_key_file,
    )
    return HttpServer(app, listen_on, new_request_id=lambda: choose_request_id(None, ports.randomness), closing=closing)


def _check_tls(certificate_file: str, key_file: str) -> None:
    """Raise ``SettingsError`` for files that are no certificate and its key; servers would only say: cannot listen."""
    try:
        # An empty password, since the library would ask the terminal for that of a key that has one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file, password="")
    except ssl.SSLError as error:
        names = "security.tls_certificate_file, security.tls_key_file"
        reason = (error.reason or "cannot be read").lower().replace("_", " ")
        problem = f"{names}: are no certificate (PEM) and its private key without a password: {reason}"
        raise SettingsError([problem]) from None


def _grpc_server(settings: Settings, service: Service, *, observe: Observe) -> GrpcServer:
    security, defaults = settings.security, GrpcLimits()
    tls = None
    if security.tls_certificate_file:
        _check_tls(security.tls_certificate_file, security.tls_key_file)
        tls = TlsFiles(Path(security.tls_certificate_file).read_bytes(), Path(security.tls_key_file).read_bytes())
    return GrpcServer(
        service,
        host=settings.server.host,
        port=settings.server.grpc_port,
        limits=GrpcLimits(
            message_bytes_max=max(defaults.message_bytes_max, 2 * settings.performance.max_batch_bytes),
            calls_max=settings.server.grpc_calls_max,
            tenant_share=settings.server.tenant_share,
            connections_max=settings.server.connections_max * GRPC_CONNECTIONS_TIMES,
            strangers_max=settings.server.connections_max,
            callers_max=settings.server.connections_max,
            message_timeout_s=settings.server.sender_timeout_s,
            idle_timeout_s=settings.server.idle_timeout_s,
        ),
        tls=tls,
        reflection=settings.server.reflection,
        observe=observe,
    )
