"""An event function: a fresh process for every invocation, within its limits."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from infra.emulators.function_compute.deployment import FunctionSpec
from infra.emulators.function_compute.environment import (
    ACCOUNT_ID,
    Place,
    RoleKey,
    function_environment,
    key_variables,
    python_path,
)
from infra.emulators.function_compute.process_watch import Ended, watch

RUNNER = Path(__file__).with_name("event_runner.py")
CREDENTIALS_IN_CONTEXT = ("python3.6", "python3.9", "python3.10", "python3")
MIB = 2**20

Outcome = Literal["success", "exception", "timeout", "memory", "crash"]


class Invocation(NamedTuple):
    """One run of a function."""

    function: str
    request_id: str
    outcome: Outcome
    payload: str
    """What it returned, or what it raised."""
    seconds: float
    peak_bytes: int
    import_s: float
    import_peak_bytes: int
    log: str


class EventFunction:
    """Runs events through a handler. Safe in several threads: every event has its own instance."""

    def __init__(self, spec: FunctionSpec, place: Place) -> None:
        self.spec = spec
        self._place = place
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def invoke(self, event: bytes, key: RoleKey, *, request_id: str, retry_count: int = 0) -> Invocation:
        """Run the event to its end, whichever that is."""
        read_end, write_end = os.pipe()
        with tempfile.TemporaryFile() as log, os.fdopen(read_end, "rb") as answers:
            process = self._start(key, log, write_end)
            try:
                os.close(write_end)
                _feed(process, self._call(key, request_id, retry_count), event)
                ended = watch(process, memory_bytes=self.spec.memory_mb * MIB, timeout_s=self.spec.timeout_s)
            finally:
                self._forget(process)
            answer = answers.read()
            log.seek(0)
            return self._invocation(request_id, ended, answer, log.read().decode("utf-8", "replace"))

    def kill_running(self) -> int:
        """Kill every instance, as a failing machine would. Returns how many there were."""
        with self._lock:
            running = list(self._running.values())
        for process in running:
            process.kill()
        return len(running)

    def _start(self, key: RoleKey, log: IO[bytes], answer_fd: int) -> subprocess.Popen[bytes]:
        variables = function_environment(self.spec, self._place)
        if not self._has_credentials_in_context:
            variables |= key_variables(key)
        variables["PYTHONPATH"] = python_path(variables, self.spec, self._place)
        interpreter = self._place.interpreter
        # -P: the runner's own folder is no place for the function's imports.
        command = [str(interpreter.python), *interpreter.flags, "-P", str(RUNNER), str(answer_fd)]
        process = subprocess.Popen(
            command,
            cwd=self.spec.code,
            env=variables,
            pass_fds=(answer_fd,),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        with self._lock:
            self._running[process.pid] = process
        return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.pop(process.pid, None)
        if process.poll() is None:
            process.kill()
            process.wait()

    @property
    def _has_credentials_in_context(self) -> bool:
        return self.spec.runtime in CREDENTIALS_IN_CONTEXT

    def _call(self, key: RoleKey, request_id: str, retry_count: int) -> bytes:
        described = {
            "handler": self.spec.handler,
            "request_id": request_id,
            "function": {
                "name": self.spec.name,
                "handler": self.spec.handler,
                "memory": self.spec.memory_mb,
                "timeout": int(self.spec.timeout_s),
                "version_id": "LATEST",
                "qualifier": "LATEST",
            },
            "region": self._place.region,
            "account_id": ACCOUNT_ID,
            "retry_count": retry_count,
            "credentials": key._asdict() if self._has_credentials_in_context else None,
        }
        return json.dumps(described).encode() + b"\n"

    def _invocation(self, request_id: str, ended: Ended, answer: bytes, log: str) -> Invocation:
        said: dict[str, Any] = json.loads(answer) if answer else {}
        outcome: Outcome = "crash"
        if ended.why != "ended":
            outcome = ended.why
        elif said:
            outcome = "success" if said["ok"] else "exception"
        payload = said.get("payload") or f"{said.get('error_type', outcome)}: {said.get('message', ended.exit_code)}"
        return Invocation(
            function=self.spec.name,
            request_id=request_id,
            outcome=outcome,
            payload=payload,
            seconds=ended.seconds,
            peak_bytes=max(ended.peak_bytes, said.get("peak_bytes", 0)),
            import_s=said.get("import_s", 0.0),
            import_peak_bytes=said.get("import_peak_bytes", 0),
            log=log,
        )


def _feed(process: subprocess.Popen[bytes], call: bytes, event: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(call + event)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it is gone already; the watch tells how
