"""A real `sluice serve` process over a directory, started, killed and started again by tests."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.support.command_forks import CommandForks, ForkedService

START_S = 30
STOP_S = 30

QUICK = {
    "SLUICE_CONCURRENCY_LEASE_S": "1.5",
    "SLUICE_CONCURRENCY_HEARTBEAT_S": "0.3",
    "SLUICE_CONCURRENCY_CLOCK_SKEW_S": "0.1",
    "SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "1",
    "SLUICE_CONCURRENCY_SWEEP_INTERVAL_S": "0.3",
    "SLUICE_CONCURRENCY_BACKOFF_S": "0.3",
    "SLUICE_CONCURRENCY_BACKOFF_MAX_S": "1",
}
"""Settings under which repairs take seconds rather than minutes."""


FORKED = ("SLUICE_", "AWS_")
"""Variables that the service reads when it runs; others may be for what happens before, or for a library's import."""


@cache
def _forks() -> CommandForks:
    forks = CommandForks("services")
    atexit.register(forks.end)
    return forks


class ServiceProcess:
    """One running service. Its group holds its workers, so that all can be killed at once.

    Unless it is to begin ``anew``, with an interpreter of its own, it is a fork of a process that has imported it,
    which saves most of its start.
    """

    def __init__(
        self,
        data: Path,
        *,
        env: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        name: str = "",
        pass_fds: tuple[int, ...] = (),
        cwd: Path | None = None,
        anew: bool = False,
    ) -> None:
        self.data = data
        name = name or data.name
        self.log = data.with_name(name + ".log")
        ready = data.with_name(name + ".ready")
        ready.unlink(missing_ok=True)
        command = ["serve", "--data", str(data), "--ready-file", str(ready)]
        command += ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0", *arguments]
        whole_env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | ForkedService
        with self.log.open("ab") as log:
            if anew or pass_fds or not all(one.startswith(FORKED) for one in env or ()):
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "sluice", *command],
                    env=whole_env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=pass_fds,
                    cwd=cwd,
                )
            else:
                request = {"arguments": command, "env": whole_env, "cwd": str(cwd or Path.cwd())}
                self.process = _forks().start_service(request, log.fileno())
        ports = self._wait_until_ready(ready)
        self.grpc_port, self.http_port, self.metrics_port = (
            ports[f"{face}_port"] for face in ("grpc", "http", "metrics")
        )
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.grpc_target = f"127.0.0.1:{self.grpc_port}"

    def _wait_until_ready(self, ready: Path) -> dict[str, int]:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at:
            if ready.exists():
                ports: dict[str, int] = json.loads(ready.read_bytes())
                return ports
            if self.process.poll() is not None:
                raise AssertionError(f"the service did not start:\n{self.log.read_text()}")
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the service was not ready in {START_S} s:\n{self.log.read_text()}")

    def kill(self, *, workers_too: bool = True) -> None:
        """SIGKILL, to the service alone or with its workers."""
        if workers_too:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines with this event."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]


def eventually(condition: Callable[[], object], *, timeout_s: float = 60) -> None:
    """Return when ``condition`` holds."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def serving(
    data: Path,
    *,
    env: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    pass_fds: tuple[int, ...] = (),
    cwd: Path | None = None,
    anew: bool = False,
) -> Iterator[ServiceProcess]:
    """A running service, stopped by SIGTERM at the end, by SIGKILL if that does not help."""
    service = ServiceProcess(data, env=env, arguments=arguments, pass_fds=pass_fds, cwd=cwd, anew=anew)
    try:
        yield service
        assert service.stop() == 0
    finally:
        if service.process.poll() is None:
            service.kill()
