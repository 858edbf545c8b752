"""The Hyperf driver: its own tests, and its page with a real service; the framework is of our own writing."""

from __future__ import annotations

from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.php_scripts import examples, phpunit, run_php
from tests.support.programs import skip_without
from tests.support.running_service import serving

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).parents[2] / "clients/hyperf"
CODE = examples(DRIVER / "README.md")
NEEDED = ("php", "php-curl")
PREPARED = f"""<?php
require '{DRIVER}/tests/framework.php';
use Hyperf\\Context\\ApplicationContext;
use Sluice\\Hyperf\\Tests\\Config;
use Sluice\\Hyperf\\Tests\\Container;
ApplicationContext::setContainer(new Container(new Config(['url' => getenv('SLUICE_URL')])));
function orders() {{ yield [1, 'b']; yield [2, 'a']; }}
require 'job.php';
"""


def test_its_own_tests_pass() -> None:
    assert phpunit(DRIVER, *NEEDED) >= 3


def test_what_its_page_shows_works(tmp_path: Path) -> None:
    for program in NEEDED:
        skip_without(program)
    for name, code in CODE.items():
        (tmp_path / f"{name}.php").write_text("<?php\n" + code, encoding="utf-8")
    with serving(tmp_path / "data") as service:
        fetch = "copy((new ExportOrders())->handle(), 'orders.xlsx'); (new ExportOrders())->handle();"
        run_php(PREPARED + fetch, tmp_path, service.url)
    rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
    assert rows == [["id", "customer"], [1.0, "b"], [2.0, "a"]]
    run_php(PREPARED + "require 'fake.php';", tmp_path, "http://127.0.0.1:1")


def test_every_example_of_the_page_is_run() -> None:
    assert (DRIVER / "README.md").read_text(encoding="utf-8").count("```php") == len(CODE) == 2
