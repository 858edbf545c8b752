"""A table of an application, defined for its users; one of them has it as a workbook, with the e-mails masked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from python_calamine import CalamineWorkbook

from sluice.adapters.system_clock import SystemClock
from sluice.demo.order_table import COLUMNS, order_rows

CLOCK = SystemClock()
EMAIL = 3
TIMEOUT_S = 120
POLL_S = 0.02
TOKEN_S = 3_600

_DATASET = """dataset: orders
source: {connection: app, table: orders, key: [id]}
columns:
COLUMNS
permission: "orders:read"
tiers: {direct_rows: 0, waited_rows: 0}
"""


class UsersFile(NamedTuple):
    """What a user got."""

    rows: int
    attempts: int
    sha256: str
    seconds: float


def define_orders(folder: Path, rows: int) -> Path:
    """Make a database with the order table, and the definitions by which it may become a file; gives their folder."""
    definitions = folder / "definitions"
    for name in ("connections", "datasets"):
        (definitions / name).mkdir(parents=True, exist_ok=True)
    (definitions / "connections/app.yaml").write_text("name: app\ntype: sqlite\npath: shop.db\n", encoding="utf-8")
    columns = "\n".join(_column(index) for index in range(len(COLUMNS)))
    (definitions / "datasets/orders.yaml").write_text(_DATASET.replace("COLUMNS", columns), encoding="utf-8")
    database = definitions / "shop.db"
    database.unlink(missing_ok=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        names = ", ".join(column.name for column in COLUMNS[1:])
        db.execute(f"CREATE TABLE orders (id INTEGER PRIMARY KEY, {names})")
        db.execute("BEGIN")
        marks = ", ".join("?" * len(COLUMNS))
        db.executemany(f"INSERT INTO orders VALUES ({marks})", order_rows(rows))  # noqa: S608  # marks alone
        db.execute("COMMIT")
    return definitions


def _column(index: int) -> str:
    column = COLUMNS[index]
    mask = ', mask: email, unmask_with: "orders:pii"' if index == EMAIL else ""
    shown = f', format: "{column.format}"' if column.format else ""
    return f"  - {{name: {column.name}, type: {column.type.value}{shown}{mask}}}"


def masked_rows(rows: int) -> Iterator[tuple[str, ...]]:
    """What a user without the permission for e-mails has to see."""
    for row in order_rows(rows):
        local, _, domain = row[EMAIL].partition("@")
        yield (*row[:EMAIL], f"{local[0]}***@{domain}", *row[EMAIL + 1 :])


def user_token(secret: str) -> str:
    """A JSON Web Token as the application would sign it for its user Ann."""
    claims = {"sub": "ann", "tenant": "local", "permissions": ["orders:read"], "exp": CLOCK.now() + TOKEN_S}
    signed = ".".join(_part(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{signed}.{_part(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def pull_orders(url: str, token: str, target: Path, on_rows: Callable[[int], object]) -> UsersFile:
    """Ask for the table as the user, and fetch the file; ``on_rows`` is called while its rows are read."""
    started = CLOCK.monotonic()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"format": "xlsx", "prefer": "background"}).encode()
    watch = str(_json(Request(f"{url}/v1/datasets/orders/exports", body, headers))["watch_url"])  # noqa: S310 - ours
    while (status := _json(watch))["state"] != "completed":
        if status["error"]:
            raise RuntimeError(f"{status['error']}")
        if status["state"] == "reading":
            on_rows(int(status["rows_received"]))
        CLOCK.sleep(POLL_S)
    with urlopen(f"{watch}/file", timeout=TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310 - ours
        shutil.copyfileobj(answer, file, 1 << 20)
    return UsersFile(status["rows_written"], status["attempts"], status["checksum_sha256"], CLOCK.monotonic() - started)


def about_errors(path: Path, rows: int) -> list[str]:
    """What the last worksheet of the user's file should say of it, and does not."""
    book = CalamineWorkbook.from_path(str(path))
    said = [tuple(row) for row in book.get_sheet_by_name(book.sheet_names[-1]).to_python()]
    email = COLUMNS[EMAIL].name
    expected = [
        ("Dataset", "orders", ""),
        ("Asked for by", "ann", ""),
        ("Rows in this file", str(rows), ""),
        ("Column", email, f"string, {email} of the table, masked: email"),
    ]
    return [" ".join(line) for line in expected if line not in said]


def _json(request: Request | str) -> dict[str, Any]:
    with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the service that the demo started
        return dict(json.load(answer))
