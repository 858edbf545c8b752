"""Reads the steps of a job as a user writes them; every mistake at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sluice.domain.expression import Expression
from sluice.domain.schema import ColumnType
from sluice.domain.step import (
    AggregateStep,
    DeduplicateStep,
    EnrichStep,
    FilterStep,
    GatheredSteps,
    GatherStep,
    MappedColumn,
    MapStep,
    Missing,
    RowRule,
    Severity,
    Step,
    ValidateStep,
)
from sluice.domain.suggestion import did_you_mean
from sluice.tables.expressions.typing_rules import ExpressionError
from sluice.tables.processors.gather_parsing import read_aggregate, read_deduplicate

Parameters = Mapping[str, str | int | float | bool | None]
Lookups = Mapping[str, Mapping[str, ColumnType]]
COLUMNS_MAX = 16_384
_STEPS = ("filter", "map", "rename", "drop", "validate", "enrich", "aggregate", "deduplicate")
_SEVERITIES: Mapping[str, Severity] = {"fail": "fail", "divert": "divert", "warn": "warn"}
_RULE = {"rule", "severity", "reason"}
_MISSING: Mapping[str, Missing] = {"null": "null", "drop": "drop", "divert": "divert", "fail": "fail"}
_ENRICH = {"lookup", "by", "take", "missing"}
_MOMENTS = {ColumnType.DATE, ColumnType.DATETIME}


class StepsError(Exception):
    """Every mistake that was found, a sentence each, with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the steps have mistakes:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


def parse_steps(
    tree: Sequence[Mapping[str, object]],
    columns: Mapping[str, ColumnType],
    parameters: Parameters,
    *,
    lookups: Lookups | None = None,
) -> tuple[Step, ...]:
    """Read and check steps over these columns, in their order. Raises ``StepsError`` with every mistake.

    ``lookups`` are the columns of the tables that ``enrich`` may name. What follows a step with a mistake is checked
    against what can be known of its columns.
    """
    return _parsed_steps(tree, columns, parameters, lookups, gathers=False).before


def parse_gathered_steps(
    tree: Sequence[Mapping[str, object]],
    columns: Mapping[str, ColumnType],
    parameters: Parameters,
    *,
    lookups: Lookups | None = None,
) -> GatheredSteps:
    """As ``parse_steps``, of which one may need all rows; those behind it are for the rows that it gives."""
    return _parsed_steps(tree, columns, parameters, lookups, gathers=True)


def _parsed_steps(
    tree: Sequence[Mapping[str, object]],
    columns: Mapping[str, ColumnType],
    parameters: Parameters,
    lookups: Lookups | None,
    *,
    gathers: bool,
) -> GatheredSteps:
    reader = _StepReader(columns, parameters, lookups or {}, gathers=gathers)
    before: list[Step] = []
    behind: list[Step] = []
    gather: GatherStep | None = None
    for at, one in enumerate(tree):
        for step in reader.read(f"steps[{at}]", one):
            if isinstance(step, AggregateStep | DeduplicateStep):
                gather = step
            else:
                (before if gather is None else behind).append(step)
    if reader.problems:
        raise StepsError(reader.problems)
    return GatheredSteps(tuple(before), gather, tuple(behind))


