"""What a start costs each function: import time and memory from the built layers, with and without their bytecode."""

from __future__ import annotations

import json
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from infra.build_layers import OUTPUT, build_deps, build_sluice
from infra.emulators.function_compute.interpreter import find_deployed_python
from tests.bench.results import Started

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
SUBJECTS = {
    "compose": ("compose", "compose"),
    "sweep": ("sweep", "sweep"),
    "query": ("query", "query"),
    "relay http": ("relay", "sluice.app.functions.http_function"),
    "relay grpc": ("relay", "sluice.app.functions.grpc_function"),
}
"""Name: the function's folder, and the module that loads all that it needs before its first call."""

_PROGRAM = """
import sys, time
started = time.perf_counter()
__import__(sys.argv[1])
took = time.perf_counter() - started
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
import json
print(json.dumps({"import_s": took, "peak_bytes": peak, "modules": len(sys.modules)}))
"""


class Start(NamedTuple):
    """One start, as it was measured inside of the process."""

    import_s: float
    peak_bytes: int
    modules: int


def measure_starts(rounds: int) -> list[Started]:
    """Every function, the best of the rounds; nothing where the Python that functions run on is not installed."""
    try:
        python = find_deployed_python()
    except FileNotFoundError:
        return []
    with tempfile.TemporaryDirectory() as folder:
        opt = unpack_layers(Path(folder), python)
        no_cache = ("-X", f"pycache_prefix={folder}/none")
        return [
            _started(
                name,
                [start(python, opt, *subject) for _ in range(rounds)],
                [start(python, opt, *subject, *no_cache) for _ in range(rounds)],
            )
            for name, subject in SUBJECTS.items()
        ]


def _started(name: str, starts: list[Start], fresh: list[Start]) -> Started:
    return Started(
        function=name,
        import_ms=1000 * min(starts).import_s,
        without_bytecode_ms=1000 * min(fresh).import_s,
        peak_bytes=min(one.peak_bytes for one in starts),
        modules=starts[0].modules,
    )


def unpack_layers(folder: Path, python: Path) -> Path:
    """Build the layers and unpack them; gives what stands for /opt/python."""
    build_deps(OUTPUT, cache=OUTPUT / "downloads", python=python)
    build_sluice(OUTPUT, python=python)
    for name in ("deps", "sluice"):
        with zipfile.ZipFile(OUTPUT / f"{name}.zip") as archive:
            archive.extractall(folder / "opt")
    return folder / "opt/python"


def start(python: Path, opt: Path, function: str, module: str, *flags: str) -> Start:
    """Start a fresh process that imports what the function imports."""
    environment = {"PYTHONPATH": f"{opt}:{FUNCTIONS / function}", "MALLOC_ARENA_MAX": "2"}
    command = [str(python), "-S", "-s", "-B", *flags, "-c", _PROGRAM, module]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Start(**json.loads(done.stdout))
