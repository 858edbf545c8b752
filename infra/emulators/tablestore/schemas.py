"""What a table was created as: its key, its defined columns, its options; checked as the service checks them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from infra.emulators.tablestore.limits import DEFINED_COLUMNS_MAX, KEY_COLUMNS_MAX, LIFE_S_MIN, check_name
from infra.emulators.tablestore.messages import Message, pb
from infra.emulators.tablestore.plainbuffer import Kind
from infra.emulators.tablestore.refusals import invalid
from infra.emulators.tablestore.values import Bound, KeyValue, Value

KIND_NAMES = {kind: kind.name for kind in Kind}
_KEY_KINDS = {pb.INTEGER: Kind.INTEGER, pb.STRING: Kind.STRING, pb.BINARY: Kind.BINARY}
_DEFINED_KINDS = {
    pb.DCT_INTEGER: Kind.INTEGER,
    pb.DCT_DOUBLE: Kind.DOUBLE,
    pb.DCT_BOOLEAN: Kind.BOOLEAN,
    pb.DCT_STRING: Kind.STRING,
    pb.DCT_BLOB: Kind.BINARY,
}
_KINDS: dict[type, Kind] = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.DOUBLE,
    str: Kind.STRING,
    bytes: Kind.BINARY,
}


class KeyColumn(NamedTuple):
    name: str
    kind: Kind
    automatic: bool = False
    """Whether the service may choose the number."""


class Options(NamedTuple):
    life_s: int
    """-1 for ever."""
    versions_max: int
    deviation_s: int
    """How far a time stamp that a writer chooses may be from now."""
    updatable: bool


class Schema(NamedTuple):
    name: str
    key: tuple[KeyColumn, ...]
    defined: dict[str, Kind]


def kind_of(value: Value | KeyValue) -> Kind:
    """Return the type of a value that is no bound."""
    assert not isinstance(value, Bound)
    return _KINDS[type(value)]


def read_schema(meta: Message) -> Schema:
    """Return what ``meta`` describes. Raises Refused for what the service would not create."""
    check_name(meta.table_name, what="table")
    if not 1 <= len(meta.primary_key) <= KEY_COLUMNS_MAX:
        raise invalid(f"The number of primary key columns must be in range: [1, {KEY_COLUMNS_MAX}].")
    key = tuple(_key_column(column) for column in meta.primary_key)
    _check_automatic(key)
    if len(meta.defined_column) > DEFINED_COLUMNS_MAX:
        raise invalid(f"The number of defined columns must be in range: [0, {DEFINED_COLUMNS_MAX}].")
    names = [*(column.name for column in key), *(column.name for column in meta.defined_column)]
    for name in names:
        check_name(name, what="column")
    _check_unlike(names)
    return Schema(meta.table_name, key, {column.name: _DEFINED_KINDS[column.type] for column in meta.defined_column})


def _key_column(message: Message) -> KeyColumn:
    if message.type not in _KEY_KINDS:
        raise invalid(f"{pb.PrimaryKeyType.Name(message.type)} is an invalid type for the primary key.")
    return KeyColumn(message.name, _KEY_KINDS[message.type], automatic=message.HasField("option"))


def _check_automatic(key: tuple[KeyColumn, ...]) -> None:
    automatic = [column for column in key if column.automatic]
    if len(automatic) > 1:
        raise invalid("AUTO_INCREMENT primary key count must <= 1.")
    if key[0].automatic:
        raise invalid("PkAutoIncr cannot be set as first pk column.")
    if any(column.kind is not Kind.INTEGER for column in automatic):
        raise invalid("AUTO_INCREMENT primary key must be integer.")


def _check_unlike(names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise invalid(f"Duplicated primary key name: '{name}'.")
        seen.add(name)


def read_options(message: Message, before: Options) -> Options:
    """Return ``before`` with what ``message`` says. Raises Refused for values that the service does not take."""
    options = Options(
        life_s=message.time_to_live if message.HasField("time_to_live") else before.life_s,
        versions_max=message.max_versions if message.HasField("max_versions") else before.versions_max,
        deviation_s=_given(message, "deviation_cell_version_in_sec", before.deviation_s),
        updatable=message.allow_update if message.HasField("allow_update") else before.updatable,
    )
    if options.life_s == 0 or options.life_s < -1:
        raise invalid("TimeToLive cannot be 0 or less than -1.")
    if 0 < options.life_s < LIFE_S_MIN:
        raise invalid(f"TimeToLive cannot be less than {LIFE_S_MIN}.")
    if options.versions_max < 1:
        raise invalid("The maximum versions cannot be less than or equal to 0.")
    if options.deviation_s < 0:
        raise invalid("The maximum deviation must be in range [0, INT64_MAX/1000000].")
    return options


def _given(message: Message, field: str, otherwise: int) -> int:
    return int(getattr(message, field)) if message.HasField(field) else otherwise


DEFAULT_OPTIONS = Options(life_s=-1, versions_max=1, deviation_s=86_400, updatable=True)


def write_options(options: Options) -> Message:
    return pb.TableOptions(
        time_to_live=options.life_s,
        max_versions=options.versions_max,
        deviation_cell_version_in_sec=options.deviation_s,
        allow_update=options.updatable,
    )
