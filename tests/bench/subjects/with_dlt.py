"""A table of PostgreSQL as CSV, dlt's fastest way: `python -m tests.bench.subjects.with_dlt URL TABLE FOLDER`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from tests.bench.subject_table import find_packages


def main(url: str, table: str, folder: str) -> None:
    """Write the table's CSV below ``folder``."""
    find_packages()
    dlt: Any = importlib.import_module("dlt")
    sql: Any = importlib.import_module("dlt.sources.sql_database")
    destinations: Any = importlib.import_module("dlt.destinations")
    pipeline = dlt.pipeline(
        "bench",
        destination=destinations.filesystem(bucket_url=f"file://{folder}/dlt"),
        pipelines_dir=f"{folder}/dlt-state",
        dataset_name="bench",
    )
    driver = url.replace("postgresql:", "postgresql+psycopg2:")
    source = sql.sql_table(credentials=driver, table=table, backend="pyarrow", chunk_size=50_000)
    pipeline.run(source, loader_file_format="csv", write_disposition="replace")


if __name__ == "__main__":
    main(*sys.argv[1:])
