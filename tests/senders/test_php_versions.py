"""The PHP client on versions that Debian does not have: the real interpreter, compiled to WebAssembly, from npm.

Left out without `--php_versions`: half a gigabyte is installed. Signals, and what a killed process leaves, are not
those of PHP on its own; `test_conformance.py` has them on Debian's.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.senders.sender import Sender
from tests.senders.test_conformance import ROWS, expected, job, rows_of
from tests.support.flaky_proxy import TROUBLES, flaky_proxy
from tests.support.npm_packages import install_packages
from tests.support.programs import skip_without
from tests.support.running_service import QUICK, ServiceProcess, serving

VERSIONS = ("7.4", "8.0", "8.1", "8.3", "8.4", "8.5")
pytestmark = [pytest.mark.slow, pytest.mark.php_versions, pytest.mark.parametrize("version", VERSIONS)]

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "php_versions"
PROGRAM = FOLDER / "node_modules/@php-wasm/cli/php-wasm.js"
DEBIAN_CODE = "/usr/share/php"
"""Where phpunit's own code is."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    install_packages(FOLDER, last=PROGRAM, what="PHP as WebAssembly")
    with serving(tmp_path_factory.mktemp("php") / "data", env=QUICK) as running:
        yield running


def test_it_is_that_version(version: str, service: ServiceProcess) -> None:
    assert run(version, "-r", "echo PHP_VERSION;").startswith(version + ".")


def test_its_unit_tests_pass(version: str, service: ServiceProcess) -> None:
    skip_without("phpunit")
    quiet = ("-d", "error_reporting=E_ALL & ~E_DEPRECATED")  # phpunit 9 is older than the newest of these
    said = run(version, "-d", f"include_path=.:{DEBIAN_CODE}", *quiet, "/usr/bin/phpunit", "-c", "clients/php")
    assert "OK" in said.splitlines()[-1] + said.splitlines()[-2], said


def test_an_export_survives_what_networks_do(version: str, service: ServiceProcess, tmp_path: Path) -> None:
    sender = Sender(version, ("node",), ("env", f"PHP={version}", "node", str(PROGRAM), "clients/php/tests/send.php"))
    with flaky_proxy(service.http_port) as proxy:
        quick = {"pause": 0.01, "pause_max": 0.05, "tries": 30}
        said = sender.done(job(proxy.url, tmp_path, settings=quick))
    assert set(TROUBLES) <= set(proxy.met)
    assert said["rows"] == ROWS
    assert rows_of(tmp_path / "orders.csv") == expected(ROWS)


def run(version: str, *arguments: str) -> str:
    done = subprocess.run(
        ["node", str(PROGRAM), *arguments],
        cwd=ROOT,
        env={**os.environ, "PHP": version},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout
