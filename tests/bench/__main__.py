"""`make bench`: every measurement, one after the other, each in processes of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = ("bench_writers", "bench_service", "bench_relay", "bench_grpc", "bench_cold_start")


def main() -> None:
    """Run the programs; stop at the first that fails."""
    for name in PROGRAMS:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
