"""Runs each `sluice` command in a fork of a process that has imported them all, so that no test waits for imports.

A service is such a command too, in a session of its own; it may outlive the fork that follows it, and is waited for by
what reads its status.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import sluice

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    *(f"sluice.cli.{name}" for name in ("explain", "failures", "key_commands", "table_commands", "task.commands")),
    *(f"sluice.cli.export.{name}" for name in ("command", "local_export", "remote_export")),
    *(f"sluice.app.{name}" for name in ("backends", "settings.schema")),
)
OF_SERVICES = (
    *(f"sluice.cli.{name}" for name in ("failures", "serve")),
    *(f"sluice.api.http.routes.{name}" for name in ("batches", "datasets", "exports", "files", "openapi")),
)
REQUEST_BYTES_MAX = 1 << 20


class ForkedService:
    """A service as a fork of what has imported it; answers as a ``subprocess.Popen`` does, as far as tests ask."""

    def __init__(self, status: int) -> None:
        """``status`` gives the process's number, and behind its end its exit code, each in a line."""
        self._status = status
        self.pid = _number(status)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("sluice serve", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, within_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], within_s)[0]:
            self.returncode = _number(self._status)
            os.close(self._status)
        return self.returncode


def _number(status: int) -> int:
    """Read one line, and nothing of the next."""
    digits = b""
    while (byte := os.read(status, 1)) not in (b"", b"\n"):
        digits += byte
    return int(digits)


class CommandForks:
    """The process that has imported the commands, or the service. It ends with this one, whose socket it reads."""

    def __init__(self, preloaded: str = "commands") -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.support.command_forks", str(theirs.fileno()), preloaded],
                cwd=ROOT,
                env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": _import_paths()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, request: dict[str, Any], files: tuple[int, int, int]) -> None:
        """Run ``arguments`` in ``cwd`` with ``env`` and these standard files, which are closed here."""
        socket.send_fds(self._line, [json.dumps(request).encode()], list(files))
        for file in files:
            os.close(file)

    def start_service(self, request: dict[str, Any], log: int) -> ForkedService:
        """Run ``arguments`` as a service whose standard output and error are ``log``."""
        status, theirs = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            socket.send_fds(self._line, [json.dumps(request).encode()], [nothing, log, log, theirs])
        finally:
            os.close(nothing)
            os.close(theirs)
        return ForkedService(status)

    def wait(self, *, timeout_s: float) -> int:
        """The exit code, as of ``subprocess``; kills the command when the time is over."""
        self._line.settimeout(timeout_s)
        pid = int(self._line.recv(32))
        try:
            return int(self._line.recv(32))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._line.recv(32)
            raise

    def end(self) -> None:
        self._line.close()
        self._process.wait(10)


def _import_paths() -> str:
    """Where the package that is tested comes from, and the tests."""
    return os.pathsep.join([str(Path(sluice.__file__).parents[1]), str(ROOT)])


def serve(line: socket.socket) -> None:
    """Answer requests until there are no more."""
    while True:
        data, files, _, _ = socket.recv_fds(line, REQUEST_BYTES_MAX, 4)
        if not data:
            return
        is_service = len(files) == 4
        child = os.fork()
        if not child:
            line.close()
            if is_service:
                _follow(json.loads(data), files)
            _become(json.loads(data), files)
            os._exit(_run())
        for file in files:
            os.close(file)
        if is_service:
            os.waitpid(child, 0)
            continue
        line.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _follow(request: dict[str, Any], files: list[int]) -> NoReturn:
    """Fork the service, say its number, wait for it and say how it ended; in a process that is waited for by none."""
    *files, status = files
    if os.fork():
        os._exit(0)
    os.setsid()
    service = os.fork()
    if not service:
        os.close(status)
        os.setsid()
        _become(request, files)
        os._exit(_run())
    for file in files:
        os.close(file)
    os.write(status, f"{service}\n".encode())
    _, ended = os.waitpid(service, 0)
    with suppress(BrokenPipeError):
        os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _become(request: dict[str, Any], files: list[int]) -> None:
    """Be the process that the request describes, as far as a fork can."""
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.argv = ["sluice", *request["arguments"]]


def _run() -> int:
    """Run the command and do what an interpreter does at its end, short of taking all modules apart."""
    code = 1
    try:
        import_module("sluice.cli.app").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are left
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def preload(what: str) -> None:
    names, arguments = (OF_SERVICES, ["serve", "--help"]) if what == "services" else (PRELOADED, ["explain"])
    for name in names:
        import_module(name)
    with redirect_stdout(io.StringIO()), suppress(SystemExit):
        import_module("sluice.cli.app").main(arguments)  # what every command line imports when it is read
    gc.collect()
    gc.freeze()  # or each fork's first collection would copy all that is imported


if __name__ == "__main__":
    preload(sys.argv[2])
    serve(socket.socket(fileno=int(sys.argv[1])))
