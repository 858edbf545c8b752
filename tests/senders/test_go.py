"""The Go client's own tests, and its page, compiled by a real Go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.compiled_clients import GO, compiled_go, run
from tests.support.page_examples import examples
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving

pytestmark = [pytest.mark.slow, pytest.mark.more_languages]

CLIENT = Path(__file__).parents[2] / "clients/go"
PAGE = (CLIENT / "README.md").read_text(encoding="utf-8")
CODE = examples(CLIENT / "README.md", "go")
IMPORTS = 'package main\n\nimport ("context"; "errors"; "fmt"; "time"; sluice "sluice.example/client")\n'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    skip_without("go")
    with serving(tmp_path_factory.mktemp("go") / "data", env=QUICK) as running:
        yield running


def program() -> str:
    """All examples as functions of one program: one compilation."""
    codes = {name: code for name, code in CODE.items() if name != "orders"}
    functions = [f"func {name}Example() error {{\n{code}}}\n" for name, code in codes.items()]
    calls = [f'fmt.Println("## {name}")\nif err := {name}Example(); err != nil {{ panic(err) }}\n' for name in codes]
    return "".join([IMPORTS, CODE["orders"], *functions, "func main() {\n", *calls, "}\n"])


def test_its_unit_tests_pass(service: ServiceProcess) -> None:
    said = run(str(compiled_go() / "unit"), "-test.v", folder=CLIENT, variables={"SLUICE_URL": service.url})
    assert said.splitlines()[-1] == "PASS"
    assert len(re.findall(r"^--- PASS", said, re.MULTILINE)) == len(re.findall(r"^=== RUN", said, re.MULTILINE)) >= 15


def test_it_is_formatted_and_nothing_in_it_is_suspicious() -> None:
    skip_without("go")
    assert run("gofmt", "-l", ".", folder=CLIENT) == ""
    run("go", "vet", "./...", folder=CLIENT, variables=GO)


def test_what_its_page_shows_works(service: ServiceProcess, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(program(), encoding="utf-8")
    run("go", "mod", "init", "caller", folder=tmp_path, variables=GO)
    [command] = re.findall(r"^(go mod edit .*?) +#", PAGE, re.MULTILINE)
    run(*command.replace("PATH/clients/go", str(CLIENT)).split(), folder=tmp_path, variables=GO)
    run("go", "build", "-o", "examples", ".", folder=tmp_path, variables=GO)
    output = run(str(tmp_path / "examples"), folder=tmp_path, variables={"SLUICE_URL": service.url})
    said = dict(re.findall(r"## (\w+)\n([^#]*)", output))
    assert said.keys() | {"orders"} == CODE.keys()
    rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
    assert len(rows) == 3_001
    assert rows[0] == ["id", "customer", "amount", "paid", "at"]
    assert rows[4][:4] == [4.0, "客户 4", 1.0, False]
    assert said["export"].startswith("http")
    assert "2 rows, completed, 100 %" in said["columns"]
    assert "4 rows" in said["steps"]


def test_every_example_of_the_page_is_run_and_the_module_needs_nothing() -> None:
    assert PAGE.count("```go") == len(CODE) >= 5
    assert "require" not in (CLIENT / "go.mod").read_text()
    version = re.search(r'version += "([^"]+)"', (CLIENT / "calls.go").read_text())
    assert version
    assert f"sluice.example/client@v{version[1]}" in PAGE
