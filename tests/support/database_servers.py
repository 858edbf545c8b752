"""Real PostgreSQL and MariaDB servers over a temporary directory, on sockets of their own or ports of this machine."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_server
from typing import NamedTuple

from tests.support.programs import skip_without

Query = Callable[[str], str]
"""Runs statements and gives what they print."""
STARTS_IN_S = 60
# Everyone but the owner needs a password.
POSTGRESQL_ACCESS = "local all tester trust\nlocal all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with closing(create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


class DatabaseServer(NamedTuple):
    """A server that runs. Calling it runs statements as its owner, and gives what they print."""

    host: str
    """The path of its socket, or of the folder of it, as a connection names it."""
    user: str
    """Its owner, who needs no password here."""
    database: str
    """Of a MariaDB still to be made."""
    query: Query
    process: subprocess.Popen[bytes]

    def __call__(self, text: str) -> str:
        return self.query(text)


@contextmanager
def postgresql_locks(server: DatabaseServer, table: str) -> Iterator[None]:
    """Keep all other sessions of a PostgreSQL server from a table until the context ends."""
    command = [*_psql(), "-h", server.host, "-U", server.user, server.database]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(f"BEGIN; LOCK TABLE {table}; SELECT 'locked';\n")
        other.stdin.flush()
        assert other.stdout.readline().strip() == "locked"
        yield
        other.stdin.close()


@contextmanager
def serving_postgresql(*options: str, port: int | None = None) -> Iterator[DatabaseServer]:
    """Statements go through `psql`, whose ``\\copy`` reads files. Skips the test where there is no server."""
    skip_without("postgres")
    binaries = _postgresql_binaries()
    with _folder_of("postgres") as (folder, runs_as):
        data, socket = folder / "data", str(folder)
        _run(
            [
                *runs_as,
                str(binaries / "initdb"),
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
        (data / "pg_hba.conf").write_text(POSTGRESQL_ACCESS)
        command = [
            *runs_as,
            str(binaries / "postgres"),
            "-D",
            str(data),
            "-k",
            socket,
            "-c",
            f"listen_addresses={'127.0.0.1' if port else ''}",
            "-p",
            str(port or 5432),
            "-F",
            *options,
        ]
        psql = [*_psql(), "-h", socket, "-p", str(port or 5432), "-U", "tester", "-d", "postgres"]
        psql += ["-v", "ON_ERROR_STOP=1"]
        with _server(command, [*psql, "-c", "select 1"]) as process:
            yield DatabaseServer(socket, "tester", "postgres", lambda text: _run(psql, text), process)


@contextmanager
def serving_mariadb(*options: str, port: int | None = None) -> Iterator[DatabaseServer]:
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
            *(["--bind-address=127.0.0.1", f"--port={port}"] if port else ["--skip-networking"]),
            "--local-infile=1",
            "--character-set-server=utf8mb4",
            *options,
        ]
        client = ["mariadb", "--no-defaults", f"--socket={socket}", "-u", "root", "--local-infile=1", "-N", "-B"]
        with _server(command, [*client, "-e", "select 1"]) as process:
            shown = [*client, "--default-character-set=utf8mb4", "--show-warnings"]
            yield DatabaseServer(socket, "root", "shop", lambda text: _run(shown, text), process)


def give_zone(server: DatabaseServer, zone: str) -> None:
    """Let a MariaDB know a time zone by its name."""
    server("USE mysql; " + _run(["mariadb-tzinfo-to-sql", f"/usr/share/zoneinfo/{zone}", zone]))


def _postgresql_binaries() -> Path:
    return max(Path("/usr/lib/postgresql").glob("*/bin"))


def _psql() -> list[str]:
    """The program itself: the one in the path may be a script that looks for it, three times as long."""
    return [str(_postgresql_binaries() / "psql"), "-X", "-q", "-A", "-t"]


@contextmanager
def _folder_of(user: str) -> Iterator[tuple[Path, Sequence[str]]]:
    """A folder for a server, and how it is started: neither server runs as root.

    What it makes for a while is there too: MariaDB removes the temporary tables of others where it starts.
    """
    with tempfile.TemporaryDirectory(prefix="db") as name:
        folder = Path(name)
        in_its_own = ["env", f"TMPDIR={folder}"]
        if os.getuid() != 0:
            yield folder, in_its_own
            return
        owner = pwd.getpwnam(user)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)
        yield folder, ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *in_its_own]


@contextmanager
def _server(command: Sequence[str], probe: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") as server:
        try:
            give_up_at = time.monotonic() + STARTS_IN_S
            while subprocess.run(probe, capture_output=True, check=False).returncode:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < give_up_at, "the server does not answer"
                time.sleep(0.1)
            yield server
        finally:
            server.terminate()
            server.wait(STARTS_IN_S)


def _run(command: Sequence[str], text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=100, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout
