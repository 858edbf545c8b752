"""A custom runtime: a server of its own on the function's port, started once and asked over HTTP."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from infra.emulators.function_compute.deployment import FunctionSpec
from infra.emulators.function_compute.environment import Place, RoleKey, function_environment, request_headers
from infra.emulators.function_compute.process_watch import LOOK_EVERY_S, peak_bytes

ADDRESS = "127.0.0.2"
"""How the platform reaches an instance: a server that listens on 127.0.0.1 only is not found, as in the cloud."""
START_S = 60
STOP_S = 10
MIB = 2**20


class FunctionNotStartedError(Exception):
    """The instance does not answer on its port, or its initializer failed."""


class CustomFunction:
    """One instance, started when it is first needed and again when it has died."""

    def __init__(self, spec: FunctionSpec, place: Place, *, log: Path, start_s: float = START_S) -> None:
        self.spec = spec
        self.log = log
        self.peak_bytes = 0
        self.starts = 0
        self.cold_start_s = 0.0
        """How long the last start took, until the first request could be served."""
        self._place = place
        self._start_s = start_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def address(self, key: RoleKey) -> tuple[str, int]:
        """Where the instance listens, starting it if need be. Raises FunctionNotStartedError."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start(key)
            return ADDRESS, self._port

    def headers(self, key: RoleKey, request_id: str) -> dict[str, str]:
        """What the platform adds to a caller's request."""
        return request_headers(self.spec, key, region=self._place.region, request_id=request_id)

    def kill(self) -> None:
        """Kill the instance, as a failing machine would."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def stop(self, key: RoleKey) -> None:
        """Say so first, if the function wants to know; then end it."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return
            try:
                if self.spec.pre_stop is not None:
                    self._hook("GET", "/pre-stop", key, timeout_s=self.spec.pre_stop.timeout_s)
            finally:
                _end(self._process)

    def _start(self, key: RoleKey) -> None:
        started = time.monotonic()
        self._port = _free_port()
        variables = function_environment(self.spec, self._place)
        variables["FC_CUSTOM_LISTEN_PORT"] = str(self._port)
        variables["FC_INSTANCE_ID"] = f"local-{self.spec.name}-{self.starts}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.spec.code, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.starts += 1
        threading.Thread(target=self._watch_memory, args=(self._process,), daemon=True).start()
        try:
            self._wait_for_port(self._process)
            if self.spec.initializer is not None:
                self._hook("POST", "/initialize", key, timeout_s=self.spec.initializer.timeout_s)
        except FunctionNotStartedError:
            _end(self._process)
            raise
        self.cold_start_s = time.monotonic() - started

    def _command(self) -> list[str]:
        interpreter = self._place.interpreter
        program, *arguments = self.spec.command or (str(self.spec.code / "bootstrap"),)
        if Path(program).name.startswith("python3"):
            return [str(interpreter.python), *interpreter.flags, *arguments]
        return [program, *arguments]

    def _wait_for_port(self, process: subprocess.Popen[bytes]) -> None:
        give_up_at = time.monotonic() + self._start_s
        while time.monotonic() < give_up_at and process.poll() is None:
            try:
                socket.create_connection((ADDRESS, self._port), timeout=1).close()
            except OSError:
                time.sleep(LOOK_EVERY_S)
            else:
                return
        raise FunctionNotStartedError(f"{self.spec.name} does not listen on 0.0.0.0:{self._port}; see {self.log}")

    def _hook(self, method: str, path: str, key: RoleKey, *, timeout_s: float) -> None:
        connection = http.client.HTTPConnection(ADDRESS, self._port, timeout=timeout_s)
        headers = request_headers(self.spec, key, region=self._place.region, request_id="hook", control_path=path)
        try:
            connection.request(method, path, headers=headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise FunctionNotStartedError(f"{self.spec.name}: {path} did not answer: {error!r}") from error
        finally:
            connection.close()
        if status // 100 != 2:
            raise FunctionNotStartedError(f"{self.spec.name}: {path} answered {status}")

    def _watch_memory(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            self.peak_bytes = max(self.peak_bytes, peak_bytes(process.pid))
            if self.peak_bytes > self.spec.memory_mb * MIB:
                process.kill()
            time.sleep(LOOK_EVERY_S * 5)


def _free_port() -> int:
    with socket.create_server(("", 0)) as unused:
        return int(unused.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
