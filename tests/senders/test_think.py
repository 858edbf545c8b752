"""The ThinkPHP driver: its own tests, and its page with a real service; the framework is of our own writing."""

from __future__ import annotations

from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.php_scripts import examples, phpunit, run_php
from tests.support.programs import skip_without
from tests.support.running_service import serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / "clients/think"
CODE = examples(DRIVER / "README.md")
NEEDED = ("php", "php-curl", "php-sqlite")
PREPARED = f"""<?php
require '{DRIVER}/tests/framework.php';
$app = new think\\App(['url' => getenv('SLUICE_URL')]);
(new Sluice\\Think\\SluiceService($app))->register();
$orders = new Sluice\\Think\\Tests\\Query(orders());
final class Job {{
    public $did = '';
    public function delete() {{ $this->did = 'deleted'; }}
    public function release($seconds) {{ $this->did = "released for $seconds"; }}
}}
require 'page.php';
"""


def test_its_own_tests_pass() -> None:
    assert phpunit(DRIVER, *NEEDED) >= 5


def test_what_its_page_shows_works(tmp_path: Path) -> None:
    for program in NEEDED:
        skip_without(program)
    with serving(tmp_path / "data") as service:
        (tmp_path / "page.php").write_text("<?php\n" + CODE["export"], encoding="utf-8")
        run_php(PREPARED + "$export->saveTo('orders.xlsx');", tmp_path, service.url)
        (tmp_path / "page.php").write_text("<?php\n" + CODE["job"], encoding="utf-8")
        assert (
            run_php(PREPARED + "fire($job = new Job(), $orders); echo $job->did;", tmp_path, service.url) == "deleted"
        )
        full = PREPARED.replace("getenv('SLUICE_URL')", "'http://127.0.0.1:1', 'settings' => ['tries' => 1]")
        said = run_php(full + "fire($job = new Job(), $orders); echo $job->did;", tmp_path, service.url)
        assert said == "released for 60"
    rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
    assert rows == [["id", "customer"], [1.0, "b"], [2.0, "a"], [3.0, "a"]]


def test_every_example_of_the_page_is_run() -> None:
    assert (DRIVER / "README.md").read_text(encoding="utf-8").count("```php") == len(CODE) == 2
