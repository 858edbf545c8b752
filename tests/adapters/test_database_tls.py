"""Over TCP a database server has to prove its name by a certificate, and gets no password before."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sluice.adapters.sources.mysql import MysqlSource
from sluice.adapters.sources.postgresql import PostgresqlSource
from sluice.domain.dataset import MysqlConnection, PostgresqlConnection, TableSource
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError, SourceUnavailable
from tests.support.database_servers import free_port, serving_mariadb, serving_postgresql
from tests.support.programs import skip_without

pytestmark = pytest.mark.slow  # servers are started

PASSWORD = "s3cret"


@pytest.fixture
def certified() -> Iterator[Path]:
    """A folder with a certificate of ``localhost`` and its key, which the servers may read."""
    skip_without("openssl")
    with tempfile.TemporaryDirectory(prefix="tls") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        made += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run(
            [*made, "-keyout", str(folder / "key"), "-out", str(folder / "cert")], check=True, capture_output=True
        )
        yield folder


def readable_by(user: str, folder: Path) -> None:
    if os.getuid() == 0:
        os.chown(folder / "key", pwd.getpwnam(user).pw_uid, -1)
    (folder / "key").chmod(0o600)


Reader = PostgresqlSource | MysqlSource


def check(where: PostgresqlConnection | MysqlConnection, folder: Path, table: str) -> None:
    """It is read where the certificate is trusted and of its name, and nowhere else."""
    source = TableSource(connection="crm", table=table, key=("id",))

    def reader(**changes: object) -> Reader:
        changed = msgspec.structs.replace(where, **changes)
        if isinstance(changed, PostgresqlConnection):
            return PostgresqlSource(changed, source, ["id"], password=lambda: Secret(PASSWORD), folder=folder)
        return MysqlSource(changed, source, ["id"], password=lambda: Secret(PASSWORD), folder=folder)

    assert reader(tls="verify", tls_ca="cert").count(5) == 1
    assert reader(tls="off").count(5) == 1
    for changes in ({}, {"tls_ca": "cert", "host": "127.0.0.1"}):
        with pytest.raises(SourceError, match="certificate is not one of its name") as refused:
            reader(tls="verify", **changes).count(5)
        assert not isinstance(refused.value, SourceUnavailable)


def test_postgresql_proves_its_name(certified: Path) -> None:
    readable_by("postgres", certified)
    port = free_port()
    settings = ["ssl=on", f"ssl_cert_file={certified / 'cert'}", f"ssl_key_file={certified / 'key'}"]
    with serving_postgresql(*(part for one in settings for part in ("-c", one)), port=port) as server:
        server(
            f"CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE ROLE r LOGIN PASSWORD '{PASSWORD}';"
            "GRANT SELECT ON t TO r;"
        )
        where = PostgresqlConnection(name="crm", host="localhost", port=port, database="postgres", user="r")
        check(where, certified, "public.t")


def test_mysql_proves_its_name(certified: Path) -> None:
    readable_by("mysql", certified)
    port = free_port()
    with serving_mariadb(f"--ssl-cert={certified / 'cert'}", f"--ssl-key={certified / 'key'}", port=port) as server:
        server(
            "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1);"
            f"CREATE USER r@localhost IDENTIFIED BY '{PASSWORD}'; CREATE USER r@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';"
            "GRANT SELECT ON shop.t TO r@localhost; GRANT SELECT ON shop.t TO r@'127.0.0.1'"
        )
        where = MysqlConnection(name="crm", host="localhost", port=port, database="shop", user="r")
        check(where, certified, "shop.t")
