"""A gRPC server in a process of its own, to measure its memory: `grpc_process.py FOLDER LIMITS`.

Prints its target and a credential as JSON, and ends with its standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sluice.api.grpc.server import GrpcLimits
from sluice.app.servers import give_memory_back
from tests.support.decoding import take_every_turn
from tests.support.grpc_client import serving
from tests.support.memory_service import MemoryService

ROOT = Path(__file__).parents[2]


class GrpcProcess(NamedTuple):
    """A running server."""

    target: str
    token: str
    pid: int

    def peak_bytes(self) -> int:
        """The most memory it has held so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


@contextmanager
def grpc_process(folder: Path, *, is_busy: bool = False, **limits: int) -> Iterator[GrpcProcess]:
    """``limits`` are fields of ``GrpcLimits``; one that is busy never decodes a message."""
    command = [
        sys.executable,
        "-m",
        "tests.support.grpc_process",
        str(folder),
        json.dumps({"is_busy": is_busy, "limits": limits}),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        target, token = json.loads(process.stdout.readline())
        try:
            yield GrpcProcess(target, token, process.pid)
        finally:
            process.stdin.close()
            assert process.wait(20) == 0


def main(folder: Path, *, is_busy: bool, limits: dict[str, int]) -> None:
    give_memory_back()  # as a service does
    memory = MemoryService(folder, paused=True)
    with serving(memory, limits=GrpcLimits(**limits)) as target:
        turns = take_every_turn(memory.service) if is_busy else []
        print(json.dumps([target, memory.token()]), flush=True)
        sys.stdin.read()
        for turn in turns:
            turn.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), **json.loads(sys.argv[2]))
