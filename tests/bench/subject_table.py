"""The writers that are measured, ours and others', and what each needs."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.orders import Orders

PACKAGES = Path(__file__).resolve().parents[2] / "build/bench/packages"
"""What `make bench` installs from `tests/bench/requirements.lock`."""
PREPARED = "tests.bench.subjects."

Prepare = Callable[[Orders, Path], Callable[[], int]]
"""Makes the input; what it gives writes the file, in a folder if it needs one, and returns the file's size."""


class Subject(NamedTuple):
    """One writer."""

    name: str
    kind: str
    """``xlsx`` or ``csv``: the table of the page it stands in."""
    function: str
    """Where its ``Prepare`` is; empty for a program of another language."""
    needs: str = ""
    """A module or a program it cannot do without."""
    slow: bool = False
    """So slow that one round must do, and no size is measured beyond that of the first table."""


SUBJECTS = (
    Subject("ours XLSX", "xlsx", "ours:xlsx"),
    Subject("ours XLSX, no references", "xlsx", "ours:xlsx_compact"),
    Subject("XlsxWriter, typed", "xlsx", "with_xlsxwriter:typed", "xlsxwriter"),
    Subject("XlsxWriter, all texts", "xlsx", "with_xlsxwriter:texts", "xlsxwriter", slow=True),
    Subject("openpyxl write-only", "xlsx", "with_openpyxl:write_only", "openpyxl", slow=True),
    Subject("rustpy-xlsxwriter", "xlsx", "with_rustpy:typed", "rustpy_xlsxwriter"),
    Subject("ours CSV", "csv", "ours:csv"),
    Subject("ours JSON Lines", "csv", "ours:jsonl"),
    Subject("csv.writer", "csv", "with_csv_module:writer"),
    Subject("polars, from rows", "csv", "with_polars:from_rows", "polars"),
    Subject("polars, from its frame", "csv", "with_polars:from_frame", "polars"),
    Subject("PHP fputcsv", "csv", "", "php"),
)
XLSXWRITER = ("XlsxWriter, typed", "XlsxWriter, all texts")
CSV_WRITER = ("csv.writer",)
REFERENCES = {"xlsx": XLSXWRITER, "csv": CSV_WRITER}
"""What ratios are taken against: the fastest of these."""


def find_packages() -> None:
    """Make the benchmarks' own packages importable, after everything else."""
    if str(PACKAGES) not in sys.path and PACKAGES.is_dir():
        sys.path.append(str(PACKAGES))


def subject_named(name: str) -> Subject:
    return next(subject for subject in SUBJECTS if subject.name == name)


def is_installed(subject: Subject) -> bool:
    find_packages()
    if not subject.function:
        return shutil.which(subject.needs) is not None
    return not subject.needs or importlib.util.find_spec(subject.needs) is not None


def installed_subjects() -> list[Subject]:
    """All that can run here; ours always."""
    return [subject for subject in SUBJECTS if is_installed(subject)]


def prepare_of(subject: Subject) -> Prepare:
    """Import the subject, and nothing of any other."""
    find_packages()
    module, _, function = subject.function.partition(":")
    prepare: Prepare = getattr(importlib.import_module(PREPARED + module), function)
    return prepare
