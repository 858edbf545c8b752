"""What a start costs each function: import time and memory from the built layers, with and without their bytecode."""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from infra.build_layers import OUTPUT, build_deps, build_sluice
from infra.local.interpreter import find_deployed_python

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
MIB = 1024 * 1024
SUBJECTS = {
    "compose": ("compose", "compose"),
    "sweep": ("sweep", "sweep"),
    "query": ("query", "query"),
    "relay http": ("relay", "sluice.wiring.functions.http_function"),
    "relay grpc": ("relay", "sluice.wiring.functions.grpc_function"),
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


def main() -> None:
    """Print a line for each function: the best of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    try:
        python = find_deployed_python()
    except FileNotFoundError as error:
        print(f"nothing is measured: {error}, which the functions run on")
        return
    with tempfile.TemporaryDirectory() as folder:
        opt = unpack_layers(Path(folder), python)
        print(f"{'function':12} {'import ms':>10} {'without bytecode':>17} {'peak MiB':>9} {'modules':>8}")
        for name, (function, module) in SUBJECTS.items():
            starts = [start(python, opt, function, module) for _ in range(rounds)]
            fresh = [start(python, opt, function, module, "-X", f"pycache_prefix={folder}/none") for _ in range(rounds)]
            best, slow = min(starts), min(fresh)
            peak_mib = min(one.peak_bytes for one in starts) / MIB
            times = f"{best.import_s * 1000:10.0f} {slow.import_s * 1000:17.0f}"
            print(f"{name:12} {times} {peak_mib:9.1f} {best.modules:8}", flush=True)


def unpack_layers(folder: Path, python: Path) -> Path:
    """Build the layers and unpack them; gives what stands for /opt/python."""
    print(build_deps(OUTPUT, cache=OUTPUT / "downloads", python=python))
    print(build_sluice(OUTPUT, python=python))
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


if __name__ == "__main__":
    main()
