"""`sluice serve`: the whole service over one directory, until a signal says stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer

from sluice.adapters.directory.atomic_file import whole_file
from sluice.app.one_machine import SERVING, RunningService, run_service
from sluice.app.settings.validation import load_settings
from sluice.app.stop_signal import ServingThreads, wait_for_stop
from sluice.cli.formatting import say
from sluice.domain.errors import ErrorCode, SluiceError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    data: Annotated[Path | None, typer.Option(help="Directory that holds everything; made when missing.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file; see config.example.yaml.", exists=True)] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    http_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    definitions: Annotated[
        Path | None, typer.Option(help="Folder of tables that users may have as files; see docs/datasets.md.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written with the ports as JSON once the service takes calls.")
    ] = None,
) -> None:
    """Serve exports: gRPC, HTTP, composers, sweeper, links, health and metrics.

    Example: sluice serve --data /var/lib/sluice

    Any number of services may share one directory. SIGTERM stops taking
    calls, lets running ones end, and leaves; SIGKILL loses nothing either.
    """
    flags = {
        "storage.data_directory": None if data is None else str(data),
        "server.host": host,
        "server.grpc_port": grpc_port,
        "server.http_port": http_port,
        "monitoring.metrics_port": metrics_port,
        "datasets.definitions": None if definitions is None else str(definitions),
    }
    warnings: list[str] = []
    settings = load_settings(config, flags, warnings=warnings)
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: _stop(stop, number, frame))
    _withdraw(ready_file)
    with run_service(settings, warnings=warnings) as running:
        _announce(running, ready_file)
        dead = wait_for_stop(stop, ServingThreads(SERVING))
        _withdraw(ready_file)
    if dead:  # what starts services starts it again
        raise SluiceError(ErrorCode.INTERNAL, f"the thread {dead} ended, and the service with it")


def _stop(stop: threading.Event, number: int, _: FrameType | None) -> None:
    """Drain at the first signal; at the second, leave at once."""
    if stop.is_set():
        os._exit(128 + number)
    stop.set()


def _withdraw(ready_file: Path | None) -> None:
    """Remove the ready file of this service, or of one that was killed."""
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)


def _announce(running: RunningService, ready_file: Path | None) -> None:
    """Print where the service listens, and write it to the ready file."""
    servers = running.servers
    if sys.stdout.isatty():
        say(f"Serving {running.public_url} (docs at /docs), gRPC on port {servers.grpc_port}.")
        if servers.open_to_all:
            say("No API key is configured: only this machine may call. Add one: sluice keys add TENANT")
    if ready_file is not None:
        with whole_file(ready_file) as file:
            file.write(msgspec.json.encode({"pid": os.getpid(), **servers._asdict()}))
