"""The benchmarks: what they write, how they judge, and how a run gets into the pages."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from python_calamine import CalamineWorkbook

from sluice.demo.order_table import order_rows
from tests.bench.__main__ import main
from tests.bench.apart import measure_apart
from tests.bench.bench_crowd import jain_index
from tests.bench.bench_pipelines import FILTER_MASK_PRODUCT
from tests.bench.orders import Orders
from tests.bench.page import page_of, ratio_range, tables_of
from tests.bench.page_table import PageTable
from tests.bench.plots import draw
from tests.bench.pull_table import DLT, OURS_CSV, OURS_XLSX, SLING
from tests.bench.readme_figures import figures_of
from tests.bench.recording import FRONT, PAGE, RESULTS, blocks_of, record, rewrite, with_apart, with_block
from tests.bench.results import (
    Clicked,
    Composed,
    Crowd,
    Linked,
    Paged,
    PulledFile,
    PullRun,
    Pushed,
    Results,
    Sent,
    Started,
    Stepped,
    Written,
    load_results,
)
from tests.bench.sender_table import FOUR, ONE, PHP_XLSXWRITER, SENDERS, XLSWRITER, can_run
from tests.bench.soak import GROWTH_BYTES_MAX, MIB, Sample, growth
from tests.bench.subject_table import SUBJECTS, Subject, is_installed, prepare_of, subject_named
from tests.bench.targets import targets_of
from tests.support.programs import why_not

ROWS = 1_234
THEIRS = 10.0
"""Seconds that XlsxWriter takes for 190,000 rows: 19,000 a second, as on the machine of the targets."""


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks' packages are importable here only."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def written(subject: str, seconds: list[float], *, rows: int = 190_000, columns: int = 10) -> Written:
    return Written(
        subject=subject, rows=rows, columns=columns, seconds=seconds, file_bytes=2_000_000, grown_bytes=3_000_000
    )


def pushed(face: str, rows_per_s: float, senders: int = 1) -> Pushed:
    return Pushed(
        face=face, senders=senders, rows_per_s=rows_per_s, rows_per_cpu_s=2 * rows_per_s, p50_ms=5.5, p99_ms=9.25
    )


def sent(subject: str, cpu_s: float, *, rows: int = 200_000, link_ms: int = 0, **changes: object) -> Sent:
    one = Sent(
        subject=subject, rows=rows, link_ms=link_ms, pushed_s=[1.5, 1.0], finished_s=[3.0, 2.0],
        cpu_s=[2 * cpu_s, cpu_s], service_cpu_s=[0.5, 1.5], peak_bytes=4 << 20, grown_bytes=4_000_000,
    )  # fmt: skip
    return msgspec.structs.replace(one, **changes)


def all_sent(**ours: object) -> list[Sent]:
    """Senders that just reach what they must."""
    return [
        msgspec.structs.replace(sent(FOUR, 0.25, grown_bytes=6_000_000), **ours),
        sent(XLSWRITER, 1.5, service_cpu_s=[0.0, 0.0]),
        sent(PHP_XLSXWRITER, 10.0, service_cpu_s=[0.0, 0.0]),
        sent(FOUR, 0.03, rows=20_000),
        sent(FOUR, 0.25, link_ms=20),
        sent(ONE, 0.25, link_ms=20, pushed_s=[2.0]),
    ]


def pulled_file(subject: str, seconds: float, cpu_s: float, *, rows: int = 1_000_000, peak: int = 75) -> PulledFile:
    many, peak_bytes = [2 * seconds, seconds], peak * 1_000_000
    return PulledFile(subject=subject, rows=rows, seconds=many, cpu_s=[cpu_s, 2 * cpu_s], peak_bytes=peak_bytes)


def all_pulled(**changes: object) -> list[PullRun]:
    """Pulls that just reach what they must: XlsxWriter writes 19,000 rows a second, in as many seconds of CPU."""
    run = PullRun(
        load=0.25,
        reference=written("XlsxWriter, typed", [THEIRS, 11.0]),
        reference_cpu_s=[THEIRS, 11.0],
        files=[
            pulled_file(OURS_XLSX, 1_000_000 / 171_001, 1_000_000 / 171_001),
            pulled_file(OURS_CSV, 3, 2),
            pulled_file(SLING, 9, 4),
            pulled_file(DLT, 18, 4),
            *(pulled_file(OURS_XLSX, 9, 9, rows=rows, peak=80) for rows in (100_000, 2_000_000)),
        ],
        clicks=Clicked(rows=10_000, seconds=[0.1, 0.25, 0.9]),
        pages=[
            Paged(page=1, rows=2_000, buffers=100, buffers_by_offset=100, seconds=[0.1]),
            Paged(page=1_000, rows=2_000, buffers=110, buffers_by_offset=99_000, seconds=[0.1]),
        ],
    )
    return [msgspec.structs.replace(run, **changes)]


def whole_run(**changes: object) -> Results:
    """A run in which every target is just reached."""
    peaks = {10_000: 60, 100_000: 61, 1_000_000: 62, 2_000_000: 66, 10_000_000: 64}
    homes = {"embedded": 0, "cloud": 35}
    results = Results(
        date="2026-11-22",
        machine="Python 3.11.7, x86_64, 2 CPUs",
        command="make bench",
        load=0.25,
        seconds=840,
        rounds=2,
        writers=[
            written("ours XLSX", [THEIRS / 13.01, THEIRS / 13.01]),
            written("XlsxWriter, typed", [THEIRS, 11.0]),
            written("XlsxWriter, all texts", [12.0]),
            written("ours CSV", [0.2]),
            written("csv.writer", [0.4]),
        ],
        by_rows=[written("ours CSV", [rows / 1e6], rows=rows) for rows in (10_000, 1_000_000)],
        by_columns=[written("csv.writer", [columns / 10], rows=2_000, columns=columns) for columns in (1, 30)],
        relay=[pushed("HTTP, JSON arrays", 1e5), pushed("HTTP, JSON arrays", 1, 4), pushed("gRPC", 8e4)],
        links=[Linked(rows=1_000_000, xlsx_s=5.99, csv_s=2.99, peak_bytes=50_000_000)],
        memory=[
            Composed(home=home, rows=rows, peak_bytes=(peak + more) * 1_000_000, seconds=1)
            for home, more in homes.items()
            for rows, peak in peaks.items()
        ],
        crowds=[
            Crowd(exports=3, rows_each=1_000, seconds=2, finished_s={"csv": [1.0, 1.5], "xlsx": [2.0]},
                  jain=0.97, queries=9, p50_ms=1, p90_ms=2, p99_ms=3, max_ms=4)
        ],
        starts=[Started(function="compose", import_ms=283, without_bytecode_ms=1234, peak_bytes=46_000_000, modules=6)],
        senders=all_sent(),
        pull=all_pulled(),
        pipelines=[Stepped(subject=FILTER_MASK_PRODUCT, rows=3_000_000, kept_share=0.5, cpu_s=[2.5, 2.0])],
        versions={"php": "8.2.36", "xlswriter": "2.0.3", "php_xlsxwriter": ""},
    )  # fmt: skip
    return msgspec.structs.replace(results, **changes)


def test_a_wide_table_repeats_the_columns_with_other_rows() -> None:
    orders = Orders(25, 23)
    rows = orders.texts()
    assert [row[:10] for row in rows] == list(order_rows(25))
    assert {len(row) for row in rows} == {len(set(orders.names))} == {23}
    assert not {row[0] for row in rows} & {row[10] for row in rows}
    assert [row for batch in orders.batches() for row in batch.to_rows()] == rows


def test_typed_rows_are_the_texts_as_values() -> None:
    typed, texts = Orders(3).typed(), Orders(3).texts()
    assert [type(value).__name__ for value in typed[0]] == [
        "int", "str", "str", "str", "float", "int", "datetime", "bool", "str", "str",
    ]  # fmt: skip
    shown = [(str(row[0]), f"{row[4]:.2f}", str(row[5]), str(row[6]), str(row[7]).lower()) for row in typed]
    assert shown == [(row[0], *row[4:8]) for row in texts]
    assert {row[7] for row in typed} == {True, False}


def cells_of(kind: str, file: Path) -> Iterator[Sequence[object]]:
    if kind == "xlsx":
        yield from CalamineWorkbook.from_path(str(file)).get_sheet_by_index(0).iter_rows()
    else:
        with file.open(encoding="utf-8", newline="") as lines:
            yield from csv.reader(lines)


@pytest.mark.parametrize("subject", [one for one in SUBJECTS if "with_" in one.function], ids=lambda one: one.name)
def test_a_rival_writes_the_whole_table(tmp_path: Path, subject: Subject) -> None:
    if not is_installed(subject):
        pytest.skip(f"{subject.needs} is not installed; `make bench` installs it")
    size = prepare_of(subject)(Orders(ROWS), tmp_path)()
    (file,) = tmp_path.iterdir()
    header, *rows = cells_of(subject.kind, file)
    assert size == file.stat().st_size
    assert header[:2] == ["id", "order_no"]
    assert [row[9] for row in rows] == [row[9] for row in order_rows(ROWS)]


def test_ours_write_the_whole_table() -> None:
    sizes = {one.name: prepare_of(one)(Orders(ROWS), Path())() for one in SUBJECTS if one.function.startswith("ours:")}
    texts = sum(len(text.encode()) for row in order_rows(ROWS) for text in row)
    assert sizes["ours JSON Lines"] > sizes["ours CSV"] > texts
    assert sizes["ours XLSX"] > sizes["ours XLSX, no references"] > texts / 10


@pytest.mark.skipif(not is_installed(subject_named("PHP fputcsv")), reason=why_not("php"))
def test_the_php_program_writes_the_whole_table() -> None:
    measured = measure_apart(subject_named("PHP fputcsv"), Orders(100))
    assert measured.file_bytes > sum(len(text.encode()) for row in order_rows(100) for text in row)
    assert measured.seconds > 0


def test_a_run_that_just_reaches_everything_says_so() -> None:
    assert [target.verdict for target in targets_of(whole_run())] == ["yes"] * 21


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"writers": [written("ours XLSX", [0.78]), written("XlsxWriter, typed", [THEIRS])]}, {0}),
        ({"relay": [pushed("HTTP, JSON arrays", 99_000), pushed("gRPC", 79_000)]}, {2, 3}),
        ({"links": [Linked(rows=1_000_000, xlsx_s=6.1, csv_s=3.1, peak_bytes=1)]}, {8, 9}),
        ({"memory": [Composed(home="embedded", rows=rows, peak_bytes=peak, seconds=1)
                     for rows, peak in ((100_000, 50_000_000), (2_000_000, 55_100_000))]}, {7}),
        ({"senders": all_sent(cpu_s=[0.251])}, {10, 11}),
        ({"senders": all_sent(grown_bytes=6_100_000)}, {12}),
        ({"senders": [sent(FOUR, 1, link_ms=20), sent(ONE, 1, link_ms=20, pushed_s=[1.9])]}, {13}),
        ({"pull": all_pulled(files=[pulled_file(OURS_XLSX, 6, 1)])}, {14}),
        ({"pull": all_pulled(files=[pulled_file(OURS_XLSX, 1, 6)], load=1.1)}, {14}),
        ({"pull": all_pulled(files=[pulled_file(OURS_CSV, 1, 2), pulled_file(SLING, 1, 3.9), pulled_file(DLT, 1, 3)])},
         {15, 16}),
        ({"pull": all_pulled(files=[pulled_file(OURS_XLSX, 0.1, 0.1, rows=rows, peak=rows // 24_000)
                                    for rows in (100_000, 2_000_000)])}, {17}),
        ({"pull": all_pulled(clicks=Clicked(rows=10_000, seconds=[0.1, 0.3, 0.3]))}, {18}),
        ({"pipelines": [Stepped(subject=FILTER_MASK_PRODUCT, rows=1_000_000, kept_share=1, cpu_s=[0.67])]}, {20}),
        ({"pull": all_pulled(pages=[Paged(page=page, rows=1, buffers=page, buffers_by_offset=1, seconds=[1.0])
                                    for page in (10, 12)])}, {19}),
    ],
    ids=["writers", "relay", "links", "memory", "cpu", "flat", "window",
         "pull", "pull on a busy machine", "rivals", "peak", "click", "steps", "page"],
)  # fmt: skip
def test_what_is_missed_is_told(changes: dict[str, object], missed: set[int]) -> None:
    verdicts = [target.verdict for target in targets_of(whole_run(**changes))]
    assert {index for index, verdict in enumerate(verdicts) if verdict == "NO"} == missed


def test_a_speed_of_another_moment_is_compared_with_xlsxwriter_s_best() -> None:
    quicker = [written("XlsxWriter, typed", [0.5], rows=10_000)]
    verdicts = [target.verdict for target in targets_of(whole_run(by_rows=quicker))]
    assert verdicts == ["yes", "yes", "NO", "NO", "yes", "yes", "yes", "yes", "NO", "NO", *["yes"] * 11]


def test_what_was_not_measured_is_not_called_reached() -> None:
    nothing = whole_run(writers=[], relay=[], links=[], memory=[], senders=[], pull=[], pipelines=[])
    assert {target.verdict for target in targets_of(nothing)} == {"not measured"}


def test_how_soon_a_file_is_there_is_not_judged_on_a_busy_machine() -> None:
    click = targets_of(whole_run(pull=all_pulled(load=1.1)))[18]
    assert (click.seen, click.verdict) == ("250 ms on a busy one", "not measured")


def test_a_ratio_is_of_the_best_rounds_with_the_range_of_pairs() -> None:
    rivals = [written("slow", [100.0]), written("csv.writer", [12.0, 10.0])]
    assert ratio_range(written("ours", [2.0, 1.0]), rivals) == "10.0 (6.0 to 10.0)"
    assert ratio_range(written("ours", [2.0]), rivals) == "5.0"
    assert ratio_range(written("ours", [2.0]), []) == "-"


def test_jain_s_index_is_1_for_equals_and_1_nth_for_one_who_has_all() -> None:
    assert jain_index([5, 5, 5]) == pytest.approx(1)
    assert jain_index([7, 0, 0, 0]) == pytest.approx(1 / 4)


def test_the_page_fits_and_has_every_section() -> None:
    page = page_of(whole_run())
    assert all(table.title in page for table in tables_of(whole_run()))
    assert len(page.splitlines()) < 100
    assert "Starting" not in page_of(whole_run(starts=[]))


def test_columns_of_a_table_stand_in_line() -> None:
    table = PageTable("name", "Title", ("what", "much"), [("a", "1"), ("é" + "\u0301", "234")])
    assert table.as_text().split("\n") == ["Title", "what  much", "a        1", "é\u0301      234"]
    assert table.as_markdown() == "| what | much |\n| --- | --: |\n| a | 1 |\n| é\u0301 | 234 |"


def test_a_run_is_recorded_in_both_pages_and_kept(tmp_path: Path) -> None:
    page, front, kept = tmp_path / "page.md", tmp_path / "front.md", tmp_path / "results.json"
    shutil.copy(PAGE, page)
    shutil.copy(FRONT, front)
    for _ in range(2):  # the second time over what the first one wrote
        record(whole_run(), page=page, front=front, kept=kept)
        assert page_of(load_results(kept)) == page_of(whole_run())
        for table in tables_of(whole_run()):
            assert f"<!-- bench: {table.name} -->\n{table.as_markdown()}\n<!-- end" in page.read_text()
        assert "| chunks → CSV, digests included | ≥ 2 x csv.writer | 2.0 x" in front.read_text()
    assert page.read_text().partition("<!--")[0] == PAGE.read_text().partition("<!--")[0]
    assert front.read_text().partition("<!-- bench")[0] == FRONT.read_text().partition("<!-- bench")[0]


def test_what_is_recorded_is_what_the_kept_results_give(tmp_path: Path) -> None:
    page, front, kept = tmp_path / "page.md", tmp_path / "front.md", tmp_path / "results.json"
    shutil.copy(PAGE, page)
    shutil.copy(FRONT, front)
    thirds = written("ours CSV", [1 / 5.4321987654], rows=1_000_000)
    record(whole_run(by_rows=[thirds]), page=page, front=front, kept=kept)
    recorded = page.read_text()
    record(load_results(kept), page=page, front=front, kept=kept)
    assert page.read_text() == recorded
    assert all(block in recorded for block in blocks_of(load_results(kept)).values())


def test_a_section_that_a_run_left_out_does_not_keep_older_figures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench: starts -->\nold\n<!-- end of bench: starts -->")
    rewrite(page, {"starts": blocks_of(whole_run(starts=[]))["starts"]})
    assert page.read_text() == "<!-- bench: starts -->\nNot measured in this run.\n<!-- end of bench: starts -->"


def test_a_page_without_the_marks_is_not_touched(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench: a -->\n<!-- end of bench: a -->")
    with pytest.raises(ValueError, match="bench: b"):
        rewrite(page, {"a": "new", "b": "new"})
    assert "new" not in page.read_text()


def test_a_block_may_hold_anything() -> None:
    text = "before <!-- bench: a -->old<!-- end of bench: a --> after"
    assert with_block(text, "a", r"\1 \g<0>") == (
        "before <!-- bench: a -->\n\\1 \\g<0>\n<!-- end of bench: a --> after"
    )


def test_the_recorded_figures_are_those_of_the_recorded_run() -> None:
    results = load_results(RESULTS)
    page, front = PAGE.read_text(), FRONT.read_text()
    for name, block in blocks_of(results).items():
        assert f"<!-- bench: {name} -->\n{block}\n<!-- end" in page, f"{name}: python -m tests.bench --redraw"
    assert f"<!-- bench: figures -->\n{figures_of(results)}\n<!-- end" in front, "python -m tests.bench --redraw"


def test_senders_may_be_recorded_by_themselves_and_the_pages_say_so(tmp_path: Path) -> None:
    page, front, kept = tmp_path / "page.md", tmp_path / "front.md", tmp_path / "results.json"
    shutil.copy(PAGE, page)
    shutil.copy(FRONT, front)
    later = whole_run(
        date="2026-12-24", command="make bench ONLY='senders'", writers=[], senders=all_sent(cpu_s=[0.5, 0.125])
    )
    record(with_apart(whole_run(), later, ["senders"]), page=page, front=front, kept=kept)
    recorded = page.read_text()
    assert "<!-- bench: run -->\n2026-11-22, " in recorded
    assert "<!-- bench: senders-run -->\n2026-12-24, " in recorded
    assert "With PHP 8.2.36, php-ext-xlswriter 2.0.3, PHP_XLSXWriter. Not to be had there: openspout, PhpSp" in recorded
    assert "| ≤ 1/6 of php-ext-xlswriter's | 1/12.0 (0.12 s to 1.50 s) | yes |" in recorded
    assert "| ours XLSX | 247,190 |" in recorded
    assert "The lines about senders are of a run of their own: 2026-12-24, " in front.read_text()


def test_the_cpu_of_both_sides_is_that_of_one_round() -> None:
    assert sent(FOUR, 0.25).best_cpu_s == 0.25
    assert sent(FOUR, 0.25).all_cpu_s == 1.0


def test_senders_run_where_what_they_need_is_there() -> None:
    assert [one.name for one in SENDERS if can_run(one, {})] == ["Python client"]
    rivals = {"php": "8.2", "xlswriter": "2.0.3", "openspout": ""}
    assert {one.name for one in SENDERS if can_run(one, rivals)} >= {"Python client", XLSWRITER, "openspout"}
    assert PHP_XLSXWRITER not in {one.name for one in SENDERS if can_run(one, rivals)}


@pytest.mark.parametrize("more", [["--quick"], ["--only", "relay"], ["--only", "senders", "relay"]])
def test_a_part_of_a_run_is_not_recorded(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--record", *more])
    assert "only a whole run is recorded" in capsys.readouterr().err


@pytest.mark.slow
def test_plots_are_small_pictures(tmp_path: Path) -> None:
    try:
        files = draw(whole_run(), tmp_path)
    except ImportError:
        pytest.skip("matplotlib is not installed; `make bench` installs it")
    assert len(files) == len(list(tmp_path.glob("plot-*.png"))) == 5
    assert all(file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size < 60_000 for file in files)


def test_a_soak_tells_growth_from_caches_that_fill() -> None:
    filling = [Sample(at, 50 * MIB + min(at, 20) * MIB, at) for at in range(100)]
    growing = [Sample(at, 50 * MIB + at * MIB, at) for at in range(100)]
    assert growth(filling) == 0
    assert growth(growing) == 50 * MIB > GROWTH_BYTES_MAX
    with pytest.raises(ValueError, match="too short"):
        growth(filling[:3])
