"""Draws a run: small pictures of how everything grows. Needs what `make bench` installs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.bench.results import Results, Written
from tests.bench.subject_table import find_packages

INCHES = (6.4, 4.0)
DPI = 80
OURS = ("#0b6e4f", "#2fa36b", "#1d4e89", "#5b8fc9", "#8a4fbf")
OTHERS = ("#b0413e", "#d98032", "#a3882b", "#7f7f7f", "#c06c84", "#444444", "#9c755f", "#e0a3a0")


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw what was measured into ``folder``; returns the files. Raises ImportError without the drawing library."""
    find_packages()
    plots: dict[str, tuple[bool, Callable[[Any], None]]] = {
        "plot-rows.png": (bool(results.by_rows), lambda axes: _by_rows(axes, results.all_by_rows)),
        "plot-columns.png": (bool(results.by_columns), lambda axes: _by_columns(axes, results.by_columns)),
        "plot-links.png": (bool(results.links), lambda axes: _links(axes, results)),
        "plot-memory.png": (bool(results.memory), lambda axes: _memory(axes, results)),
        "plot-crowds.png": (bool(results.crowds), lambda axes: _crowds(axes, results)),
    }
    return [_save(folder / name, paint) for name, (measured, paint) in plots.items() if measured]


def draw_soak(samples: Sequence[tuple[float, int, int]], folder: Path) -> Path:
    """Draw seconds, resident bytes and exports of a long run. Raises as ``draw``."""
    find_packages()

    def paint(axes: Any) -> None:
        minutes = [at_s / 60 for at_s, _, _ in samples]
        axes.plot(minutes, [rss / (1 << 20) for _, rss, _ in samples], color=OURS[0], label="service, MB")
        axes.plot(minutes, [exports / 100 for _, _, exports in samples], color=OURS[3], label="exports, hundreds")
        axes.set(ylim=(0, None), xlabel="minutes", ylabel="resident memory, MB")

    return _save(folder / "plot-soak.png", paint)


def _save(path: Path, paint: Callable[[Any], None]) -> Path:
    figure = import_module("matplotlib.figure").Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    paint(axes)
    axes.legend(fontsize=6, ncols=2, framealpha=0.7)
    figure.savefig(path, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return path


def _by_rows(axes: Any, growth: Sequence[Written]) -> None:
    _lines(axes, growth, lambda one: (one.rows, one.best_s))
    axes.set(xscale="log", yscale="log", xlabel="rows (10 columns)", ylabel="seconds to write the file")


def _by_columns(axes: Any, growth: Sequence[Written]) -> None:
    _lines(axes, growth, lambda one: (one.columns, one.best_s))
    axes.set(xscale="log", yscale="log", xlabel=f"columns ({growth[0].rows:,} rows)", ylabel="seconds")


def _lines(axes: Any, growth: Sequence[Written], point: Callable[[Written], tuple[float, float]]) -> None:
    """Ours with thick lines, others with thin ones."""
    ours, others = cycle(OURS), cycle(OTHERS)
    for subject in dict.fromkeys(one.subject for one in growth):
        mine = subject.startswith("ours")
        x, y = zip(*(point(one) for one in growth if one.subject == subject), strict=True)
        color, width = (next(ours), 2.2) if mine else (next(others), 1.0)
        axes.plot(x, y, marker="o", markersize=3, color=color, linewidth=width, label=subject)


def _links(axes: Any, results: Results) -> None:
    rows = [one.rows for one in results.links]
    axes.plot(rows, [one.xlsx_s for one in results.links], marker="o", color=OURS[0], label="XLSX")
    axes.plot(rows, [one.csv_s for one in results.links], marker="o", color=OURS[2], label="CSV")
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds from close to link")


def _memory(axes: Any, results: Results) -> None:
    for index, home in enumerate(dict.fromkeys(one.home for one in results.memory)):
        found = [one for one in results.memory if one.home == home]
        label = "embedded stores" if home == "embedded" else "deployed, both SDKs loaded"
        peaks_mb = [one.peak_bytes / 1e6 for one in found]
        axes.plot([one.rows for one in found], peaks_mb, marker="o", color=OURS[2 * index], label=label)
    axes.set(xscale="log", ylim=(0, 105), xlabel="rows (XLSX)", ylabel="composer's peak, MB")


def _crowds(axes: Any, results: Results) -> None:
    """Every export by the moment of its link, in the order in which they finished."""
    for index, crowd in enumerate(results.crowds):
        places = range(1, crowd.exports + 1)
        label = f"{crowd.exports} exports, Jain {crowd.jain:.3f}"
        axes.plot(places, crowd.all_finished_s, marker="o", markersize=3, color=OURS[2 * index], label=label)
    axes.set(ylim=(0, None), xlabel="exports with a link", ylabel="seconds since the first was opened")
