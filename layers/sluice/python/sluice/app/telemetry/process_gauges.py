"""What the process takes of the machine, read when asked for."""

from __future__ import annotations

import os
import resource
import shutil
from contextlib import suppress
from pathlib import Path


def resident_bytes() -> int:
    """Measure the memory of this process now; its peak where the system does not tell more."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes() -> int:
    """Measure the peak memory of this program.

    Not by ``getrusage`` where there is better: its peak includes what the
    parent had when it started us.
    """
    with suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class DiskGauge:
    """The file system below a folder. Costs the same however many files there are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def used_bytes(self) -> int:
        return shutil.disk_usage(self._existing()).used

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._existing()).free

    def _existing(self) -> Path:
        """Find the folder, or the one in which it will be made."""
        folder = self._folder.absolute()
        while not folder.exists():
            folder = folder.parent
        return folder
