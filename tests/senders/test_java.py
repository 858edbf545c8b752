"""The Java client's own tests, and its page, on a real JVM."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.compiled_clients import JAVA_FLAGS, JAVAC_FLAGS, compiled_java, run
from tests.support.page_examples import examples
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving

pytestmark = [pytest.mark.slow, pytest.mark.more_languages]

CLIENT = Path(__file__).parents[2] / "clients/java"
PAGE = (CLIENT / "README.md").read_text(encoding="utf-8")
CODE = examples(CLIENT / "README.md", "java")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    skip_without("javac")
    with serving(tmp_path_factory.mktemp("java") / "data", env=QUICK) as running:
        yield running


def program() -> str:
    """All examples as methods of one class: one compilation, one JVM."""
    imports = sorted({line for code in CODE.values() for line in code.splitlines() if line.startswith("import ")})
    codes = {name: re.sub(r"^import .*$", "", code, flags=re.MULTILINE) for name, code in CODE.items()}
    orders = codes.pop("orders")
    methods = [f"static void {name}_() throws Exception {{\n{code}}}\n" for name, code in codes.items()]
    calls = "".join(f'System.out.println("## {name}"); {name}_();\n' for name in codes)
    body = f"{''.join(methods)}public static void main(String[] none) throws Exception {{\n{calls}}}\n"
    return "\n".join([*imports, "public class Examples {", body, "}", orders])


def test_its_unit_tests_pass(service: ServiceProcess) -> None:
    command = ("java", *JAVA_FLAGS, "-cp", str(compiled_java()), "io.sluice.client.ClientTest")
    found = re.search(r"^(\d+) checks passed$", run(*command, variables={"SLUICE_URL": service.url}))
    assert found
    assert int(found[1]) > 150


def test_what_its_page_shows_works(service: ServiceProcess, tmp_path: Path) -> None:
    (tmp_path / "Examples.java").write_text(program(), encoding="utf-8")
    path = f"{compiled_java()}:{tmp_path}"
    encoding = ("-encoding", "UTF-8")
    run("javac", *JAVAC_FLAGS, *encoding, "-cp", path, "-d", str(tmp_path), "Examples.java", folder=tmp_path)
    output = run("java", *JAVA_FLAGS, "-cp", path, "Examples", folder=tmp_path, variables={"SLUICE_URL": service.url})
    said = dict(re.findall(r"## (\w+)\n([^#]*)", output))
    assert said.keys() | {"orders"} == CODE.keys()
    rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
    assert len(rows) == 3_001
    assert rows[0] == ["id", "customer", "amount", "paid", "at"]
    assert rows[4][:4] == [4.0, "客户 4", 1.0, False]
    assert said["export"].startswith("http")
    assert "3000 rows, completed, 100 %" in said["columns"]
    assert said["steps"].startswith("http")


def test_every_example_of_the_page_is_run_and_the_package_needs_nothing() -> None:
    assert PAGE.count("```java") == len(CODE) >= 5
    manifest = (CLIENT / "pom.xml").read_text()
    assert "<dependency>" not in manifest
    version = re.search(r'VERSION = "([^"]+)"', (CLIENT / "src/io/sluice/client/Calls.java").read_text())
    assert version
    assert f"<version>{version[1]}</version>" in manifest
