"""The tables of the page about pulls."""

from __future__ import annotations

from tests.bench.page_table import PageTable
from tests.bench.results import PullRun, Results

MB = 1_000_000


def pull_tables(results: Results) -> list[PageTable]:
    """Files of a table, and what one page of it costs."""
    run = results.pull[0] if results.pull else None
    return [_files(run), _pages(run)]


def _files(run: PullRun | None) -> PageTable:
    rows = []
    if run is not None:
        rivals = min(run.reference_cpu_s) / run.reference.rows
        rows = [
            (
                one.subject,
                f"{one.rows:,}",
                f"{min(one.seconds):.2f}",
                f"{one.rows_per_s:,.0f}",
                f"{one.best_cpu_s:.2f}",
                f"{one.peak_bytes / MB:.1f}",
                f"{one.rows_per_s / run.reference.rows_per_s:.1f}",
                f"{rivals / (one.best_cpu_s / one.rows):.1f}",
            )
            for one in run.files
        ]
        theirs = run.reference
        rows.append(
            (
                f"{theirs.subject}, rows in memory",
                f"{theirs.rows:,}",
                f"{theirs.best_s:.2f}",
                f"{theirs.rows_per_s:,.0f}",
                f"{min(run.reference_cpu_s):.2f}",
                "-",
                "1.0",
                "1.0",
            )
        )
    head = ("subject", "rows", "s", "rows/s", "CPU s", "peak MB", "x XlsxWriter", "x, of CPU")
    return PageTable("pull", "A table of PostgreSQL becomes a file", head, rows)


def _pages(run: PullRun | None) -> PageTable:
    rows = [
        (
            f"{one.page:,}",
            f"{one.buffers:,}",
            f"{one.buffers_by_offset:,}",
            f"{min(one.seconds) * 1000:.0f}",
        )
        for one in (run.pages if run else ())
    ]
    size = f" of {run.pages[0].rows:,} rows" if run and run.pages else ""
    head = (f"page{size}", "blocks", "blocks by OFFSET", "ms from connecting to its rows")
    return PageTable("pull-pages", "A page of a table, behind those before it", head, rows, left=0)


def pull_heading(results: Results) -> str:
    """When, where, how."""
    return results.apart.get("pull", "With the others.") if results.pull else "Not measured in this run."
