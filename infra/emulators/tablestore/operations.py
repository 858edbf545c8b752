"""Which operations there are, by the name in the request's path, and what each takes and does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from google.protobuf.message import DecodeError

from infra.emulators.tablestore import row_operations, table_operations
from infra.emulators.tablestore.instance import Instance
from infra.emulators.tablestore.messages import Message, pb
from infra.emulators.tablestore.refusals import Refused, invalid

Operation: TypeAlias = Callable[[Instance, Message], Message]

_OPERATIONS: dict[str, Operation] = {
    "BatchGetRow": row_operations.batch_get_row,
    "BatchWriteRow": row_operations.batch_write_row,
    "CreateIndex": table_operations.create_index,
    "CreateTable": table_operations.create_table,
    "DeleteRow": row_operations.delete_row,
    "DeleteTable": table_operations.delete_table,
    "DescribeTable": table_operations.describe_table,
    "DropIndex": table_operations.drop_index,
    "GetRange": row_operations.get_range,
    "GetRow": row_operations.get_row,
    "ListTable": table_operations.list_table,
    "PutRow": row_operations.put_row,
    "UpdateRow": row_operations.update_row,
    "UpdateTable": table_operations.update_table,
}


def read_request(name: str, body: bytes) -> Message:
    """Return what ``body`` asks of the operation. Raises Refused for an operation that is not served here."""
    if name not in _OPERATIONS:
        raise Refused("OTSUnsupportOperation", f"Unsupported operation: {name}.")
    try:
        return getattr(pb, f"{name}Request").FromString(body)
    except DecodeError as error:
        raise invalid("Parse PBMessage from RawString failed.") from error


def perform(name: str, instance: Instance, message: Message) -> Message:
    """Do what is asked and return the answer. Raises Refused."""
    return _OPERATIONS[name](instance, message)
