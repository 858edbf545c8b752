"""The PHP client's own tests, and its page, on the real interpreter."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.support.database_servers import serving_mariadb
from tests.support.php_scripts import examples, phpunit, run_php
from tests.support.programs import skip_without
from tests.support.running_service import serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/php"
CODE = examples(CLIENT / "README.md")
PREPARED = """<?php
require 'sluice.php';
$pdo = new PDO('sqlite::memory:');
$pdo->exec('CREATE TABLE orders (id INTEGER, customer TEXT, amount NUMERIC, paid INTEGER, at TEXT)');
$put = $pdo->prepare('INSERT INTO orders VALUES (?, ?, ?, ?, ?)');
$pdo->beginTransaction();
for ($id = 1; $id <= 3000; $id++) { $put->execute([$id, "客户 $id", $id / 4, $id % 2, '2026-11-30 08:00:00']); }
$pdo->commit();
"""


def test_its_unit_tests_pass() -> None:
    assert phpunit(CLIENT, "php-curl") > 40


@pytest.mark.parametrize(("name", "code"), CODE.items(), ids=CODE)
def test_what_its_page_shows_works(name: str, code: str, tmp_path: Path) -> None:
    for program in ("php", "php-curl", "php-sqlite"):
        skip_without(program)
    (tmp_path / "sluice.php").symlink_to(CLIENT / "sluice.php")
    with serving(tmp_path / "data") as service:
        said = run_php(PREPARED + code, tmp_path, service.url)
    if name == "export":
        rows = CalamineWorkbook.from_path(tmp_path / "orders.xlsx").get_sheet_by_index(0).to_python()
        assert len(rows) == 3_001
        assert rows[0] == ["id", "customer", "amount", "paid", "at"]
        assert rows[4][:4] == [4.0, "客户 4", 1.0, False]
        assert code.splitlines().index("$export->saveTo('orders.xlsx');") == 5
    assert "Fatal" not in said


UNBUFFERED = """<?php
require 'sluice.php';
function opened(int $mode): mysqli {
    mysqli_report($mode);
    return new mysqli('localhost', 'root', '', 'mysql', 0, '%s');
}
function said(callable $write): string {
    try {
        return $write()->wait()->rows() . ' rows';
    } catch (Throwable $error) {
        return get_class($error);
    }
}
$sluice = Sluice\\Client::fromEnv();
$query = 'SELECT seq AS id, REPEAT("x", 200) AS text FROM seq_1_to_';
$silent = opened(MYSQLI_REPORT_OFF)->query($query . 1000, MYSQLI_USE_RESULT);
$orders = function () use ($sluice) {
    return $sluice->export('orders.csv')->columns(['id' => 'number', 'text' => 'string']);
};
echo said(function () use ($orders, $silent) { return $orders()->write($silent); }), "\\n";
$silent->free();
$buffered = opened(MYSQLI_REPORT_OFF)->query($query . 1000);
echo said(function () use ($orders, $buffered) { return $orders()->write($buffered); }), "\\n";
$database = opened(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$id = $database->thread_id;
$rows = $database->query($query . 2000000, MYSQLI_USE_RESULT);
$kill = function ($progress) use (&$id) {
    if ($id && $progress->rows > 10000) {
        opened(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT)->query('KILL QUERY ' . $id);
        $id = 0;
    }
};
echo said(function () use ($orders, $rows, $kill) { return $orders()->onProgress($kill)->write($rows); }), "\\n";
echo said(function () use ($orders, $rows) { return $orders()->write($rows); }), "\\n";
$whole = $database->query($query . 1000, MYSQLI_USE_RESULT);
echo said(function () use ($orders, $whole) { return $orders()->write($whole); }), "\\n";
"""


def test_an_unbuffered_query_of_mysqli_that_fails_half_way_is_no_whole_table(tmp_path: Path) -> None:
    for program in ("php", "php-curl", "php-mysql"):
        skip_without(program)
    (tmp_path / "sluice.php").symlink_to(CLIENT / "sluice.php")
    with serving_mariadb() as query, serving(tmp_path / "data") as service:
        said = run_php(UNBUFFERED % query("SELECT @@socket").strip(), tmp_path, service.url).split("\n")
    usage = "Sluice\\UsageException"
    assert said[:-1] == [usage, "1000 rows", "mysqli_sql_exception", usage, "1000 rows"]


SENDING = """
require 'sluice.php';
$export = Sluice\\Client::fromEnv()->export('orders.csv')->columns(['a'])->key('k');
for ($number = 1; $number <= 10000; $number++) { $export->push([[$number]]); }
"""
JOINING = """<?php
require 'sluice.php';
file_put_contents('sending.php', '<?php ' . base64_decode('%s'));
$other = proc_open(['php', 'sending.php'], [], $pipes);
$mine = Sluice\\Client::fromEnv()->export('orders.csv')->columns(['a'])->key('k');
while ($mine->status()->batches < 2) { usleep(10000); }
try {
    echo $mine->restartIfStopped(60) ? 'begun anew' : 'closed';
} catch (Sluice\\NotReadyException $running) {
    echo 'another run sends: ', $mine->status()->state;
}
proc_terminate($other, 9);
"""


def test_what_another_run_is_sending_is_not_given_up(tmp_path: Path) -> None:
    for program in ("php", "php-curl"):
        skip_without(program)
    (tmp_path / "sluice.php").symlink_to(CLIENT / "sluice.php")
    with serving(tmp_path / "data") as service:
        code = JOINING % base64.b64encode(SENDING.encode()).decode()
        assert run_php(code, tmp_path, service.url) == "another run sends: open"


def test_every_example_of_the_page_is_run() -> None:
    assert (CLIENT / "README.md").read_text(encoding="utf-8").count("```php") == len(CODE) >= 4
