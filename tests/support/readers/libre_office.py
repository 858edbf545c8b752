"""Runs LibreOffice without a screen. One process reads many files; it writes their cells as CSV, which is read here."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.programs import skip_without

UTF_8 = 76
"""LibreOffice's number for the encoding."""
_EXPORT = f"csv:Text - txt - csv (StarCalc):44,34,{UTF_8},1,,0,true,false,false,false,false,-1"
"""Every sheet to a file of its own, with the values as they are instead of as they are shown."""
_NAME = re.compile(r"(?P<file>[0-9]{4})-(?P<sheet>.*)\.csv", re.DOTALL)

Rows = list[list[str]]


def convert(files: Sequence[Path], *, import_filter: str = "") -> list[dict[str, Rows]]:
    """Read each of ``files``: its sheets by name, each cell as its text. Skips the test without LibreOffice."""
    skip_without("soffice")
    csv.field_size_limit(10_000_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _convert(list(_numbered(files, folder)), folder, import_filter)
        found: list[dict[str, Rows]] = [{} for _ in files]
        for path in sorted((folder / "out").iterdir(), key=lambda path: path.stat().st_mtime_ns):
            match = _NAME.fullmatch(path.name)
            assert match is not None, path.name
            found[int(match["file"])][match["sheet"]] = _rows(path)
    return found


def _numbered(files: Sequence[Path], folder: Path) -> Iterator[Path]:
    (folder / "in").mkdir()
    for index, path in enumerate(files):
        copy = folder / f"in/{index:04}{path.suffix}"
        shutil.copyfile(path, copy)
        yield copy


def _convert(files: Sequence[Path], folder: Path, import_filter: str) -> None:
    profile = (folder / "profile").as_uri()  # its own, so that two may run side by side
    command = ["soffice", "--headless", "--norestore", f"-env:UserInstallation={profile}"]
    command += [f"--infilter={import_filter}"] if import_filter else []
    subprocess.run(
        [*command, "--convert-to", _EXPORT, "--outdir", folder / "out", *files],
        check=True,
        capture_output=True,
        timeout=110,
    )


def _rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return [row or [""] for row in csv.reader(file, strict=True)]
