"""The figures of the front page: the targets and a few more, from a run."""

from __future__ import annotations

from tests.bench.results import Crowd, Linked, Results
from tests.bench.targets import targets_of


def figures_of(results: Results) -> str:
    """A sentence and a table."""
    lines = [
        f"Measured {results.date} by `{results.command}` on {results.machine}; the order table of 10 columns (ids,",
        "18-digit numbers, Chinese and Latin text, decimals, datetimes, booleans, line breaks, emoji). Speeds count as",
        "ratios, of one run, side by side; what was asked for in rows per second is scaled by XlsxWriter's speed.",
        f"The machine's load before the start was {results.load:.1f}.",
        *(f"The lines about {name} are of a run of their own: {head}" for name, head in results.apart.items()),
        "",
        "| what | must reach | seen | reached |",
        "|---|---|---|---|",
        *(f"| {one.what} | {one.must} | {one.seen} | {one.verdict} |" for one in targets_of(results)),
    ]
    return "\n".join([*lines, "", *_more(results)]) if _more(results) else "\n".join(lines)


def _more(results: Results) -> list[str]:
    parts = [*map(_linked, results.links[-1:]), *map(_crowd, results.crowds[-1:])]
    return [f"Also seen: {'; '.join(parts)}."] if parts else []


def _linked(one: Linked) -> str:
    return f"{one.rows:,} rows from close to link in {one.xlsx_s:.1f} s as XLSX and {one.csv_s:.1f} s as CSV"


def _crowd(one: Crowd) -> str:
    return (
        f"{one.exports} exports of {one.rows_each:,} rows at once, four formats, pushed and composed at "
        f"{one.rows_per_s:,.0f} rows/s, with status answers in {one.p50_ms:.0f} ms, 99 % in {one.p99_ms:.0f} ms"
    )
