"""Makes our tables in Tablestore and their indexes, or says how those that are there differ from what we need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from sluice.adapters.aliyun.tablestore.client import open_sdk
from sluice.adapters.aliyun.tablestore.errors import translated
from sluice.adapters.aliyun.tablestore.schema import (
    MAX_VERSIONS,
    TABLES,
    TIME_TO_LIVE_S,
    Index,
    Table,
    TablestoreAccess,
    TypedColumn,
)
from sluice.adapters.aliyun.tablestore.sdk import sdk

_NO_TABLE = "OTSObjectNotExist"
_TABLE_EXISTS = "OTSObjectAlreadyExist"


class Standing(StrEnum):
    """How something that we need stands."""

    FITS = "fits"
    MISSING = "missing"
    CREATED = "created"
    DIFFERS = "differs"
    NOT_OURS = "not ours"
    """Left alone."""


class Finding(NamedTuple):
    """What was found of one table or index."""

    name: str
    standing: Standing
    detail: str = ""

    @property
    def fine(self) -> bool:
        return self.standing not in (Standing.MISSING, Standing.DIFFERS)


def check_tables(access: TablestoreAccess, *, timeout_s: float) -> list[Finding]:
    """Compare what is there with what we need; changes nothing. Raises ``StoreError``."""
    client = open_sdk(access, timeout_s=timeout_s)
    return [finding for table in TABLES for finding in _compare(client, table, table.name_by(access.table))]


def create_tables(access: TablestoreAccess, *, timeout_s: float) -> list[Finding]:
    """Create what is missing. What differs is never changed: a table with other columns holds rows of another.

    May be repeated, and run by several at once. Raises ``StoreError``; then
    part of it may be done. A new table takes about a minute to be ready.
    """
    client = open_sdk(access, timeout_s=timeout_s)
    return [finding for table in TABLES for finding in _complete(client, table, table.name_by(access.table))]


def _complete(client: Any, table: Table, name: str) -> list[Finding]:
    """Create a table, or what it lacks, and tell what there is then."""
    findings = _compare(client, table, name)
    missing = {finding.name for finding in findings if finding.standing is Standing.MISSING}
    if not missing or any(finding.standing is Standing.DIFFERS for finding in findings):
        return findings
    if name in missing:
        meta = sdk.TableMeta(name, [tuple(column) for column in table.key], [tuple(column) for column in table.indexed])
        options = sdk.TableOptions(TIME_TO_LIVE_S, MAX_VERSIONS)
        nothing_reserved = sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        indexes = [_index_meta(name, index) for index in table.indexes]
        _unless_there(partial(client.create_table, meta, options, nothing_reserved, secondary_indexes=indexes))
    else:
        for index in table.indexes:
            if index.name_in(name) in missing:  # it is made over the rows that there are already too
                create = partial(client.create_secondary_index, name, _index_meta(name, index), include_base_data=True)
                _unless_there(create)
    return [
        finding._replace(standing=Standing.CREATED)
        if finding.name in missing and finding.standing is Standing.FITS
        else finding
        for finding in _compare(client, table, name)
    ]


def _compare(client: Any, table: Table, name: str) -> list[Finding]:
    found = None
    with translated():
        try:
            found = client.describe_table(name)
        except sdk.OTSServiceError as error:
            if error.code != _NO_TABLE:
                raise
    names = [index.name_in(name) for index in table.indexes]
    if found is None:
        return [Finding(each, Standing.MISSING) for each in (name, *names)]
    indexes = {index.index_name: index for index in found.secondary_indexes}
    ours = [_compare_index(index, indexes.get(index.name_in(name)), name) for index in table.indexes]
    others = [Finding(each, Standing.NOT_OURS) for each in sorted(indexes.keys() - set(names))]
    return [_compare_table(table, found, name), *ours, *others]


def _compare_table(table: Table, found: Any, name: str) -> Finding:
    key = [TypedColumn(*column[:2]) for column in found.table_meta.schema_of_primary_key]
    columns = dict(column[:2] for column in found.table_meta.defined_columns)
    options = found.table_options
    differences = []
    if key != list(table.key):
        differences.append(f"its key is {_format_key(key)} instead of {_format_key(table.key)}")
    for column, kind in table.indexed:
        if columns.get(column) != kind:
            differences.append(f"its column {column} is {columns.get(column, 'not defined')} instead of {kind}")
    if options.max_version != MAX_VERSIONS:
        differences.append(f"it keeps {options.max_version} versions instead of {MAX_VERSIONS}")
    if options.time_to_live != TIME_TO_LIVE_S:
        differences.append(f"its rows end after {options.time_to_live} s instead of never")
    return _finding(name, differences)


def _compare_index(index: Index, found: Any, table: str) -> Finding:
    name = index.name_in(table)
    if found is None:
        return Finding(name, Standing.MISSING)
    key = tuple(found.primary_key_names)
    differences = [] if key == index.key else [f"its key is {', '.join(key)} instead of {', '.join(index.key)}"]
    return _finding(name, differences)


def _finding(name: str, differences: list[str]) -> Finding:
    return Finding(name, Standing.DIFFERS if differences else Standing.FITS, "; ".join(differences))


def _format_key(key: Iterable[TypedColumn]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in key)


def _index_meta(table: str, index: Index) -> Any:
    return sdk.SecondaryIndexMeta(index.name_in(table), list(index.key), [])


def _unless_there(create: Callable[[], None]) -> None:
    """Create something, unless another just did; the comparison afterwards shows whether it is the same."""
    with translated():
        try:
            create()
        except sdk.OTSServiceError as error:
            if error.code != _TABLE_EXISTS:
                raise