class _StepReader:
    def __init__(
        self,
        columns: Mapping[str, ColumnType],
        parameters: Parameters,
        lookups: Lookups,
        *,
        gathers: bool,
    ) -> None:
        self.problems: list[str] = []
        self._columns = dict(columns)
        self._parameters = parameters
        self._lookups = lookups
        self._gathers = gathers
        self._unknown: set[str] = set()
        """Columns of an earlier step whose expressions have mistakes: what they are is not known."""

    def read(self, place: str, step: object) -> Sequence[Step | GatherStep]:
        """The step as it is stored, in one or two; none where there is a mistake."""
        if not isinstance(step, Mapping) or len(step) != 1:
            self.problems.append(f"{place}: a step is one of {', '.join(_STEPS)}, with what it does behind it")
            return ()
        ((name, body),) = step.items()
        where = f"{place}.{name}"
        if name in {"aggregate", "deduplicate"}:
            return self._gather(name, where, body)
        reads: Mapping[str, Callable[[str, object], Step | None]] = {
            "filter": self._filter,
            "map": self._map,
            "rename": self._rename,
            "drop": self._drop,
            "validate": self._validate,
            "enrich": self._enrich,
        }
        if name not in reads:
            known = did_you_mean(str(name), _STEPS) or f"; there are {', '.join(_STEPS)}"
            self.problems.append(f"{where}: is no step{known}")
            return ()
        read = reads[name](where, body)
        return () if read is None else (read,)

    def _gather(self, name: str, where: str, body: object) -> Sequence[Step | GatherStep]:
        if not self._gathers:
            self.problems.append(f"{where}: needs all rows, which one step of a job may, and none here")
            return ()
        self._gathers = False
        if name == "deduplicate":
            return read_deduplicate(where, body, self._columns, self.problems)
        steps, self._columns = read_aggregate(where, body, self._columns, self._parsed, self.problems)
        self._unknown = set() if steps else set(self._columns)
        return steps

    def _filter(self, where: str, body: object) -> FilterStep | None:
        condition = self._condition(where, body)
        return FilterStep(condition) if condition is not None else None

    def _map(self, where: str, body: object) -> MapStep | None:
        if not isinstance(body, Mapping) or not body:
            self.problems.append(f"{where}: has the new columns, as name: expression")
            return None
        if len(body) > COLUMNS_MAX:
            self.problems.append(f"{where}: has more than {COLUMNS_MAX} columns")
            return None
        made: dict[str, Expression] = {}
        unknown: set[str] = set()
        for name, value in body.items():
            read = self._value(f"{where}.{name}", value)
            if read is None or not isinstance(name, str):
                unknown.add(str(name))
            else:
                made[name] = read
        if not all(isinstance(name, str) for name in body):
            self.problems.append(f"{where}: a column has a name that is text: put it in quotes")
        self._unknown = unknown
        self._columns = {name: ColumnType(value.kind) for name, value in made.items()}
        self._columns |= dict.fromkeys(unknown, ColumnType.STRING)
        return MapStep(tuple(MappedColumn(name, value) for name, value in made.items()))

    def _rename(self, where: str, body: object) -> MapStep | None:
        """A map of all columns, of which some have another name."""
        if not isinstance(body, Mapping) or not body or not all(isinstance(one, str) for one in body.values()):
            self.problems.append(f"{where}: has the new names, as old: new")
            return None
        if not self._are_known(where, list(body)):
            return None
        names = {name: str(body.get(name, name)) for name in self._columns}
        twice = [name for name in names.values() if list(names.values()).count(name) > 1]
        if twice:
            self.problems.append(f"{where}: two columns would be {twice[0]!r}")
            return None
        return self._map(where, {new: _quoted(old) for old, new in names.items()})

    def _drop(self, where: str, body: object) -> MapStep | None:
        """A map of all columns but some."""
        if not isinstance(body, Sequence) or isinstance(body, str) or not body:
            self.problems.append(f"{where}: is a list of columns")
            return None
        if not self._are_known(where, body):
            return None
        kept = {name: _quoted(name) for name in self._columns if name not in body}
        if not kept:
            self.problems.append(f"{where}: leaves no column")
            return None
        return self._map(where, kept)

    def _are_known(self, where: str, names: Sequence[object]) -> bool:
        unknown = [str(name) for name in names if name not in self._columns]
        for name in unknown:
            self.problems.append(f"{where}: there is no column {name!r}{did_you_mean(name, self._columns)}")
        return not unknown

    def _validate(self, where: str, body: object) -> ValidateStep | None:
        if not isinstance(body, Sequence) or isinstance(body, str) or not body:
            self.problems.append(f"{where}: is a list of rules, each with rule, severity and reason")
            return None
        rules = [rule for at, one in enumerate(body) if (rule := self._rule(f"{where}[{at}]", one)) is not None]
        return ValidateStep(tuple(rules))

    def _rule(self, where: str, body: object) -> RowRule | None:
        if not isinstance(body, Mapping) or "rule" not in body:
            self.problems.append(f"{where}: has a rule, as rule: amount >= 0")
            return None
        self._check_names(where, body, _RULE, "a rule")
        text, severity = body["rule"], str(body.get("severity", "fail"))
        if severity not in _SEVERITIES:
            known = did_you_mean(severity, _SEVERITIES) or f"; there are {', '.join(_SEVERITIES)}"
            self.problems.append(f"{where}.severity: {severity!r} is none{known}")
        condition = self._condition(f"{where}.rule", text)
        if condition is None or severity not in _SEVERITIES:
            return None
        return RowRule(condition, _SEVERITIES[severity], str(body.get("reason") or f"breaks the rule {text}"))

    def _enrich(self, where: str, body: object) -> EnrichStep | None:
        if not isinstance(body, Mapping) or not {"lookup", "by", "take"} <= set(body):
            self.problems.append(
                f"{where}: has a lookup, by and take, as {{lookup: regions, by: [city], take: [region]}}"
            )
            return None
        before = len(self.problems)
        self._check_names(where, body, _ENRICH, "an enrich")
        # YAML reads null as nothing; it means the word here.
        missing = "null" if body.get("missing", "null") is None else str(body.get("missing", "null"))
        if missing not in _MISSING:
            known = did_you_mean(missing, _MISSING) or f"; there are {', '.join(_MISSING)}"
            self.problems.append(f"{where}.missing: {missing!r} is none{known}")
        name = str(body["lookup"])
        if name not in self._lookups:
            known = did_you_mean(name, self._lookups) or f"; there are {', '.join(self._lookups) or 'none'}"
            self.problems.append(f"{where}.lookup: there is no lookup {name!r}{known}")
            self._unknown |= set(_pairs(body["take"]))
            return None
        by, take = _pairs(body["by"]), _pairs(body["take"])
        self._check_by(f"{where}.by", by, self._lookups[name])
        self._check_take(f"{where}.take", take, self._lookups[name])
        if len(self.problems) > before:
            self._unknown |= set(take)
            return None
        self._columns |= {new: self._lookups[name][theirs] for new, theirs in take.items()}
        return EnrichStep(name, tuple(by.items()), tuple(take.items()), _MISSING[missing])

    def _check_by(self, where: str, by: Mapping[str, str], lookup: Mapping[str, ColumnType]) -> None:
        if not by:
            self.problems.append(f"{where}: is a list of columns, or of column: column of the lookup")
        for ours, theirs in by.items():
            if ours not in self._columns:
                self.problems.append(f"{where}: there is no column {ours!r}{did_you_mean(ours, self._columns)}")
            elif theirs not in lookup:
                self.problems.append(f"{where}: the lookup has no column {theirs!r}{did_you_mean(theirs, lookup)}")
            elif self._columns[ours] is not lookup[theirs] and {self._columns[ours], lookup[theirs]} != _MOMENTS:
                self.problems.append(
                    f"{where}: {ours} is a {self._columns[ours].value}, and {theirs} of the lookup a "
                    f"{lookup[theirs].value}: cast it in a map before"
                )

    def _check_take(self, where: str, take: Mapping[str, str], lookup: Mapping[str, ColumnType]) -> None:
        if not take:
            self.problems.append(f"{where}: is a list of columns of the lookup, or of new column: column of it")
        for new, theirs in take.items():
            if theirs not in lookup:
                self.problems.append(f"{where}: the lookup has no column {theirs!r}{did_you_mean(theirs, lookup)}")
            elif new in self._columns:
                self.problems.append(
                    f"{where}: there is a column {new!r} already: take it as another, as other: {theirs}"
                )

    def _check_names(self, where: str, body: Mapping[Any, object], known: set[str], what: str) -> None:
        for name in body:
            if name not in known:
                self.problems.append(f"{where}.{name}: is nothing of {what}{did_you_mean(str(name), known)}")

    def _value(self, where: str, value: object) -> Expression | None:
        """The expression of a column; a number, true, false or null of YAML stands for itself."""
        return self._parsed(where, _written(value))

    def _condition(self, where: str, value: object) -> Expression | None:
        return self._parsed(where, _written(value), is_condition=True)

    def _parsed(self, where: str, text: str | None, *, is_condition: bool = False) -> Expression | None:
        if text is None:
            self.problems.append(f"{where}: is an expression, as text")
            return None
        # The parser is loaded where there is something to parse: who only runs stored steps imports this file, too.
        try:
            from sluice.tables.expressions.parsing import parse_condition, parse_expression  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise StepsError([f"{where}: expressions need the extra, pip install 'sluice[jobs]'"]) from error
        parse = parse_condition if is_condition else parse_expression
        try:
            return parse(text, self._columns, self._parameters)
        except ExpressionError as error:
            # What is made of a column that is not known itself is no mistake of its own.
            if not any(name in text for name in self._unknown):
                self.problems.append(f"{where}: {error}")
            return None


def _pairs(names: object) -> dict[str, str]:
    """A list of names, or of pairs, as pairs; empty for anything else."""
    if isinstance(names, Mapping):
        return {str(ours): str(theirs) for ours, theirs in names.items()}
    return {str(name): str(name) for name in names} if isinstance(names, list | tuple) else {}


def _written(value: object) -> str | None:
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
    return None


def _quoted(name: str) -> str:
    """A column's name as an expression."""
    return '"' + name.replace('"', '""') + '"'
