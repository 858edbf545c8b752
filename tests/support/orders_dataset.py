"""A table of orders that the users of three tenants may have as files, and a service that offers it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jwt

from tests.support.running_service import QUICK, ServiceProcess, serving

SECRET = "a secret of the application, of 32 bytes or more"
ROWS = 25_000
BURST = 250
"""Calls of one user at once."""
DATASET = """
dataset: orders
source: {connection: app, table: orders, key: [id], consistency: CONSISTENCY}
columns:
  - {name: id, type: number, label: Order id}
  - {name: email, label: E-mail, mask: email, unmask_with: "orders:pii"}
  - {name: cost, type: number, permission: "orders:cost"}
  - {name: amount, type: number}
  - {name: created_at, type: datetime}
permission: "orders:read"
rows: {tenant_id: ":user.tenant", state: [open, paid]}
filters: {ids: id, date: created_at, equals: [state]}
tiers: {direct_rows: 1000, waited_rows: 10000}
limits: {per_user_hour: 0, rows: 20000, ids: 100}
expires_s: 3600
"""


def order(number: int) -> tuple[Any, ...]:
    """Of three tenants in turn; every tenth is deleted, which no user sees."""
    state = "deleted" if number % 10 == 0 else "paid" if number % 2 else "open"
    day = number % 28 + 1
    email = f"user{number}@example.com"
    return (
        number,
        ("acme", "globex", "tiny")[number % 3],
        state,
        email,
        number * 2,
        number / 4,
        f"2026-03-{day:02} 10:00",
    )


def visible(tenant: str) -> list[tuple[Any, ...]]:
    return [one for one in map(order, range(1, ROWS + 1)) if one[1] == tenant and one[2] != "deleted"]


def define(folder: Path, text: str = DATASET, consistency: str = "snapshot", **more: str) -> None:
    """Write the definitions; ``more`` are those of further datasets by name."""
    for name in ("connections", "datasets"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "connections/app.yaml").write_text("name: app\ntype: sqlite\npath: shop.db\n")
    for name, definition in {"orders": text, **more}.items():
        (folder / f"datasets/{name}.yaml").write_text(definition.replace("CONSISTENCY", consistency))


@contextmanager
def serving_orders(folder: Path, **more: str) -> Iterator[ServiceProcess]:
    """A service whose users may have the orders; ``more`` as for ``define``."""
    define(folder, **more)
    with closing(sqlite3.connect(folder / "shop.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, tenant_id TEXT, state TEXT, email TEXT, cost INTEGER, "
            "amount REAL, created_at TEXT)"
        )
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", map(order, range(1, ROWS + 1)))
        db.commit()
    env = {**QUICK, "SLUICE_SECURITY_JWT_SECRET": SECRET, "SLUICE_DATASETS_USER_RATE_BURST": str(BURST)}
    with serving(folder / "data", env=env, arguments=("--definitions", str(folder))) as running:
        yield running


def token(tenant: str = "acme", *permissions: str, user: str = "ann", secret: str = SECRET, **claims: Any) -> str:
    said = {"sub": user, "tenant": tenant, "permissions": list(permissions), "exp": time.time() + 600, **claims}
    return jwt.encode(said, secret, algorithm="HS256")


READ = ("orders:read",)
