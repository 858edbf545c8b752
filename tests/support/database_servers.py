"""Real PostgreSQL and MariaDB servers over a temporary directory, on a socket of their own: no port, no network."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import skip_without

Query = Callable[[str], str]
"""Runs statements and gives what they print."""
STARTS_IN_S = 60


@contextmanager
def serving_postgresql() -> Iterator[Query]:
    """Statements go through `psql`, whose ``\\copy`` reads files. Skips the test where there is no server."""
    skip_without("postgres")
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    with _folder_of("postgres") as (folder, runs_as):
        data, socket = folder / "data", str(folder)
        _run(
            [
                *runs_as,
                str(binaries[-1] / "initdb"),
                "-D",
                str(data),
                "-U",
                "tester",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ]
        )
        command = [
            *runs_as,
            str(binaries[-1] / "postgres"),
            "-D",
            str(data),
            "-k",
            socket,
            "-c",
            "listen_addresses=",
            "-F",
        ]
        psql = ["psql", "-X", "-q", "-A", "-t", "-h", socket, "-U", "tester", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
        with _server(command, [*psql, "-c", "select 1"]):
            yield lambda text: _run(psql, text)


@contextmanager
def serving_mariadb() -> Iterator[Query]:
    """Statements go through `mariadb`, with files of the client allowed. Skips the test where there is no server."""
    skip_without("mariadbd")
    with _folder_of("mysql") as (folder, runs_as):
        data, socket = str(folder / "data"), str(folder / "socket")
        _run(
            [
                *runs_as,
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
            ]
        )
        command = [
            *runs_as,
            "mariadbd",
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={socket}",
            "--skip-networking",
        ]
        client = ["mariadb", "--no-defaults", f"--socket={socket}", "-u", "root", "--local-infile=1", "-N", "-B"]
        with _server([*command, "--local-infile=1", "--character-set-server=utf8mb4"], [*client, "-e", "select 1"]):
            yield lambda text: _run([*client, "--default-character-set=utf8mb4", "--show-warnings"], text)


@contextmanager
def _folder_of(user: str) -> Iterator[tuple[Path, Sequence[str]]]:
    """A folder for a server, and how it is started: neither server runs as root."""
    with tempfile.TemporaryDirectory(prefix="db") as name:
        folder = Path(name)
        if os.getuid() != 0:
            yield folder, []
            return
        owner = pwd.getpwnam(user)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)
        yield folder, ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


@contextmanager
def _server(command: Sequence[str], probe: Sequence[str]) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") as server:
        try:
            give_up_at = time.monotonic() + STARTS_IN_S
            while subprocess.run(probe, capture_output=True, check=False).returncode:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < give_up_at, "the server does not answer"
                time.sleep(0.1)
            yield
        finally:
            server.terminate()
            server.wait(STARTS_IN_S)


def _run(command: Sequence[str], text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=100, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout
