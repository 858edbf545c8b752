"""The Symfony bundle: its own tests, and its page in a real kernel with a real service."""

from __future__ import annotations

from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.php_scripts import examples, phpunit, run_php
from tests.support.programs import skip_without
from tests.support.running_service import serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "clients/symfony-bundle"
CODE = examples(BUNDLE / "README.md")
NEEDED = ("php", "php-curl", "php-sqlite", "php-symfony", "php-messenger", "php-console")
RAN = """<?php
require 'source.php';
use Sluice\\Symfony\\Tests\\{Kernel, Listener};
final class Database extends PDO {
    public function __construct() {
        parent::__construct('sqlite::memory:');
        $this->exec('CREATE TABLE orders (id INTEGER, customer TEXT, at TEXT)');
        $put = $this->prepare("INSERT INTO orders VALUES (?, ?, '2026-11-30')");
        for ($id = 1; $id <= 3000; $id++) { $put->execute([$id, "客户 $id"]); }
    }
}
$kernel = new Kernel(['url' => getenv('SLUICE_URL')], [OrdersOfMonth::class, Database::class]);
$kernel->boot();
$bus = $kernel->services()->get('messenger.default_bus');
$sluice = $kernel->services()->get(Sluice\\Client::class);
require 'dispatch.php';
while (Listener::$heard === []) { $kernel->consume(1); }
$taskId = Listener::$heard[0]->status->taskId;
require 'controller.php';
$sluice->find($taskId)->saveTo('orders.xlsx');
echo get_class($sluice), ' ', $response->getStatusCode(), ' ', $response->headers->get('Location');
$kernel->remove();
"""


def test_its_own_tests_pass() -> None:
    assert phpunit(BUNDLE, *NEEDED) >= 7


def test_what_its_page_shows_works(tmp_path: Path) -> None:
    for program in NEEDED:
        skip_without(program)
    for name, code in CODE.items():
        opening = f"<?php require_once '{BUNDLE}/tests/Kernel.php';\n" if name == "source" else "<?php\n"
        (tmp_path / f"{name}.php").write_text(opening + code, encoding="utf-8")
    with serving(tmp_path / "data") as service:
        said = run_php(RAN, tmp_path, service.url)
        assert said.startswith(f"Sluice\\Client 302 {service.url}/v1/files/")
    rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
    assert len(rows) == 3_001
    assert rows[3000][:2] == [3000.0, "客户 3000"]


def test_every_example_of_the_page_is_run() -> None:
    assert (BUNDLE / "README.md").read_text(encoding="utf-8").count("```php") == len(CODE) == 3
