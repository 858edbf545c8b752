"""What is measured on: the machine in one line, and this process's peak memory."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def describe_machine() -> str:
    """Processor, cores, load, system, Python."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} core{'' if cores == 1 else 's'}{load}, "
        f"{platform.system()} {platform.release()}, {platform.python_implementation()} {platform.python_version()}"
    )


def _processor() -> str:
    try:
        for line in _CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def forget_peak() -> bool:
    """Let the peak start anew from what is used now. False where the system cannot."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """The most memory this process has had resident, since ``forget_peak`` where that works."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
