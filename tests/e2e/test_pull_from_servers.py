"""`sluice pull` from real servers: the file has the table's rows, and no output has the password."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support.command_line import sluice
from tests.support.database_servers import DatabaseServer, serving_mariadb, serving_postgresql

pytestmark = pytest.mark.slow  # servers are started

PASSWORD = "s3cret-of-the-test"


def defined(folder: Path, server: DatabaseServer, kind: str, table: str) -> Path:
    (folder / "connections").mkdir()
    (folder / "datasets").mkdir()
    (folder / "connections/crm.yaml").write_text(
        f"name: crm\ntype: {kind}\nhost: {server.host}\ndatabase: {server.database}\nuser: reader\n"
        'password: "${secret:crm-db}"\n'
    )
    (folder / "datasets/orders.yaml").write_text(
        f"dataset: orders\nsource: {{connection: crm, table: {table}, key: [id]}}\n"
        "columns: [{name: id, type: number}, {name: name}, {name: paid, type: boolean}]\n"
    )
    return folder


def check(folder: Path) -> None:
    """It is pulled with the password alone, which no output has."""
    arguments = ("orders", "--definitions", folder, "-o", folder / "orders.csv")
    said = [sluice("pull", *arguments, exit_code=1).stderr]
    assert "set SLUICE_SECRET_CRM_DB" in said[0]
    wrong = {"SLUICE_SECRET_CRM_DB": PASSWORD[1:]}
    said.append(sluice("dataset", "check", "--definitions", folder, env=wrong, exit_code=1).stderr)
    assert "the password is not the user's" in said[1]
    assert not list(folder.glob("*.csv*"))
    right = {"SLUICE_SECRET_CRM_DB": PASSWORD}
    done = [sluice("pull", *arguments, env=right), sluice("dataset", "check", "--definitions", folder, env=right)]
    assert not any(PASSWORD[1:] in text for one in done for text in (one.stdout, one.stderr, *said))
    with (folder / "orders.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 20_001
    assert rows[0] == ["id", "name", "paid"]
    assert rows[1:3] == [["1", "名 1", "true"], ["2", "名 2", "false"]]


def test_a_table_of_postgresql_becomes_a_file(tmp_path: Path) -> None:
    with serving_postgresql() as server:
        server(
            "CREATE TABLE orders (id bigint PRIMARY KEY, name text, paid boolean);"
            "INSERT INTO orders SELECT g, '名 ' || g, g % 2 = 1 FROM generate_series(1, 20000) g;"
            f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON orders TO reader;"
        )
        check(defined(tmp_path, server, "postgresql", "public.orders"))


def test_a_table_of_mysql_becomes_a_file(tmp_path: Path) -> None:
    with serving_mariadb() as server:
        server(
            "CREATE DATABASE shop; USE shop;"
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(20), paid BOOLEAN);"
            "INSERT INTO orders SELECT seq, CONCAT('名 ', seq), seq % 2 FROM seq_1_to_20000;"
            f"CREATE USER reader@localhost IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON shop.orders TO reader@localhost;"
        )
        check(defined(tmp_path, server, "mysql", "orders"))
