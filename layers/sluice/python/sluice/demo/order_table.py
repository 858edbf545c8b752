"""Sample data: an order table of any length, for the demo, the benchmarks and the tests.

Every row is a function of its index alone, so the table is the same however it is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch

COLUMNS = (
    ColumnSpec("id", ColumnType.NUMBER),
    ColumnSpec("order_no", ColumnType.STRING),
    ColumnSpec("customer", ColumnType.STRING),
    ColumnSpec("email", ColumnType.STRING),
    ColumnSpec("amount", ColumnType.NUMBER, format="#,##0.00"),
    ColumnSpec("quantity", ColumnType.NUMBER),
    ColumnSpec("created_at", ColumnType.DATETIME),
    ColumnSpec("paid", ColumnType.BOOLEAN),
    ColumnSpec("city", ColumnType.STRING),
    ColumnSpec("note", ColumnType.STRING),
)
BATCH_ROWS = 1_000

_FAMILY = tuple("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗")
_GIVEN = ("伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超")
_LATIN = ("Zoë Müller", "José García", "Anna Kowalska", "John O'Neil", "Élodie Durand", "Søren Kjær", "Ivan Petrov")
_NAMES = tuple(family + given for family in _FAMILY for given in _GIVEN) + _LATIN * 19
_CITIES = (
    "北京",
    "上海",
    "广州",
    "深圳",
    "杭州",
    "成都",
    "Berlin",
    "São Paulo",
    "New York",
    "東京",
    "Kraków",
    "Lyon",
    "Łódź",
)
_NOTES = (
    "deliver after 18:00",
    "call before delivery, ring twice",
    'customer said "leave at the door"',
    "请在工作日配送, 周末无人",
    "发票抬头: 某某科技有限公司",
    "gift 🎁 wrap, card: Happy Birthday 🎂",
    "line one\nline two\nline three",
    "size < L & colour > blue",
    "refund 10% & free shipping; see R&D",
    "a, b, c; d | e",
    "易碎品 <小心轻放> & 勿压",
    "no note",
    "paid by card ending 4242, invoice by e-mail",
)
_MINUTES = tuple(f" {minute // 60:02}:{minute % 60:02}:" for minute in range(1440))
_SECONDS = tuple(f"{second:02}" for second in range(60))
_DAYS = tuple(str(date(2023, 1, 1) + timedelta(days=day)) for day in range(1000))
_BOOLEANS = ("true", "false", "true")


def order_columns(first: int, end: int) -> list[list[str]]:
    """The rows with index ``first`` to ``end`` (exclusive), column by column."""
    rows = range(first, end)
    return [
        [str(row + 1) for row in rows],
        [str(202300000000000000 + row * 982451653 % 99999999999999) for row in rows],
        [_NAMES[row * 7919 % len(_NAMES)] for row in rows],
        [f"user{row * 104729 % 9999991}@mail{row % 17}.example.com" for row in rows],
        [f"{row * 15485863 % 999983}.{row * 31 % 100:02}" for row in rows],
        [str(1 + row * 13 % 97) for row in rows],
        [_DAYS[row // 991 % 1000] + _MINUTES[row * 1009 % 1440] + _SECONDS[row * 17 % 60] for row in rows],
        [_BOOLEANS[row * 5 % 3] for row in rows],
        [_CITIES[row * 11 % 13] for row in rows],
        [f"{_NOTES[row * 7 % 13]} #{row * 65537 % 100003}" for row in rows],
    ]


def order_batches(rows: int, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
    """The first ``rows`` rows in batches of ``batch_rows``."""
    for first in range(0, rows, batch_rows):
        end = min(first + batch_rows, rows)
        yield Batch.of_columns(order_columns(first, end), end - first)


def order_rows(rows: int) -> Iterator[tuple[str, ...]]:
    """The first ``rows`` rows one by one."""
    for first in range(0, rows, BATCH_ROWS):
        yield from zip(*order_columns(first, min(first + BATCH_ROWS, rows)), strict=True)
