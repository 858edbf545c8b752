"""Runs each `sluice` command in a fork of a process that has imported them all, so that no test waits for imports."""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import sluice

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    *(f"sluice.cli.{name}" for name in ("explain", "failures", "key_commands", "table_commands", "task.commands")),
    *(f"sluice.cli.export.{name}" for name in ("command", "local_export", "remote_export")),
    *(f"sluice.app.{name}" for name in ("backends", "settings.schema")),
)
REQUEST_BYTES_MAX = 1 << 20


class CommandForks:
    """The process that has imported the commands. It ends with this one, whose socket it reads."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.command_forks", str(theirs.fileno())],
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
        data, files, _, _ = socket.recv_fds(line, REQUEST_BYTES_MAX, 3)
        if not data:
            return
        child = os.fork()
        if not child:
            line.close()
            _become(json.loads(data), files)
            os._exit(_run())
        for file in files:
            os.close(file)
        line.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict[str, Any], files: list[int]) -> None:
    """Be the process that the request describes, as far as a fork can."""
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
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


def preload() -> None:
    for name in PRELOADED:
        import_module(name)
    with redirect_stdout(io.StringIO()), suppress(SystemExit):
        import_module("sluice.cli.app").main(["explain"])  # what every command line imports when it is read
    gc.collect()
    gc.freeze()  # or each fork's first collection would copy all that is imported


if __name__ == "__main__":
    preload()
    serve(socket.socket(fileno=int(sys.argv[1])))
