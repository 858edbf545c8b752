"""What every client and driver must do that reads rows from objects: what a model hides goes into no file by itself.

A column that is named by the application has the value of each row, or the row is refused by its number and the name:
it is never empty because the model hides it. Where the columns are those of the model, what it hides is none of them.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.senders.sender import ALL, SENDERS
from tests.support.php_scripts import run_php
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
MODELS = Path(__file__).parent / "models"


def php(name: str) -> Callable[[list[str], Path, str], str]:
    def send(columns: list[str], folder: Path, url: str) -> str:
        code = (MODELS / f"{name}.php").read_text(encoding="utf-8")
        return run_php(code.replace("COLUMNS", json.dumps(columns)).replace("CLIENTS", str(CLIENTS)), folder, url)

    return send


def typescript(columns: list[str], folder: Path, url: str) -> str:
    (folder / "node_modules/@sluice").mkdir(parents=True)
    (folder / "node_modules/@sluice/client").symlink_to(CLIENTS / "typescript")
    code = (MODELS / "typescript.js").read_text(encoding="utf-8").replace("COLUMNS", json.dumps(columns))
    (folder / "people.mjs").write_text(code, encoding="utf-8")
    return run(["node", "people.mjs"], folder, {"SLUICE_URL": url, "PATH": "/usr/local/bin:/usr/bin:/bin"})


def django(columns: list[str], folder: Path, url: str) -> str:
    site = Path(__file__).parent / "django_site"
    return run([sys.executable, str(site / "hiding.py"), json.dumps(columns), url], folder, None)


def run(command: list[str], folder: Path, variables: dict[str, str] | None) -> str:
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    return ended.stdout


@dataclass(frozen=True)
class Mapper:
    """A client or driver that makes rows of objects."""

    folder: str
    """Below ``clients``."""
    send: Callable[[list[str], Path, str], str]
    """Sends three objects with these columns, and saves ``people.csv``, or says why not; what names no columns is saved
    as ``unnamed.csv``."""
    programs: tuple[str, ...] = ()
    also_unnamed: bool = False
    """Whether there is an export too that takes its columns from the model."""


MAPPERS = (
    Mapper("php", php("php"), ("php", "php-curl")),
    Mapper("typescript", typescript, ("node",)),
    Mapper("laravel", php("laravel"), ("php", "php-curl", "php-sqlite", "php-laravel"), also_unnamed=True),
    Mapper("symfony-bundle", php("symfony-bundle"), ("php", "php-curl", "php-symfony", "php-messenger", "php-console")),
    Mapper("think", php("think"), ("php", "php-curl", "php-sqlite")),
    Mapper("django-import-export", django, also_unnamed=True),
)
OF_NO_OBJECTS = {
    "hyperf": "makes clients of PHP, and sends nothing itself",
    "python": "rows are sequences or mappings",
    "java": "rows are lists, arrays or maps",
    "go": "rows are slices or maps",
    "web": "sends no rows",
    "php-export": "has the messages of the earlier service, whose records are texts",
}
EACH = pytest.mark.parametrize("mapper", MAPPERS, ids=lambda mapper: mapper.folder)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("models") / "data", env=QUICK) as running:
        yield running


def sent(mapper: Mapper, columns: list[str], folder: Path, url: str) -> str:
    for program in mapper.programs:
        skip_without(program)
    return mapper.send(columns, folder, url)


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


@EACH
def test_what_a_model_hides_is_in_no_file_that_does_not_name_it(
    mapper: Mapper, service: ServiceProcess, tmp_path: Path
) -> None:
    assert sent(mapper, ["id", "name"], tmp_path, service.url) == ""
    header, *rows = rows_of(tmp_path / "people.csv")
    assert len(header) == 2
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert mapper.also_unnamed == (tmp_path / "unnamed.csv").exists()
    for file in tmp_path.glob("*.csv"):
        assert len(rows_of(file)) >= 3
        assert "hidden" not in file.read_text(encoding="utf-8")


@EACH
def test_a_column_that_names_what_a_model_hides_has_it_or_is_refused_and_is_never_empty(
    mapper: Mapper, service: ServiceProcess, tmp_path: Path
) -> None:
    said = sent(mapper, ["id", "name", "secret"], tmp_path, service.url)
    if said:
        assert "secret" in said
        assert "row 1" in said
        assert not (tmp_path / "people.csv").exists()
    elif mapper.folder == "django-import-export":
        assert rows_of(tmp_path / "people.csv")[0] == ["id", "amount"], (
            "a field that the resource leaves out is no column"
        )
    else:
        assert rows_of(tmp_path / "people.csv")[1:] == [[one, f"shown {one}", f"hidden {one}"] for one in "123"]


def test_every_client_is_in_the_suite_of_all_clients() -> None:
    names = {one.name for one in ALL}
    folders = {path.name for path in CLIENTS.iterdir() if path.is_dir()}
    mapped = {one.folder for one in MAPPERS}
    assert len(SENDERS) == len(ALL)
    assert mapped | OF_NO_OBJECTS.keys() == folders
    assert not mapped & OF_NO_OBJECTS.keys()
    assert names <= folders
    drivers = {"laravel", "symfony-bundle", "think", "hyperf", "django-import-export"}  # over a client that is in it
    assert folders - names == drivers | {"web", "php-export"}
