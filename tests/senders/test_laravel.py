"""The Laravel driver: its own tests, its page, and a worker that is killed; real application, real service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.request import urlopen

import pytest
from python_calamine import CalamineWorkbook

from tests.support.php_scripts import examples, phpunit, run_php
from tests.support.programs import skip_without
from tests.support.running_service import ServiceProcess, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/laravel"
CODE = examples(CLIENT / "README.md")
NEEDED = ("php", "php-curl", "php-sqlite", "php-laravel")
PREPARED = f"""<?php
namespace Sluice\\Laravel\\Tests;
require '{CLIENT}/tests/application.php';
$app = application(__DIR__ . '/app');
"""
MIGRATED = "migrate(); addOrders({rows});"
OF_THE_PAGE = """
class_alias(Order::class, 'Order');
class SendReport extends SaysDone { public function __construct(string $month) { } }
class_alias(SendReport::class, 'SendReport');
require 'page.php';
"""
JOB_CLASS = CODE["job"].partition("OrdersExport::dispatch")[0]
FACADE = "use Sluice\\Laravel\\Facades\\Sluice;"
ORDERS = 40_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    for program in NEEDED:
        skip_without(program)
    with serving(tmp_path_factory.mktemp("laravel") / "data") as running:
        yield running


def work(folder: Path, url: str) -> int:
    """What a worker does with the next job: its exit code, negative where it was killed."""
    return subprocess.run(
        ["php", str(CLIENT / "tests/application.php"), str(folder / "app"), "queue:work", "--once", "--sleep=0"],
        env={"SLUICE_URL": url, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        timeout=120,
        check=False,
    ).returncode


def work_until_an_event(folder: Path, url: str) -> int:
    """The exit code of the run that left one, or of the first that failed."""
    failed = 0
    while not failed and not (folder / "app/events").exists():
        failed = work(folder, url)
    return failed


def test_its_own_tests_pass() -> None:
    assert phpunit(CLIENT, *NEEDED) >= 28


def test_a_job_whose_worker_is_killed_goes_on_and_then_the_chain(service: ServiceProcess, tmp_path: Path) -> None:
    exports = len(service.events("TaskStarted"))
    dispatched = "KilledExport::dispatch()->chain([new SaysDone()]);"
    run_php(PREPARED + MIGRATED.format(rows=ORDERS) + dispatched, tmp_path, service.url)
    assert work(tmp_path, service.url) == -9
    with urlopen(f"{service.url}/v1/exports?state=open") as answer:
        (begun,) = json.load(answer)["tasks"]
    assert 0 < begun["rows_received"] < ORDERS
    assert not work_until_an_event(tmp_path, service.url)
    events = tmp_path / "app/events"
    assert events.read_text() == f"completed orders.csv {ORDERS}\n"
    assert work(tmp_path, service.url) == 0
    assert events.read_text() == f"completed orders.csv {ORDERS}\nchain went on\n"
    assert len(service.events("TaskStarted")) == exports + 1, "both runs sent the same export"
    fetched = (
        "Sluice::export('orders.csv')->columns((new OrdersExport())->columns())->options(['timezone' => 'UTC'])"
        "->key('orders')->saveTo('orders.csv');"
    )
    run_php(PREPARED + FACADE + fetched, tmp_path, service.url)
    lines = (tmp_path / "orders.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [int(line.partition(",")[0]) for line in lines[1:]] == list(range(1, ORDERS + 1))


def test_an_export_of_laravel_excel_has_its_types_formats_and_odd_cells(
    service: ServiceProcess, tmp_path: Path
) -> None:
    code = f"""
    require '{CLIENT}/tests/excel_interfaces.php';
    require '{CLIENT}/tests/excel_exports.php';
    (new OddExport())->store('odd.xlsx');
    (new OddExport())->store('odd.csv');
    """
    run_php(PREPARED + MIGRATED.format(rows=2_000) + code, tmp_path, service.url)
    files = tmp_path / "app/storage/app"
    rows = CalamineWorkbook.from_path(files / "odd.xlsx").get_sheet_by_name("Invoices").to_python()
    assert rows[0] == ["No", "Customer", "Amount", "Day", "Paid"]
    assert rows[1] == [1.0, "客户 1", 0.25, date(2026, 11, 30), ""]
    assert rows[1500][2] == "none", "a cell of another type stays what it is"
    text = (files / "odd.csv").read_bytes().decode("gbk")
    assert text.startswith("No;Customer;Amount;Day;Paid\n1;客户 1;0.25;30/11/2026;\n")


def test_an_export_of_filament_has_numbers_and_dates_though_its_exporter_makes_texts(
    service: ServiceProcess, tmp_path: Path
) -> None:
    code = f"""
    require '{CLIENT}/tests/filament_interfaces.php';
    require '{CLIENT}/tests/filament_exports.php';
    makeExportTables();
    $made = ['file_disk' => 'local', 'file_name' => 'orders', 'exporter' => OrderExporter::class, 'total_rows' => 1];
    $export = \\Filament\\Actions\\Exports\\Models\\Export::create($made);
    $columns = ['id' => 'No', 'at' => 'When', 'amount' => 'Amount', 'price' => 'Price', 'paid' => 'Paid'];
    \\Sluice\\Laravel\\Filament\\PushExport::dispatchSync($export, 'sortedOrders', $columns);
    foreach (\\Sluice\\Laravel\\Filament\\PushedFiles::of($export) as $format => $id) {{
        \\Sluice\\Laravel\\Facades\\Sluice::find($id)->wait()->saveTo("orders.$format");
    }}
    """
    run_php(PREPARED + MIGRATED.format(rows=2_000) + code, tmp_path, service.url)
    rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
    assert rows[0] == ["No", "When", "Amount", "Price", "Paid"]
    assert [str(cell) for cell in rows[1]] == ["1.0", "2026-11-30 08:00:00", "0.25", "0.25 EUR", "True"]
    assert [row[0] for row in rows[1:]] == [*range(1, 2_000, 2), *range(2, 2_001, 2)]
    assert (tmp_path / "orders.csv").read_text(encoding="utf-8-sig").startswith("No;When;Amount;Price;Paid")


@pytest.mark.parametrize("name", CODE)
def test_what_its_page_shows_works(name: str, service: ServiceProcess, tmp_path: Path) -> None:
    shown = {"job": CODE["job"], "fake": JOB_CLASS + CODE["fake"]}.get(name, CODE[name])
    shown += {"request": "echo $response->toResponse(null)->getTargetUrl();"}.get(name, "")
    (tmp_path / "page.php").write_text(f"<?php\n{shown}", encoding="utf-8")
    said = run_php(PREPARED + MIGRATED.format(rows=3_000) + OF_THE_PAGE, tmp_path, service.url)
    if name == "request":
        assert said.startswith(f"{service.url}/v1/files/")
    if name == "job":
        (tmp_path / "page.php").write_text(f"<?php\n{JOB_CLASS}", encoding="utf-8")
        works = "\\Illuminate\\Support\\Facades\\Artisan::call('queue:work', ['--once' => true, '--sleep' => 0]);"
        while not (tmp_path / "app/events").exists():
            run_php(PREPARED + OF_THE_PAGE + works, tmp_path, service.url)
        assert (tmp_path / "app/events").read_text() == "completed orders-2026-11.xlsx 3000\n"


def test_every_example_of_the_page_is_run() -> None:
    assert (CLIENT / "README.md").read_text(encoding="utf-8").count("```php") == len(CODE)
