"""Writes a run into the pages: the marked blocks of the READMEs, the plots, and the results they are drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tests.bench.page import heading_of, pipelines_heading, senders_heading, tables_of
from tests.bench.pull_page import pull_heading
from tests.bench.readme_figures import figures_of
from tests.bench.results import Results, load_results, save_results

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
FRONT = HERE.parents[1] / "README.md"
RESULTS = HERE / "results.json"
APART = {"senders", "pull", "pipelines"}
"""Sections that may be recorded by themselves: what they are compared with is in them."""


def record(results: Results, *, page: Path = PAGE, front: Path = FRONT, kept: Path = RESULTS) -> None:
    """Keep the results and rewrite both pages from them."""
    save_results(results, kept)
    results = load_results(kept)  # rounded, and so what anybody gets who draws the pages again
    rewrite(page, blocks_of(results))
    rewrite(front, {"figures": figures_of(results)})


def with_apart(kept: Results, run: Results, sections: Iterable[str]) -> Results:
    """The kept run with sections of another, of which the page says so."""
    changed = {name: getattr(run, name) for name in sections}
    heads = kept.apart | dict.fromkeys(changed, heading_of(run))
    return msgspec.structs.replace(kept, **changed, versions=kept.versions | run.versions, apart=heads)


def blocks_of(results: Results) -> dict[str, str]:
    """The blocks of the benchmarks' own page, by name."""
    heads = {
        "run": heading_of(results),
        "senders-run": senders_heading(results),
        "pull-run": pull_heading(results),
        "pipelines-run": pipelines_heading(results),
    }
    return heads | {table.name: table.as_markdown() for table in tables_of(results)}


def rewrite(page: Path, blocks: Mapping[str, str]) -> None:
    """Put the blocks between their marks. Raises ValueError for a block that the page has no marks for."""
    text = page.read_text(encoding="utf-8")
    for name, block in blocks.items():
        text = with_block(text, name, block)
    page.write_text(text, encoding="utf-8")


def with_block(text: str, name: str, block: str) -> str:
    """Replace what stands between the marks of ``name``."""
    begin, end = f"<!-- bench: {name} -->", f"<!-- end of bench: {name} -->"
    marked = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(marked.findall(text)) != 1:
        raise ValueError(f"the page has not exactly one block {begin} … {end}")
    return marked.sub(lambda _: f"{begin}\n{block}\n{end}", text)
