"""A disk that is as small as a test needs it, without a file system of its own."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace


class SmallDisk:
    """A disk of a folder that says it has ``size`` bytes, and takes no more than it says."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self.least_free = size
        """At any look."""

    def statvfs(self, _: object) -> SimpleNamespace:
        free = self.free
        self.least_free = min(self.least_free, free)
        return SimpleNamespace(f_bavail=max(0, free), f_frsize=1, f_files=0, f_favail=0)

    @property
    def free(self) -> int:
        files = (f"{at}/{name}" for at, _, names in os.walk(self.folder) for name in names)
        return self.size - sum(os.stat(file).st_size for file in files)  # noqa: PTH116 - asked thousands of times
