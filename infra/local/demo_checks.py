"""Holds what the demo made against what it sent: files cell by cell, calls one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from infra.emulators.oss import Call as OssCall
from infra.emulators.tablestore import Call as TableCall
from sluice.demo.file_check import as_cells, count_equal_cells, csv_rows, sha256_of, xlsx_rows
from sluice.demo.grpc_sender import COLUMNS as CITY_COLUMNS
from sluice.demo.order_table import COLUMNS, order_rows

KIND_OF_CITY_COLUMN = {1: "string", 2: "number"}
READS = {"GetRow", "GetRange", "BatchGetRow"}
READS_MAX = 20
"""Reads while batches come: keys and definitions, which are remembered, so that there are few however many batches."""


def check_orders_xlsx(path: Path, rows: int, sha256: str) -> int:
    """Compare a workbook of orders, as an independent reader sees it; returns the number of cells."""
    _check_digest(path, sha256)
    header = [column.name for column in COLUMNS]
    kinds = [column.type.value for column in COLUMNS]
    return count_equal_cells(xlsx_rows(path), chain([header], as_cells(order_rows(rows), kinds)))


def check_orders_csv(path: Path, rows: int, sha256: str) -> int:
    """Compare a CSV file of orders; returns the number of cells."""
    _check_digest(path, sha256)
    return count_equal_cells(csv_rows(path), chain([[column.name for column in COLUMNS]], order_rows(rows)))


def check_cities(path: Path, rows: list[tuple[str, ...]], sha256: str) -> int:
    """Compare a workbook of cities; returns the number of cells."""
    _check_digest(path, sha256)
    kinds = [KIND_OF_CITY_COLUMN[kind] for _, kind in CITY_COLUMNS]
    return count_equal_cells(xlsx_rows(path), chain([[name for name, _ in CITY_COLUMNS]], as_cells(rows, kinds)))


def checked_calls(oss: Iterable[OssCall], tables: Iterable[TableCall], batch_calls: int, bucket: str) -> str:
    """What is wrong with the calls that batches cost; empty when each cost one PUT and one UpdateRow."""
    puts = Counter((call.operation, call.bucket, call.status) for call in oss)
    rows = Counter(call.operation for call in tables)
    reads = sum(rows.pop(operation, 0) for operation in READS)
    if puts == {("PutObject", bucket, 200): batch_calls} and rows == {"UpdateRow": batch_calls} and reads <= READS_MAX:
        return ""
    return f"{batch_calls} batches cost {dict(puts)} of OSS, {dict(rows)} and {reads} reads of Tablestore"


def _check_digest(path: Path, sha256: str) -> None:
    if sha256_of(path) != sha256:
        raise AssertionError(f"{path.name} does not have the SHA-256 that the service names")
