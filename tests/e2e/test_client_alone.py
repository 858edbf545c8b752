"""The client as a package of its own: built, installed where nothing else is, and used as its page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.command_line import sluice
from tests.support.running_service import serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/python-client.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT / "clients/python")
    (built,) = folder.glob("sluice_client-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the client and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    pip("--python", python, "install", wheel)
    return python


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    subprocess.run(command, check=True, env={**os.environ, "PIP_NO_INDEX": "1"})


def run(python: Path, script: str, folder: Path, env: Mapping[str, str]) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "PYTHON"))}
    command = [str(python), "-W", "error", "-c", script]
    done = subprocess.run(
        command, cwd=folder, env={**kept, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_the_client_what_it_uses_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.endswith(".py")}
        used = {
            f"{module.replace('.', '/')}.py"
            for name in shipped
            for module in re.findall(r"^from (sluice\.[\w.]+) import", archive.read(name).decode(), re.MULTILINE)
        }
    used = {name if name in shipped else name.replace(".py", "/__init__.py") for name in used}
    assert used <= shipped
    unused = {name for name in shipped - used if not name.endswith("__init__.py")}
    assert unused == {"sluice/client/aio.py", "sluice/client/progress.py"}  # a program imports these itself


def test_the_page_s_example_runs_with_nothing_else_installed(python: Path, tmp_path: Path) -> None:
    found = re.search(r"<!-- tested: python export -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    key = sluice("keys", "add", "shop", "--data", tmp_path / "data").stdout.strip()
    with serving(tmp_path / "data") as service:
        run(python, found[1], tmp_path, {"SLUICE_URL": service.url, "SLUICE_TOKEN": key})
    rows = CalamineWorkbook.from_path(str(tmp_path / "orders.xlsx")).get_sheet_by_index(0).to_python()
    assert rows[:3] == [["id", "customer", "paid"], [1.0, "customer 1", False], [2.0, "customer 2", True]]
    assert len(rows) == 100_001
    listed = "import importlib.metadata as m; print([one.name for one in m.distributions()])"
    assert run(python, listed, tmp_path, {}) == "['sluice-client']\n"


@pytest.mark.parametrize(("name", "rows"), [("frame", {"Orders": 4, "Notes": 2}), ("asyncio", 5_001)])
def test_the_page_s_other_examples_run(name: str, rows: object, tmp_path: Path) -> None:
    found = re.search(rf"<!-- tested: python {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    with serving(tmp_path / "data") as service:
        run(Path(sys.executable), found[1].replace("http://127.0.0.1:9091", service.url), tmp_path, {})
    if isinstance(rows, int):
        assert len((tmp_path / "customers.csv").read_text("utf-8-sig").splitlines()) == rows
    else:
        book = CalamineWorkbook.from_path(str(tmp_path / "book.xlsx"))
        assert {name: len(book.get_sheet_by_name(name).to_python()) for name in book.sheet_names} == rows


def test_an_error_is_the_service_s(python: Path, tmp_path: Path) -> None:
    script = (
        "import os\n"
        "from sluice.client import Client, SluiceApiError\n"
        "with Client(os.environ['SLUICE_URL']) as sluice:\n"
        "    try:\n"
        "        sluice.send_table([[1], ['x']], format='csv', columns={'id': 'number'})\n"
        "    except SluiceApiError as error:\n"
        "        print(error.code, error.facts['row'], error.facts['column'], error.status)\n"
    )
    with serving(tmp_path / "data") as service:
        assert run(python, script, tmp_path, {"SLUICE_URL": service.url}) == "INVALID_VALUE 2 id 400\n"
