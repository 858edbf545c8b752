"""The JavaScript client's own tests, its types and its page, on real Node."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.npm_packages import install_packages
from tests.support.page_examples import examples
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/typescript"
PAGE = (CLIENT / "README.md").read_text(encoding="utf-8")
CODE = examples(CLIENT / "README.md", "js")
IN_A_BROWSER = {"watch"}
"""Examples that `test_browser.py` runs."""
CALLER = """
import { Client, InvalidRowError, type Progress, type Status } from '@sluice/client';
import { watch } from '@sluice/client/watch';

export async function send(rows: AsyncIterable<unknown[]>, signal: AbortSignal): Promise<Status> {
  const client = new Client('https://exports.example.com', { key: 'k', tries: 2 });
  const onProgress = (progress: Progress) => console.log(progress.rows);
  const orders = client.export('a.xlsx', { columns: { id: 'number', at: { type: 'date', width: 9 } }, onProgress });
  // @ts-expect-error: no such type
  client.export('a.xlsx', { columns: { id: 'int' } });
  // @ts-expect-error: no such setting
  Client.fromEnv({ trys: 2 });
  // @ts-expect-error: one row is no table
  await orders.write(5);
  try {
    await orders.write(rows, { signal });
  } catch (error) {
    if (error instanceof InvalidRowError) console.log(error.row?.toFixed(0), error.column?.length, error.code);
  }
  for await (const { state, percent } of watch(new URL('https://e/v1/watch/x'))) console.log(state, percent.toFixed());
  (await orders.stream()).pipe(process.stdout);
  return await orders.wait(30, { signal });
}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    skip_without("node")
    with serving(tmp_path_factory.mktemp("typescript") / "data", env=QUICK) as running:
        yield running


def done(*command: str, folder: Path, url: str = "") -> str:
    environment = {**os.environ, "SLUICE_URL": url} if url else None
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, (ended.stdout[-4_000:], ended.stderr[-4_000:])
    return ended.stdout


def test_its_unit_tests_pass(service: ServiceProcess) -> None:
    files = [str(file) for file in sorted((CLIENT / "tests").glob("*.test.js"))]
    said = done("node", "--test", "--test-reporter=tap", *files, folder=CLIENT, url=service.url)
    found = re.search(r"# pass (\d+)\n# fail 0\n# cancelled 0\n# skipped 0\n", said)
    assert found, said[-4_000:]
    assert int(found[1]) > 80


@pytest.mark.more_languages
def test_its_package_has_types_that_hold_for_callers(tmp_path: Path) -> None:
    compiler = CLIENT / "node_modules/typescript/bin/tsc"
    install_packages(CLIENT, last=CLIENT / "node_modules/@types/node/package.json", what="the compiler of its types")
    packed = done("npm", "pack", "--silent", "--pack-destination", str(tmp_path), folder=CLIENT).split()[-1]
    done("tar", "-xzf", packed, folder=tmp_path)
    modules = tmp_path / "node_modules"
    (modules / "@sluice").mkdir(parents=True)
    (tmp_path / "package").rename(modules / "@sluice/client")
    for needed in ("@types", "undici-types"):
        (modules / needed).symlink_to(CLIENT / "node_modules" / needed)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "caller.ts").write_text(CALLER)
    strict = (
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2022,dom",
        "--types",
        "node",
        "--skipLibCheck",
    )
    done("node", str(compiler), "--skipLibCheck", *strict, "caller.ts", folder=tmp_path)
    assert (
        done("node", "-e", "import('./caller.js').then((it) => console.log(typeof it.send))", folder=tmp_path)
        == "function\n"
    )


@pytest.mark.parametrize("name", sorted(CODE.keys() - IN_A_BROWSER))
def test_what_its_page_shows_works(name: str, service: ServiceProcess, tmp_path: Path) -> None:
    (tmp_path / "node_modules/@sluice").mkdir(parents=True)
    (tmp_path / "node_modules/@sluice/client").symlink_to(CLIENT)
    (tmp_path / "orders.js").write_text(CODE["orders"], encoding="utf-8")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "script.js").write_text(CODE[name], encoding="utf-8")
    said = done("node", "script.js", folder=tmp_path, url=service.url)
    if name == "export":
        rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
        assert len(rows) == 3_001
        assert rows[0] == ["id", "customer", "amount", "paid", "at"]
        assert rows[4][:4] == [4.0, "客户 4", 1.0, False]
        assert said.startswith("http")
    if name == "columns":
        assert "3000 rows, completed, 100 %" in said


def test_the_package_needs_nothing_to_run_and_its_lock_names_no_host() -> None:
    manifest = json.loads((CLIENT / "package.json").read_text())
    lock = json.loads((CLIENT / "package-lock.json").read_text())["packages"]
    assert [name for name in manifest if name.lower().endswith("dependencies")] == ["devDependencies"]
    assert all("resolved" not in one and one["dev"] for name, one in lock.items() if name)
    assert {f"node_modules/{name}": version for name, version in manifest["devDependencies"].items()}.items() <= {
        name: one.get("version") for name, one in lock.items()
    }.items()


def test_every_example_of_the_page_is_run() -> None:
    assert PAGE.count("```js") == len(CODE) >= 6
