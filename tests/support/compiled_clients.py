"""The clients that are compiled: once for each state of their sources, whichever tests and processes ask for them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build/clients"
JAVA_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
"""What makes short runs short: no second compiler, no threads that collect."""
JAVAC_FLAGS = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")
GO = {"GOCACHE": str(ROOT / "build/go-cache"), "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
"""What Go compiled stays in `build`; it needs no compiler of C and no network."""


def run(*command: str, folder: Path = ROOT, variables: Mapping[str, str] | None = None) -> str:
    """What a command prints; it must end well."""
    environment = {**os.environ, **(variables or {})}
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, (command, ended.stdout[-4_000:], ended.stderr[-4_000:])
    return ended.stdout


def java_sources() -> list[Path]:
    return sorted((ROOT / "clients/java").rglob("*.java"))


@cache
def compiled_java() -> Path:
    """The classes of the Java client and of its tests."""
    return _compiled("java", java_sources(), compile_java)


def compile_java(folder: Path) -> None:
    files = map(str, java_sources())
    checks = ("--release", "17", "-encoding", "UTF-8", "-Xlint:all,-serial", "-Werror")
    run("javac", *JAVAC_FLAGS, *checks, "-d", str(folder), *files)


def go_sources() -> list[Path]:
    return sorted(path for path in (ROOT / "clients/go").rglob("*") if path.suffix in {".go", ".mod"})


@cache
def compiled_go() -> Path:
    """The folder of `send`, the sender of the suite, and of `unit`, the client's own tests."""
    return _compiled("go", go_sources(), compile_go)


def compile_go(folder: Path) -> None:
    client = ROOT / "clients/go"
    run("go", "build", "-o", str(folder / "send"), "./tests/send", folder=client, variables=GO)
    run("go", "test", "-c", "-o", str(folder / "unit"), ".", folder=client, variables=GO)


def _compiled(name: str, sources: list[Path], compile_into: Callable[[Path], None]) -> Path:
    """The folder that ``compile_into`` filled from these sources; folders of other sources go."""
    digest = sha256(b"".join(b"%s\0%s\0" % (bytes(one), one.read_bytes()) for one in sources)).hexdigest()[:16]
    BUILT.mkdir(parents=True, exist_ok=True)
    folder = BUILT / f"{name}-{digest}"
    with (BUILT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for old in BUILT.glob(f"{name}-*"):
                shutil.rmtree(old)
            unfinished = BUILT / f"{name}-unfinished"
            unfinished.mkdir()
            compile_into(unfinished)
            unfinished.rename(folder)
    return folder
