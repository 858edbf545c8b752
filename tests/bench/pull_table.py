"""The order table in a PostgreSQL server, as the pulls of the benchmarks read it, and what reads it beside us."""

from __future__ import annotations

import csv
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sluice.demo.order_table import COLUMNS, order_columns
from sluice.domain.schema import ColumnType
from tests.bench.subject_table import PACKAGES
from tests.support.database_servers import DatabaseServer, serving_postgresql

BLOCK_ROWS = 100_000
USER, PASSWORD = "bench", "bench"
OURS_XLSX, OURS_CSV = "ours, a worker of the service, XLSX", "ours, a worker of the service, CSV"
PULL_XLSX, PULL_CSV = "sluice pull, XLSX", "sluice pull, CSV"
SLING, DLT = "Sling, CSV", "dlt, CSV"
_SLING = PACKAGES / "sling_linux_amd64/bin/sling-linux-amd64"
_TYPES = {
    "id": "bigint PRIMARY KEY", "amount": "numeric(12, 2)", "quantity": "integer", "created_at": "timestamp",
    "paid": "boolean",
}  # fmt: skip
"""What is no text."""
_DATASET = """dataset: NAME
source: {connection: bench, table: public.NAME, key: [id]}
columns: [COLUMNS]
limits: {per_user_hour: 0}
tiers: {direct_rows: 20000}
"""
_CONNECTION = """name: bench
type: postgresql
host: 127.0.0.1
port: PORT
database: postgres
user: USER
password: "${secret:bench}"
"""


class PullStage(NamedTuple):
    """A server with the order table, once for each number of rows, and the definitions of them as datasets."""

    server: DatabaseServer
    port: int
    folder: Path

    @property
    def definitions(self) -> Path:
        return self.folder / "definitions"

    @property
    def env(self) -> dict[str, str]:
        """What a process of ours needs to read them."""
        return {"SLUICE_DATASETS_DEFINITIONS": str(self.definitions), "SLUICE_SECRET_BENCH": PASSWORD}

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres?sslmode=disable"


class Puller(NamedTuple):
    """A program that makes a file of a table."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    output: str
    """The files it makes, below the folder."""


def named(rows: int) -> str:
    """The table, and the dataset, of so many rows."""
    return f"orders_{rows}"


@contextmanager
def pull_stage(sizes: Sequence[int]) -> Iterator[PullStage]:
    """Skips the test where there is no server."""
    with TemporaryDirectory() as name, closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
        free.close()
        with serving_postgresql("-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB", port=port) as server:
            stage = PullStage(server, port, Path(name))
            _fill(stage, max(sizes))
            for rows in sorted(set(sizes)):
                _define(stage, rows)
            server(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
            server(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {USER}")
            yield stage


def _fill(stage: PullStage, rows: int) -> None:
    columns = ", ".join(f"{one.name} {_TYPES.get(one.name, 'text')}" for one in COLUMNS)
    stage.server(f"CREATE TABLE orders ({columns});")
    part = stage.folder / "part.csv"
    for first in range(0, rows, BLOCK_ROWS):
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(zip(*order_columns(first, min(rows, first + BLOCK_ROWS)), strict=True))
        stage.server(f"\\copy orders FROM '{part}' WITH (FORMAT csv, FORCE_NOT_NULL (note))")
    part.unlink()
    (stage.definitions / "connections").mkdir(parents=True)
    (stage.definitions / "datasets").mkdir()
    text = _CONNECTION.replace("PORT", str(stage.port)).replace("USER", USER)
    (stage.definitions / "connections/bench.yaml").write_text(text, encoding="utf-8")


def _define(stage: PullStage, rows: int) -> None:
    name = named(rows)
    stage.server(f"CREATE TABLE {name} AS SELECT * FROM orders WHERE id <= {rows} ORDER BY id;")
    stage.server(f"ALTER TABLE {name} ADD PRIMARY KEY (id); VACUUM ANALYZE {name};")
    shown = ", ".join(
        f"{{name: {one.name}, type: {one.type.value}{', format: yes/no' if one.type is ColumnType.BOOLEAN else ''}}}"
        for one in COLUMNS
    )
    text = _DATASET.replace("NAME", name).replace("COLUMNS", shown)
    (stage.definitions / f"datasets/{name}.yaml").write_text(text, encoding="utf-8")


def pullers(stage: PullStage, rows: int) -> list[Puller]:
    """All programs that can run here, beside the workers of a service."""
    folder, table = stage.folder, named(rows)
    env = {**os.environ, **stage.env, "PYTHONHASHSEED": "0"}
    ours = [sys.executable, "-m", "sluice", "pull", table, "--definitions", str(stage.definitions), "-o"]
    found = [
        Puller(PULL_XLSX, [*ours, str(folder / "ours.xlsx")], env, "ours.xlsx"),
        Puller(PULL_CSV, [*ours, str(folder / "ours.csv")], env, "ours.csv"),
    ]
    if _SLING.exists():
        _SLING.chmod(0o755)
        target = f"file://{folder / 'sling.csv'}"
        command = [
            str(_SLING),
            "run",
            "--src-conn",
            stage.url,
            "--src-stream",
            f"public.{table}",
            "--tgt-object",
            target,
        ]
        quiet = {"SLING_HOME_DIR": str(folder / "sling"), "SLING_DISABLE_TELEMETRY": "true"}
        found.append(Puller(SLING, command, {**env, **quiet}, "sling.csv"))
    if (PACKAGES / "dlt").is_dir():
        command = [sys.executable, "-m", "tests.bench.subjects.with_dlt", stage.url, table, str(folder)]
        quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true"}
        found.append(Puller(DLT, command, {**env, **quiet}, "dlt/bench/orders_*/*.csv"))
    return found
