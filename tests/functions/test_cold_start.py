"""What each function loads before its first call. A module that is not needed is memory and a slower start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.cloud_functions import FUNCTIONS, bare_environment

SERVERS = {"starlette", "uvicorn", "anyio", "grpc", "prometheus_client"}
COMMANDS = {"typer", "rich", "sluice.cli"}
EMBEDDED = {
    "sqlite3",
    "sluice.adapters.directory.store",
    "sluice.adapters.sqlite.tasks",
    "sluice.app.backends",
}
HEAVY = {"pydantic", "fastapi", "numpy", "aiohttp", "fc2", "yaml", "tzdata", "openpyxl"}
"""Parts of the SDKs, of ours, and of what is installed beside, that nothing in a function uses."""

_LIST = "import json, sys; sys.path.insert(0, {folder!r}); {imports}; print(json.dumps(sorted(sys.modules)))"


def loaded(folder: str, imports: str) -> set[str]:
    """The modules of a fresh process after ``imports``, without what pytest has loaded."""
    code = _LIST.format(folder=str(FUNCTIONS / folder), imports=imports)
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare_environment({}), capture_output=True, text=True, check=True, timeout=60
    )
    modules: set[str] = set(json.loads(done.stdout))
    return modules


@pytest.mark.parametrize(
    ("folder", "imports", "unwanted"),
    [
        ("compose", "import compose", SERVERS | COMMANDS | EMBEDDED | HEAVY),
        ("sweep", "import sweep", SERVERS | COMMANDS | EMBEDDED | HEAVY | {"xlsxwriter", "isal"}),
        (
            "extract",
            "import extract",
            SERVERS | COMMANDS | EMBEDDED | HEAVY | {"xlsxwriter", "asyncpg", "pymysql", "jwt"},
        ),
        ("query", "import query", {"grpc", "prometheus_client"} | COMMANDS | EMBEDDED | HEAVY),
        (
            "relay",
            "import relay, sluice.app.functions.http_function",
            {"grpc", "prometheus_client"} | COMMANDS | EMBEDDED | HEAVY,
        ),
        (
            "relay",
            "import relay, sluice.app.functions.grpc_function",
            {"starlette", "uvicorn", "prometheus_client"} | COMMANDS | EMBEDDED | HEAVY,
        ),
    ],
    ids=["compose", "sweep", "extract", "query", "relay-http", "relay-grpc"],
)
def test_a_function_loads_nothing_that_it_does_not_need(folder: str, imports: str, unwanted: set[str]) -> None:
    modules = loaded(folder, imports)
    assert "sluice.app.aliyun" in modules
    assert modules & unwanted == set()


def test_the_entry_of_the_relay_loads_neither_face_before_it_knows_which() -> None:
    assert loaded("relay", "import relay") & (SERVERS | {"oss2", "tablestore"}) == set()


@pytest.mark.parametrize("words", [[], ["ftp"], ["grpc", "http"]])
def test_the_relay_says_what_it_takes(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(FUNCTIONS / "relay/relay.py"), *words],
        env=bare_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "usage: relay.py grpc|http\n")


def test_a_composer_has_loaded_its_writer_before_its_first_task() -> None:
    assert {"sluice.tables.writers.xlsx.workbook", "xlsxwriter", "stream_zip"} <= loaded("compose", "import compose")
