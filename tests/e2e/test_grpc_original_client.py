"""Clients generated from the original contract work as they stand: fixed numbers, no credential, no option of ours."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sluice.api.auth import LOCAL_TENANT
from sluice.domain.task import State
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import serving
from tests.support.memory_service import MemoryService

SUPPORT = Path(__file__).parents[1] / "support"
ROWS = 2507


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stubs of the original contract, generated now."""
    folder = tmp_path_factory.mktemp("stubs")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{SUPPORT}", f"--python_out={folder}"]
    subprocess.run([*command, f"--grpc_python_out={folder}", "original_export.proto"], check=True)
    return folder


def run_client(stubs: Path, target: str, *, last_id: str) -> dict[str, Any]:
    command = [sys.executable, str(SUPPORT / "original_client.py"), str(stubs), target, str(ROWS), last_id]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_the_commissioned_example_works_as_it_stands(tmp_path: Path, stubs: Path) -> None:
    memory = MemoryService(tmp_path, open_door=True)
    with serving(memory) as target:
        seen = run_client(stubs, target, last_id=str(ROWS))
    first, final, query = seen["first"], seen["final"], seen["query"]
    task_id = first["task_id"]
    file = memory.file(task_id, LOCAL_TENANT)
    assert first["status"] == "TASK_STATUS_QUEUED"
    assert (final["task_id"], final["status"], final["error_message"]) == (task_id, "TASK_STATUS_COMPLETED", "")
    assert final["oss_url"]
    assert (final["file_size_bytes"], final["record_count"]) == (len(file), ROWS)
    assert final["checksum_sha256"] == hashlib.sha256(file).hexdigest()
    assert (seen["after"], seen["status"]) == (None, "OK")
    assert (query["status"], query["progress_percent"]) == ("TASK_STATUS_COMPLETED", 100)
    assert query["filename"] == "export_2026-01-09.csv"
    assert query["oss_url"]
    rows = list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))
    assert rows[0] == ["ID", "Name", "Email"]
    assert rows[1:-1] == [[str(n), f"Name {n} 王", f"user{n}@example.com"] for n in range(1, ROWS)]
    assert rows[-1] == [str(ROWS), "Last", "last@example.com"]


def test_its_branch_for_errors_finds_a_message_to_print(tmp_path: Path, stubs: Path) -> None:
    memory = MemoryService(tmp_path, open_door=True)
    with serving(memory) as target:
        seen = run_client(stubs, target, last_id="not a number")
    final = seen["final"]
    assert (final["status"], final["error_code"]) == ("TASK_STATUS_FAILED", "INVALID_VALUE")
    assert final["error_message"]
    assert (seen["after"], seen["status"]) == (None, "INVALID_ARGUMENT")
    assert memory.row(seen["first"]["task_id"], LOCAL_TENANT).state is State.OPEN


def test_the_contract_still_has_every_name_number_and_type_of_the_original(stubs: Path) -> None:
    command = [sys.executable, "-c", PRINT_CONTRACT, str(stubs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    original: dict[str, dict[str, list[int]]] = json.loads(done.stdout)
    ours: dict[str, dict[str, list[int]]] = {
        name: {field.name: [field.number, field.type, field.label] for field in message.fields}
        for name, message in pb.DESCRIPTOR.message_types_by_name.items()
    }
    for name, enum in pb.DESCRIPTOR.enum_types_by_name.items():
        ours[name] = {value.name: [value.number] for value in enum.values}
    assert len(original) == 9 + 3
    for name, fields in original.items():
        assert {field: ours[name][field] for field in fields} == fields


PRINT_CONTRACT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from original_export_pb2 import DESCRIPTOR
contract = {
    name: {field.name: [field.number, field.type, field.label] for field in message.fields}
    for name, message in DESCRIPTOR.message_types_by_name.items()
}
for name, enum in DESCRIPTOR.enum_types_by_name.items():
    contract[name] = {value.name: [value.number] for value in enum.values}
print(json.dumps(contract))
"""
