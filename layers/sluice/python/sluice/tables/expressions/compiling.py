"""From the stored tree to one list comprehension for a whole column; no parser, and no text of a user is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from sluice.domain.expression import Expression
from sluice.tables.expressions.code_table import WRITERS
from sluice.tables.expressions.emitter import Emitter, FindKey
from sluice.tables.expressions.reading import write_numbers


class Compiled(NamedTuple):
    """An expression that is ready to run."""

    names: tuple[str, ...]
    """The columns that it reads, in the order in which ``run`` takes their values."""
    run: Callable[..., list[Any]]
    """Takes the values of columns and then the number of rows; gives a value for each row. Raises ``FAULTS``."""


def compile_texts(tree: Expression, find_key: FindKey, zone: tzinfo = UTC) -> Compiled:
    """The texts of a new column, as they are stored."""
    made = _made(tree, find_key, zone, lambda code, emitter: emitter.text(code))
    if tree.kind == "number":
        run = made.run
        return made._replace(run=lambda *columns: write_numbers(run(*columns)))
    return made


def compile_condition(tree: Expression, find_key: FindKey, zone: tzinfo = UTC, *, broken: bool = False) -> Compiled:
    """What is as good as true where the condition is; with ``broken`` where it is false. Null is neither."""
    return _made(tree, find_key, zone, lambda code, emitter: emitter.falsity(code) if broken else emitter.truth(code))


def _made(tree: Expression, find_key: FindKey, zone: tzinfo, write: Callable[[Expression, Emitter], str]) -> Compiled:
    emitter = Emitter(WRITERS, find_key, zone)
    code = write(tree, emitter)
    names = tuple(emitter.columns)
    variables = list(emitter.columns.values())
    lists = [f"{one}s" for one in variables]
    if not variables:
        loop = "_ in range(n)"
    elif len(variables) == 1:
        loop = f"{variables[0]} in {lists[0]}"
    else:
        loop = f"{', '.join(variables)} in zip({', '.join(lists)})"
    source = f"lambda {', '.join([*lists, 'n'])}: [{code} for {loop}]"
    # The source has names of our tables and numbered ones, and nothing else.
    run: Callable[..., list[Any]] = eval(source, {"__builtins__": {}, "zip": zip, "range": range, **emitter.given})  # noqa: S307
    return Compiled(names, run)
