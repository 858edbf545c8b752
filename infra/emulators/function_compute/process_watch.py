"""Ends a process at its memory limit or its time limit, as the platform would; says how it ended."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Literal, NamedTuple

LOOK_EVERY_S = 0.01
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)

Why = Literal["ended", "timeout", "memory"]


class Ended(NamedTuple):
    """How a process came to its end."""

    why: Why
    exit_code: int
    peak_bytes: int
    """Its peak memory, as last seen."""
    seconds: float


def peak_bytes(pid: int) -> int:
    """The peak memory of the process so far; 0 when it has ended."""
    try:
        found = PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def watch(process: subprocess.Popen[bytes], *, memory_bytes: int, timeout_s: float) -> Ended:
    """Wait for the process, and kill it at a limit. A peak shorter than a look can be missed at the very end only."""
    started = time.monotonic()
    peak, why = 0, "ended"
    while process.poll() is None:
        peak = max(peak, peak_bytes(process.pid))
        if peak > memory_bytes or time.monotonic() - started > timeout_s:
            why = "memory" if peak > memory_bytes else "timeout"
            process.kill()
            process.wait()
            break
        time.sleep(LOOK_EVERY_S)
    return Ended(why, process.returncode, peak, time.monotonic() - started)  # type: ignore[arg-type]  # one of Why
