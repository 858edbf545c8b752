"""The operations on tables and indexes as a whole."""

from __future__ import annotations

import time

from infra.emulators.tablestore.indexes import Index
from infra.emulators.tablestore.instance import Instance, Table, check_indexable
from infra.emulators.tablestore.messages import Message, pb
from infra.emulators.tablestore.plainbuffer import Kind
from infra.emulators.tablestore.refusals import Refused, invalid
from infra.emulators.tablestore.schemas import (
    DEFAULT_OPTIONS,
    KeyColumn,
    read_options,
    read_schema,
    write_options,
)

_KEY_TYPES = {Kind.INTEGER: pb.INTEGER, Kind.STRING: pb.STRING, Kind.BINARY: pb.BINARY}
_DEFINED_TYPES = {
    Kind.INTEGER: pb.DCT_INTEGER,
    Kind.DOUBLE: pb.DCT_DOUBLE,
    Kind.BOOLEAN: pb.DCT_BOOLEAN,
    Kind.STRING: pb.DCT_STRING,
    Kind.BINARY: pb.DCT_BLOB,
}


def create_table(instance: Instance, request: Message) -> Message:
    schema = read_schema(request.table_meta)
    options = read_options(request.table_options, DEFAULT_OPTIONS)
    capacity = request.reserved_throughput.capacity_unit
    _check_capacity(capacity)
    with instance.lock:
        instance.add_table(schema, options, request.index_metas)
        instance.tables[schema.name].capacity = (capacity.read, capacity.write)
    return pb.CreateTableResponse()


def delete_table(instance: Instance, request: Message) -> Message:
    """Delete a table, its rows and its indexes."""
    with instance.lock:
        if instance.index(request.table_name) is not None:
            raise invalid("Can't delete index table directly.")
        instance.described(request.table_name)
        del instance.tables[request.table_name]
    return pb.DeleteTableResponse()


def list_table(instance: Instance, _: Message) -> Message:
    with instance.lock:
        return pb.ListTableResponse(table_names=instance.names())


def describe_table(instance: Instance, request: Message) -> Message:
    with instance.lock:
        index = instance.index(request.table_name)
        if index is not None:
            return _described_index(index)
        return _described(instance.described(request.table_name))


def update_table(instance: Instance, request: Message) -> Message:
    with instance.lock:
        table = instance.described(request.table_name)
        if request.HasField("table_options"):
            options = read_options(request.table_options, table.options)
            if table.indexes:
                check_indexable(options)
            table.options = options
        if request.HasField("reserved_throughput"):
            capacity = request.reserved_throughput.capacity_unit
            _check_capacity(capacity)
            read, write = table.capacity
            table.capacity = (
                capacity.read if capacity.HasField("read") else read,
                capacity.write if capacity.HasField("write") else write,
            )
        return pb.UpdateTableResponse(
            reserved_throughput_details=_throughput(*table.capacity), table_options=write_options(table.options)
        )


def create_index(instance: Instance, request: Message) -> Message:
    with instance.lock:
        table = instance.described(request.main_table_name)
        instance.add_index(table, request.index_meta, with_rows=request.include_base_data)
    return pb.CreateIndexResponse()


def drop_index(instance: Instance, request: Message) -> Message:
    with instance.lock:
        table = instance.described(request.main_table_name)
        if table.indexes.pop(request.index_name, None) is None:
            raise Refused("OTSObjectNotExist", "Requested table does not exist.")
    return pb.DropIndexResponse()


def _described(table: Table) -> Message:
    return pb.DescribeTableResponse(
        table_meta=_meta(table.schema.name, table.schema.key, table.schema.defined),
        reserved_throughput_details=_throughput(*table.capacity),
        table_options=write_options(table.options),
        index_metas=[index.meta for index in table.indexes.values()],
    )


def _described_index(index: Index) -> Message:
    return pb.DescribeTableResponse(
        table_meta=_meta(index.name, index.key.columns, index.attributes),
        reserved_throughput_details=_throughput(0, 0),
        table_options=write_options(DEFAULT_OPTIONS),
    )


def _meta(name: str, key: tuple[KeyColumn, ...], defined: dict[str, Kind]) -> Message:
    return pb.TableMeta(
        table_name=name,
        primary_key=[_key_schema(column) for column in key],
        defined_column=[
            pb.DefinedColumnSchema(name=column, type=_DEFINED_TYPES[kind]) for column, kind in defined.items()
        ],
    )


def _key_schema(column: KeyColumn) -> Message:
    option = {"option": pb.AUTO_INCREMENT} if column.automatic else {}
    return pb.PrimaryKeySchema(name=column.name, type=_KEY_TYPES[column.kind], **option)


def _throughput(read: int, write: int) -> Message:
    return pb.ReservedThroughputDetails(
        capacity_unit=pb.CapacityUnit(read=read, write=write), last_increase_time=int(time.time())
    )


def _check_capacity(capacity: Message) -> None:
    if capacity.read < 0 or capacity.write < 0:
        raise invalid("Invalid Capacity Unit: Capacity Unit must be nonnegative.")
