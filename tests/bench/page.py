"""The page of a run: its figures as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.page_table import PageTable
from tests.bench.pull_page import pull_tables
from tests.bench.results import Composed, Crowd, Linked, Results, Sent, Stepped, Written
from tests.bench.sender_table import RIVALS, XLSWRITER
from tests.bench.subject_table import REFERENCES, SUBJECTS
from tests.bench.targets import targets_of

MIB = 1024 * 1024
MB = 1_000_000
EMPTY = "-"


def tables_of(results: Results) -> list[PageTable]:
    """All tables; one that was not measured has no rows."""
    return [
        targets_table(results),
        writers_table(results, "xlsx"),
        writers_table(results, "csv"),
        growth_table(results.all_by_rows, "rows"),
        growth_table(results.by_columns, "columns"),
        relay_table(results),
        links_table(results.links),
        memory_table(results.memory),
        crowds_table(results.crowds),
        starts_table(results),
        senders_table(results.senders),
        *pull_tables(results),
        steps_table(results.pipelines),
    ]


def heading_of(results: Results) -> str:
    """When, where, how."""
    return (
        f"{results.date}, {results.machine}; `{results.command}`, {results.seconds / 60:.0f} min, best of "
        f"{results.rounds}; load before the start {results.load:.1f}."
    )


def page_of(results: Results) -> str:
    """Everything as plain text."""
    return "\n\n".join([heading_of(results), *(table.as_text() for table in tables_of(results) if table.rows)])


def targets_table(results: Results) -> PageTable:
    rows = [(one.what, one.must, one.seen, one.verdict) for one in targets_of(results)]
    return PageTable("targets", "What must be reached", ("what", "must reach", "seen", "reached"), rows, left=4)


def writers_table(results: Results, kind: str) -> PageTable:
    """One line for each subject; the ratio is of speeds, against the fastest of the references."""
    ours = [one for one in results.writers if kind_of(one.subject) == kind]
    references = [one for one in ours if one.subject in REFERENCES[kind]]
    name = "XlsxWriter" if kind == "xlsx" else "csv.writer"
    rows = [
        (
            one.subject,
            f"{one.rows_per_s:,.0f}",
            f"{one.best_s:.2f}",
            f"{one.file_bytes / MIB:.1f}",
            f"{one.grown_bytes / MIB:.1f}",
            ratio_range(one, references),
        )
        for one in sorted(ours, key=lambda one: one.best_s)
    ]
    size = f"{ours[0].rows:,} rows x {ours[0].columns} columns" if ours else ""
    head = ("subject", "rows/s", "seconds", "file MiB", "memory +MiB", f"x {name}")
    return PageTable(f"writers-{kind}", f"{kind.upper()}, {size}", head, rows)


def kind_of(subject: str) -> str:
    return next(one.kind for one in SUBJECTS if one.name == subject)


def ratio_range(one: Written, references: Sequence[Written]) -> str:
    """How many times as fast as the fastest reference: best against best, and the range over the rounds."""
    if not references:
        return EMPTY
    rival = min(references, key=lambda written: written.best_s)
    ratio = f"{rival.best_s / one.best_s:.1f}"
    pairs = [theirs / mine for theirs, mine in zip(rival.seconds, one.seconds, strict=False)]
    if one is rival or len(pairs) == 1:
        return ratio
    return f"{ratio} ({min(pairs):.1f} to {max(pairs):.1f})"


def growth_table(growth: Sequence[Written], by: str) -> PageTable:
    """Rows or cells per second, and growth of memory at the largest size, by subject and size."""
    sizes = sorted({getattr(one, by) for one in growth})
    unit = "rows/s" if by == "rows" else "cells/s, in thousands"
    subjects = list(dict.fromkeys(one.subject for one in growth))
    rows = []
    for subject in subjects:
        found = {getattr(one, by): one for one in growth if one.subject == subject}
        largest = found[max(found)]
        memory = [f"{largest.grown_bytes / MIB:.1f}" if max(found) == sizes[-1] else EMPTY]
        rows.append((subject, *(_speed(found.get(size), by) for size in sizes), *memory))
    fixed = f"; {growth[0].rows:,} rows" if growth and by == "columns" else ""
    head = (f"{by}: {unit}", *(f"{size:,}" for size in sizes), f"memory +MiB at {sizes[-1]:,}" if sizes else "")
    return PageTable(f"by-{by}", f"How writers grow with {by}{fixed}", head, rows)


def _speed(one: Written | None, by: str) -> str:
    if one is None:
        return EMPTY
    return f"{one.rows_per_s:,.0f}" if by == "rows" else f"{one.rows_per_s * one.columns / 1000:,.0f}"


def relay_table(results: Results) -> PageTable:
    senders = sorted({one.senders for one in results.relay})
    found = {(one.face, one.senders): one for one in results.relay}
    rows = []
    for face in dict.fromkeys(one.face for one in results.relay):
        ordered = [found.get((face, number)) for number in senders]
        rates = [f"{one.rows_per_s:,.0f}" if one else EMPTY for one in ordered]
        cpu_rates = [f"{one.rows_per_cpu_s:,.0f}" if one else EMPTY for one in ordered]
        latencies = [f"{one.p50_ms:.1f} / {one.p99_ms:.1f}" if one else EMPTY for one in ordered]
        rows.append((face, *rates, *cpu_rates, *latencies))
    head = (
        "relay on one core, rows/s",
        *(f"{_senders(number)}" for number in senders),
        *(f"of CPU, {number}" for number in senders),
        *(f"ms p50 / p99, {number}" for number in senders),
    )
    return PageTable("relay", "The relay, batches of 1,000 rows, to a durable chunk and claim", head, rows)


def _senders(number: int) -> str:
    return "1 sender" if number == 1 else f"{number} senders"


def links_table(links: Iterable[Linked]) -> PageTable:
    rows = [
        (
            f"{one.rows:,}",
            f"{one.xlsx_s:.2f}",
            f"{one.rows / one.xlsx_s:,.0f}",
            f"{one.csv_s:.2f}",
            f"{one.rows / one.csv_s:,.0f}",
            f"{one.peak_bytes / MB:.1f}",
        )
        for one in links
    ]
    head = ("rows", "XLSX s", "rows/s", "CSV s", "rows/s", "composer's peak MB")
    return PageTable("links", "From close to link, embedded stores", head, rows, left=0)


def memory_table(memory: Sequence[Composed]) -> PageTable:
    sizes = sorted({one.rows for one in memory})
    homes = dict.fromkeys(one.home for one in memory)
    rows = []
    for home in homes:
        peaks = {one.rows: f"{one.peak_bytes / MB:.1f}" for one in memory if one.home == home}
        notes = sorted({one.note for one in memory if one.home == home and one.note})
        rows.append(("; ".join([_home(home), *notes]), *(peaks.get(size, EMPTY) for size in sizes)))
    head = ("composer's process, XLSX: peak MB at rows", *(f"{size:,}" for size in sizes))
    return PageTable("memory", "Peak memory of a whole composer process", head, rows)


def _home(home: str) -> str:
    return "embedded stores" if home == "embedded" else "deployed, OSS and Tablestore SDKs loaded"


def crowds_table(crowds: Iterable[Crowd]) -> PageTable:
    rows = [
        (
            f"{one.exports}",
            f"{one.rows_each:,}",
            f"{one.rows_per_s:,.0f}",
            f"{one.seconds:.2f}",
            f"{one.all_finished_s[0]:.2f} / {one.all_finished_s[len(one.all_finished_s) // 2]:.2f}",
            f"{one.jain:.3f}",
            f"{one.p50_ms:.1f} / {one.p90_ms:.1f} / {one.p99_ms:.1f} / {one.max_ms:.1f}",
        )
        for one in crowds
    ]
    head = (
        "exports",
        "rows each",
        "rows/s",
        "last link s",
        "first / median link s",
        "Jain",
        "query ms p50/p90/p99/max",
    )
    title = "Exports at once: XLSX, CSV, JSON Lines and Parquet in turn, from open to link"
    return PageTable("crowds", title, head, rows, left=0)


def starts_table(results: Results) -> PageTable:
    rows = [
        (
            one.function,
            f"{one.import_ms:,.0f}",
            f"{one.without_bytecode_ms:,.0f}",
            f"{one.peak_bytes / MB:.1f}",
            f"{one.modules}",
        )
        for one in results.starts
    ]
    head = ("function", "import ms", "without bytecode ms", "peak MB", "modules")
    return PageTable("starts", "Starting a deployed function, from the layers", head, rows)


def senders_table(sent: Sequence[Sent]) -> PageTable:
    """A line for each subject, number of rows and link; the ratio is of the subject's own CPU."""
    reference = next((one for one in sent if one.subject == XLSWRITER), None)
    rows = [
        (
            one.subject,
            f"{one.rows:,}",
            f"{one.link_ms}" if one.link_ms else EMPTY,
            f"{min(one.pushed_s):.2f}",
            f"{min(one.finished_s):.2f}",
            f"{one.best_cpu_s:.2f}",
            f"{one.all_cpu_s:.2f}",
            f"{one.peak_bytes / MIB:.0f}" if one.peak_bytes else EMPTY,
            f"{one.grown_bytes / MIB:.1f}",
            f"{reference.best_cpu_s / one.best_cpu_s:.1f}" if reference and one.rows == reference.rows else EMPTY,
        )
        for one in sent
    ]
    head = (
        *("subject", "rows", "link ms", "pushed s", "file s", "own CPU s", "all CPU s"),
        *("PHP's peak MiB", "memory +MiB", f"1/CPU, x {XLSWRITER}"),
    )
    return PageTable("senders", "Senders, and those who write in PHP", head, rows)


def steps_table(stepped: Iterable[Stepped]) -> PageTable:
    rows = [(one.subject, f"{one.kept_share:.0%}", f"{one.rows_per_cpu_s:,.0f}") for one in stepped]
    head = ("steps", "rows kept", "rows/CPU s")
    return PageTable("pipelines", "Steps of a pipeline, batches of 8,000 rows in memory", head, rows)


def pipelines_heading(results: Results) -> str:
    """When, where, how."""
    return results.apart.get("pipelines", "With the others.") if results.pipelines else "Not measured in this run."


def senders_heading(results: Results) -> str:
    """When, where, how, with which programs, and without which."""
    if not results.senders:
        return "Not measured in this run."
    had = ", ".join(" ".join((_PROGRAMS.get(name, name), known)).strip() for name, known in results.versions.items())
    missing = [one.name for one in RIVALS if one.needs not in results.versions]
    without = f" Not to be had there: {', '.join(missing)}." if missing else ""
    return f"{results.apart.get('senders', 'With the others.')} With {had}.{without}"


_PROGRAMS = {"php": "PHP", "node": "Node.js"} | {one.needs: one.name for one in RIVALS}
