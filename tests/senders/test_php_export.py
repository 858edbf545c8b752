"""The commissioned example of the earlier service, word for word, on real PHP without the gRPC extension."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import skip_without
from tests.support.running_service import ServiceProcess, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
AUTOLOAD = ROOT / "clients/php-export/autoload.php"
EXAMPLE = (Path(__file__).parent / "commissioned_example.php").read_text(encoding="utf-8")
STATUS = (Path(__file__).parent / "commissioned_status.php").read_text(encoding="utf-8")
HOST = "localhost:9090"
USERS = 2_500
DATABASE = f"""<?php
$pdo = new PDO('sqlite::memory:');
$pdo->exec('CREATE TABLE users (id INTEGER, name TEXT, email TEXT)');
$put = $pdo->prepare('INSERT INTO users VALUES (?, ?, ?)');
for ($id = 1; $id <= {USERS}; $id++) {{ $put->execute([$id, "客户 $id", "$id@example.com"]); }}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("export") / "data") as running:
        yield running


def php(folder: Path, *scripts: tuple[str, str]) -> str:
    """Run scripts one after the other in one process, as one would that includes them; nothing may be said as error."""
    for program in ("php", "php-curl", "php-sqlite", "php-protobuf"):
        skip_without(program)
    (folder / "vendor").mkdir()
    (folder / "vendor/autoload.php").write_text(f"<?php require '{AUTOLOAD}';")
    for name, code in scripts:
        (folder / name).write_text(code, encoding="utf-8")
    (folder / "all.php").write_text("<?php " + "".join(f"require '{name}';" for name, _ in scripts))
    command = ["php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-d", "html_errors=0", "all.php"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return done.stdout


def test_the_example_and_the_status_query_run_word_for_word(service: ServiceProcess, tmp_path: Path) -> None:
    assert EXAMPLE.count(HOST) == 1
    example = EXAMPLE.replace(HOST, service.grpc_target)
    said = php(tmp_path, ("pdo.php", DATABASE), ("example.php", example), ("status.php", "<?php\n" + STATUS))
    assert f"Records: {USERS}\n" in said
    task = re.match(r"Task ID: (\w+)\nExport completed!\n", said)
    assert task is not None, said
    assert "Status: 4\nProgress: 100%\nDownload URL: http://" in said
    url = re.search(r"OSS URL: (\S+)", said)
    assert url is not None
    saved = subprocess.run(["curl", "-sSf", url[1]], capture_output=True, check=True).stdout.decode("utf-8-sig")
    assert list(csv.reader(saved.splitlines())) == [
        ["ID", "Name", "Email"],
        *([str(number), f"客户 {number}", f"{number}@example.com"] for number in range(1, USERS + 1)),
    ]


def test_a_refused_export_says_why_where_the_example_looks(service: ServiceProcess, tmp_path: Path) -> None:
    declared = "'name' => 'Name', 'data_type' => Export\\DataType::DATA_TYPE_"
    example = EXAMPLE.replace(HOST, service.grpc_target).replace(f"{declared}STRING", f"{declared}NUMBER")
    said = php(tmp_path, ("pdo.php", DATABASE), ("example.php", example))
    assert 'Export failed: Row 1 (batch 1), column "Name"' in said


def test_no_call_of_one_message_loses_its_answer(service: ServiceProcess, tmp_path: Path) -> None:
    """Where the message and its end went out apart, curl lost one answer in four on a busy machine."""
    calls = """<?php
require 'vendor/autoload.php';

use Export\\{ColumnDefinition, ExportFormat, ExportMetadata, ExportServiceClient, TaskStatusRequest};

$client = new ExportServiceClient('HOST', ['credentials' => Grpc\\ChannelCredentials::createInsecure()]);
$columns = [new ColumnDefinition(['name' => 'a'])];
for ($n = 0; $n < 60; $n++) {
    $opening = new ExportMetadata(['request_id' => "$n", 'format' => ExportFormat::FORMAT_CSV, 'columns' => $columns]);
    list($opened, $status) = $client->OpenExport($opening)->wait();
    echo $status->code, strlen($opened->getTaskId());
    $asked = new TaskStatusRequest(['task_id' => $opened->getTaskId()]);
    list($found, $status) = $client->QueryTaskStatus($asked)->wait();
    echo $status->code, $found->getTaskId() === $opened->getTaskId() ? 'y' : 'n';
    list($none, $status) = $client->QueryTaskStatus(new TaskStatusRequest(['task_id' => 'none']))->wait();
    echo $status->code, ' ';
}
""".replace("HOST", service.grpc_target)
    assert php(tmp_path, ("calls.php", calls)).split() == ["0260y5"] * 60


def test_a_service_that_is_not_there_is_a_status_and_no_exception(tmp_path: Path) -> None:
    example = EXAMPLE.replace(HOST, "127.0.0.1:1")
    said = php(tmp_path, ("pdo.php", DATABASE), ("example.php", example))
    assert "Export failed: " in said
    assert "127.0.0.1" in said or "onnect" in said


def test_its_messages_are_those_of_the_contract() -> None:
    skip_without("protoc")
    subprocess.run([sys.executable, "infra/gen_php_messages.py", "--check"], cwd=ROOT, check=True)


def test_a_deadline_of_any_length_is_the_one_that_was_said(tmp_path: Path) -> None:
    """Eight digits are all that gRPC's header takes, in whichever unit."""
    skip_without("php")
    code = f"""<?php
    require '{ROOT}/clients/php-export/autoload.php';
    $text = new ReflectionMethod(Export\\Call::class, 'timeoutText');
    $text->setAccessible(true);
    foreach ([1, 99999999, 100000001, 600000000, 86400000000, 360000000000000] as $microseconds) {{
        echo $text->invoke(null, $microseconds), ' ';
    }}
    """
    script = tmp_path / "deadlines.php"
    script.write_text(code)
    said = subprocess.run(["php", str(script)], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["1u", "99999999u", "100001m", "600000m", "86400000m", "99999999H"]
