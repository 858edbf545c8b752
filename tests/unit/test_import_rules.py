"""Each import rule of `pyproject.toml` fails for an import that it is there to forbid."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers/sluice/python/sluice"
PYPROJECT = ROOT / "pyproject.toml"

WRONG_IMPORTS = {
    "Imports point inward": ("domain/limits.py", "sluice.usecases.lease"),
    "Adapters do not know the use cases or the tables": ("adapters/crc64.py", "sluice.tables.batch"),
    "The API does not know the adapters": ("api/service.py", "sluice.adapters.crc64"),
    "Only the edges import vendors": ("usecases/lease.py", "sqlite3"),
    "Neighbours do not import each other in circles, at any depth": (
        "app/settings/schema.py",
        "sluice.app.settings.validation",
    ),
    "Processes are put together from servers, backends, telemetry and settings": (
        "app/backends.py",
        "sluice.app.one_machine",
    ),
    "gRPC and HTTP do not know each other": ("api/http/errors.py", "sluice.api.grpc.errors"),
    "Readers and writers stand on values, chunks and batches": ("tables/values/slices.py", "sluice.tables.formats"),
    "Where rows are read, no parser of expressions is loaded": ("domain/expression.py", "sqlglot"),
    "Use cases stand on the lease, and the lease on transitions": (
        "usecases/lease.py",
        "sluice.usecases.sending.put_batch",
    ),
    "No technology knows another": ("adapters/memory/store.py", "sluice.adapters.directory.store"),
    "The client is installable alone: it knows its own modules, time, whole files and secrets": (
        "client/rows.py",
        "msgspec",
    ),
    "The service does not call itself through its client": ("app/backends.py", "sluice.client"),
}
"""By rule: a file, and what is imported in it against the rule."""


def contracts() -> set[str]:
    return {contract["name"] for contract in tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]}


def broken_contracts(folder: Path) -> set[str]:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", PYPROJECT],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)(?: \(\d+ ignored imports?\))?$", run.stdout, re.MULTILINE))
    assert set(verdicts) == contracts(), run.stdout + run.stderr
    assert run.returncode == int("BROKEN" in verdicts.values())
    return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}


def test_every_rule_has_an_import_that_breaks_it() -> None:
    assert set(WRONG_IMPORTS) == contracts()


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, which breaks no rule."""
    folder = tmp_path_factory.mktemp("rules")
    shutil.copytree(PACKAGE, folder / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
    assert broken_contracts(folder) == set()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("contract", sorted(WRONG_IMPORTS))
def test_a_wrong_import_breaks_the_rule(contract: str, copied: Path) -> None:
    name, imported = WRONG_IMPORTS[contract]
    file = copied / "sluice" / name
    before = file.read_text()
    file.write_text(f"{before}\nimport {imported}\n")
    try:
        assert contract in broken_contracts(copied)
    finally:
        file.write_text(before)
