"""How fast the writers are, ours beside others', and how each grows with rows and with columns."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.apart import Measured, measure_apart
from tests.bench.orders import Orders
from tests.bench.plan import Plan
from tests.bench.results import Written
from tests.bench.subject_table import Subject, installed_subjects


def measure_writers(plan: Plan) -> list[Written]:
    """Every subject on the order table; a round goes through all of them in turn."""
    return measure_rounds(installed_subjects(), Orders(plan.writer_rows), plan.rounds)


def measure_growth_by_rows(plan: Plan) -> list[Written]:
    """One round for each number of rows; slow subjects go no further than the first table did."""
    return [
        one
        for rows in plan.by_rows
        for one in measure_rounds(_fast(installed_subjects(), rows <= plan.writer_rows), Orders(rows), 1)
    ]


def measure_growth_by_columns(plan: Plan) -> list[Written]:
    """One round for each number of columns."""
    subjects = _fast(installed_subjects(), slow_too=False)
    return [
        one for columns in plan.by_columns for one in measure_rounds(subjects, Orders(plan.by_columns_rows, columns), 1)
    ]


def measure_rounds(subjects: Iterable[Subject], orders: Orders, rounds: int) -> list[Written]:
    """Measure the subjects in turn, again and again; the slow ones once."""
    runs: dict[str, list[Measured]] = {}
    for turn in range(rounds):
        for subject in subjects:
            if turn == 0 or not subject.slow:
                runs.setdefault(subject.name, []).append(measure_apart(subject, orders))
    return [
        Written(
            subject=name,
            rows=orders.rows,
            columns=orders.columns,
            seconds=[run.seconds for run in of_one],
            file_bytes=of_one[0].file_bytes,
            grown_bytes=max(run.grown_bytes for run in of_one),
        )
        for name, of_one in runs.items()
    ]


def _fast(subjects: list[Subject], slow_too: bool) -> list[Subject]:  # noqa: FBT001 -- of this file only
    return [subject for subject in subjects if slow_too or not subject.slow]
