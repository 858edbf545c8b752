"""The PHP client's own tests, and its page, on the real interpreter."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.programs import skip_without
from tests.support.running_service import serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/php"
PAGE = (CLIENT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"<!-- tested: (\w+) -->\n```php\n(.*?)```", PAGE, re.DOTALL)
PREPARED = """<?php
require 'sluice.php';
$pdo = new PDO('sqlite::memory:');
$pdo->exec('CREATE TABLE orders (id INTEGER, customer TEXT, amount NUMERIC, paid INTEGER, at TEXT)');
$put = $pdo->prepare('INSERT INTO orders VALUES (?, ?, ?, ?, ?)');
$pdo->beginTransaction();
for ($id = 1; $id <= 3000; $id++) { $put->execute([$id, "客户 $id", $id / 4, $id % 2, '2026-11-30 08:00:00']); }
$pdo->commit();
"""


def php(code: str, folder: Path, url: str, *, seconds: int = 120) -> str:
    script = folder / "script.php"
    script.write_text(code, encoding="utf-8")
    command = ["php", "-d", "memory_limit=64M", "-d", "display_errors=stderr", "-d", "error_reporting=-1", str(script)]
    environment = {"SLUICE_URL": url, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return done.stdout


def test_its_unit_tests_pass() -> None:
    for program in ("php", "php-curl", "phpunit"):
        skip_without(program)
    done = subprocess.run(
        ["phpunit", "-c", str(CLIENT)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"OK \((\d+) tests", done.stdout)[1]) > 40  # type: ignore[index]


@pytest.mark.parametrize(("name", "code"), CODE, ids=[name for name, _ in CODE])
def test_what_its_page_shows_works(name: str, code: str, tmp_path: Path) -> None:
    for program in ("php", "php-curl", "php-sqlite"):
        skip_without(program)
    (tmp_path / "sluice.php").symlink_to(CLIENT / "sluice.php")
    with serving(tmp_path / "data") as service:
        said = php(PREPARED + code, tmp_path, service.url)
    if name == "export":
        rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
        assert len(rows) == 3_001
        assert rows[0] == ["id", "customer", "amount", "paid", "at"]
        assert rows[4][:4] == [4.0, "客户 4", 1.0, False]
        assert code.splitlines().index("$export->saveTo('orders.xlsx');") == 5
    assert "Fatal" not in said


def test_every_example_of_the_page_is_run() -> None:
    assert PAGE.count("```php") == len(CODE) >= 4
