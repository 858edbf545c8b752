"""Runs queries of Simple Log Service over log lines, in DuckDB: the search part as a condition, the rest as SQL.

Only what our own queries use is understood. It is another engine with another dialect, so a query that runs here may
still be refused there; but a field or a column that does not exist, and a condition that is wrong, are found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import duckdb

Row = dict[str, Any]

_TYPES = {"text": "VARCHAR", "long": "BIGINT", "double": "DOUBLE"}
_WORD = re.compile(r"(?P<field>[\w.]+)(?P<op>: | > )(?P<value>[\w.]+)")
_TAIL = re.compile(r" (?:GROUP BY|ORDER BY|LIMIT) ")


def indexed_fields(key_indices: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Every field that the index makes searchable, with its type; those of a JSON field as ``field.key``."""
    fields: dict[str, str] = {}
    for index in key_indices:
        if index["Type"] == "json":
            fields |= {f"{index['Name']}.{key['Name']}": key["Type"] for key in index["JsonKeyIndices"]}
        else:
            fields[index["Name"]] = index["Type"]
    return fields


def flatten(line: str, *, field: str = "message") -> Row:
    """One line of ours as the index sees it: the values inside by their path."""
    return dict(_leaves(field, json.loads(line)))


def run_query(query: str, rows: Iterable[Row], fields: Mapping[str, str]) -> list[Row]:
    """The rows that the query gives. Raises duckdb.Error for a query that does not fit ``fields``."""
    search, _, analysis = query.partition("|")
    database = _database()
    columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in fields.items())
    database.execute(f"CREATE OR REPLACE TABLE lines (__time__ TIMESTAMP, {columns})")
    values = [[row.get(name) for name in fields] for row in rows]
    if values:
        places = ", ".join(f"(now()::TIMESTAMP{', ?' * len(fields)})" for _ in values)
        database.execute(f"INSERT INTO lines VALUES {places}", [cell for row in values for cell in row])
    analysis = analysis.strip()
    found = f"(SELECT * FROM lines WHERE {_condition(search)}) AS found"
    if " FROM log " in analysis:
        return _answers(database.execute(analysis.replace(" FROM log ", f" FROM {found} ")))
    tail = _TAIL.search(analysis)
    cut = tail.start() if tail else len(analysis)
    return _answers(database.execute(f"{analysis[:cut]} FROM {found}{analysis[cut:]}"))


def _answers(answer: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in answer.description or []]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


@cache
def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(":memory:")
    database.execute("CREATE MACRO approx_percentile(x, p) AS quantile_cont(x, p)")
    return database


def fires(condition: str, rows: Iterable[Row]) -> bool:
    """Whether a condition such as ``failures > 3 && share > 0.5`` holds for a row."""
    spelled = condition.replace("&&", " and ").replace("||", " or ")
    return any(
        all(value is not None for value in row.values()) and bool(eval(spelled, {"__builtins__": {}}, row))
        for row in rows
    )


def names_in(query: str) -> set[str]:
    """Every field that a query names, in its search and in quotes in its SQL."""
    search, _, analysis = query.partition("|")
    return {found["field"] for found in _WORD.finditer(search)} | set(re.findall(r'"([^"]+)"', analysis))


def values_in(query: str, field: str) -> set[str]:
    """What a query looks for in ``field``."""
    return {found["value"] for found in _WORD.finditer(query.partition("|")[0]) if found["field"] == field}


def _condition(search: str) -> str:
    def spell(found: re.Match[str]) -> str:
        if found["op"] == ": ":
            return f"\"{found['field']}\" = '{found['value']}'"
        return f'"{found["field"]}" > {found["value"]}'

    return _WORD.sub(spell, search.strip())


def _leaves(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{path}.{key}", item)
    else:
        yield path, value
