"""How tasks, claims and attempts are encoded as rows and columns of Tablestore, and decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sluice.adapters.aliyun.tablestore.schema import DUE_SHARDS, LIVE_SHARDS, OTHER_SHARDS
from sluice.adapters.task_columns import Columns, columns_of, encode_fields, encode_params, encode_task
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.manifest import Claim
from sluice.domain.params import ExportParams
from sluice.domain.task import LIVE, Attempt, State, Task, TaskFields
from sluice.ports.store_errors import StoreRefused

Key = list[tuple[str, Any]]
"""A primary key as the SDK takes it."""

CLAIMS = ("c_", "c`")
"""The first name that a claim's column may have, and the first one behind all of them (a backquote follows ``_``)."""
_TASK_ENDING = "#T"
_ATTEMPT_MARK = "#A#"
"""Sorts before the ending of a task."""
_BEHIND = "#U"
_GONE = "#gone"


_ATTEMPT = {column.name: column.kind for column in columns_of(Attempt)}
TASK_COLUMNS = [column.name for column in columns_of(Task)]
"""What a status read asks for: everything but the claims."""
LISTED_COLUMNS = [name for name in TASK_COLUMNS if name != "params"] + ["listed_params"]
"""What a listing asks for: of the parameters, which may be two megabytes, only what it shows."""
LISTED_BYTES_MAX = 16 * 1024
"""Of the parameters that a listing shows: a batch of the longest rows, a hundred, stays below what one answer holds."""
_TOO_LONG = "-"
"""Stands for those that are longer, as with a hundred sheets of long names."""


def partition_of(ref: TaskRef) -> str:
    """The tenant behind four hex digits that spread tasks over the partitions."""
    return f"{_digest(ref)[:4]}#{ref.tenant}"


def _digest(ref: TaskRef) -> str:
    return hashlib.sha256(f"{ref.tenant}\0{ref.task_id}".encode()).hexdigest()


def task_key(ref: TaskRef) -> Key:
    return [("pk", partition_of(ref)), ("sk", f"{ref.task_id}{_TASK_ENDING}")]


def behind_task(ref: TaskRef) -> Key:
    """The first key behind the task's own row, which is the last of its rows."""
    return [("pk", partition_of(ref)), ("sk", f"{ref.task_id}{_BEHIND}")]


def is_task_key(key: Key) -> bool:
    """Whether it is a task's own row, and not one of its attempts."""
    return str(dict(key)["sk"]).endswith(_TASK_ENDING)


def attempt_key(ref: TaskRef, epoch: int) -> Key:
    return [("pk", partition_of(ref)), ("sk", f"{ref.task_id}{_ATTEMPT_MARK}{epoch:04d}")]


def attempts_from(ref: TaskRef) -> Key:
    """Where a task's attempts begin. They end before the task's own row."""
    return [("pk", partition_of(ref)), ("sk", f"{ref.task_id}{_ATTEMPT_MARK}")]


def read_key(key: Iterable[tuple[str, Any]]) -> TaskRef:
    """Whose row it is. ``key`` may be an index's, in any order."""
    columns = {name: value for name, value, *_ in key}
    tenant, task_id = columns["pk"].partition("#")[2], columns["sk"].partition("#")[0]
    return TaskRef(TenantId(tenant), TaskId(task_id))


def microseconds(time_s: float) -> int:
    """A time as a key of an index, which may not be a float. Keeps the order; below a microsecond times are equal."""
    return round(time_s * 1_000_000)


def due_shard(ref: TaskRef, state: State) -> int:
    """Live rows have shards of their own, so that neither kind is hidden by a backlog of the other."""
    shards = LIVE_SHARDS if state in LIVE else OTHER_SHARDS
    return shards[int(_digest(ref)[-8:], 16) % DUE_SHARDS]


def listing_of(tenant: TenantId, *, state: State | None = None, gone: bool = False) -> str:
    """The part of a listing index in which a task is; tombstones are in one of their own."""
    return tenant + (f"#{state}" if state else "") + (_GONE if gone else "")


def write_task(task: Task) -> Columns:
    """All columns of a new row, those of the indexes and of listings included."""
    gone = task.params is None
    return encode_task(task) | {
        "listed_params": _listed(task.params),
        "due_shard": due_shard(task.ref, task.state),
        "due_us": microseconds(task.due_at),
        "listing": listing_of(task.tenant, gone=gone),
        "state_listing": listing_of(task.tenant, state=task.state, gone=gone),
        "newest_first": -microseconds(task.created_at),
    }


def write_fields(ref: TaskRef, state: State, fields: TaskFields) -> Columns:
    """The columns of an update of a row in ``state``, with those that indexes and listings read.

    A tombstone that is updated without its parameters moves out of its part of
    the index; a listing reads the row again and leaves it out.
    """
    columns = encode_fields(fields)
    if "due_at" in fields:
        columns["due_us"] = microseconds(fields["due_at"])
    if "state" in fields:
        columns["due_shard"] = due_shard(ref, fields["state"])
    gone = "params" in fields and fields["params"] is None
    if "params" in fields:
        columns["listed_params"] = _listed(fields["params"])
        columns["listing"] = listing_of(ref.tenant, gone=gone)
    if "state" in fields or "params" in fields:
        columns["state_listing"] = listing_of(ref.tenant, state=fields.get("state", state), gone=gone)
    return columns


def _listed(params: ExportParams | None) -> str:
    """What a listing has of the parameters; empty for a tombstone."""
    text = encode_params(None if params is None else params.without_columns())
    return text if len(text.encode()) <= LISTED_BYTES_MAX else _TOO_LONG


def read_listed(columns: Mapping[str, Any]) -> dict[str, Any] | None:
    """The columns of a task from ``LISTED_COLUMNS``, its parameters without those of its tables.

    None where the row itself has to be read, by itself: an older release wrote
    it, or what a listing has of the parameters is long.
    """
    params = columns.get("listed_params", _TOO_LONG)
    return None if params == _TOO_LONG else {**columns, "params": params}


def write_attempt(attempt: Attempt) -> Columns:
    return {name: _ATTEMPT[name](value) for name, value in msgspec.structs.asdict(attempt).items()}


def read_attempt(columns: Mapping[str, Any]) -> Attempt:
    """Raises ``StoreRefused`` for an entry that another program has damaged."""
    try:
        return msgspec.convert({name: columns[name] for name in _ATTEMPT if name in columns}, Attempt)
    except msgspec.ValidationError as error:
        raise StoreRefused(f"an attempt row of the table is damaged: {error}") from error


def claim_column(sequence: int) -> str:
    return f"c_{sequence:08d}"


def write_claim(claim: Claim) -> str:
    """Never empty, which the condition for a sequence that is not taken relies on."""
    sheet = f":{claim.sheet}" if claim.sheet else ""
    return f"{claim.sha}:{claim.rows}:{claim.size}{sheet}"


def read_claims(columns: Mapping[str, Any]) -> dict[int, Claim]:
    """The claims among a row's columns, by sequence. Raises ``StoreRefused`` for one that we did not write."""
    first, end = CLAIMS
    claims = {}
    for name, value in columns.items():
        if first <= name < end:
            try:
                sha, rows, size, *sheet = str(value).split(":")
                claim = Claim(int(name[2:]), sha, int(rows), int(size), *map(int, sheet))
            except (ValueError, TypeError) as error:
                raise StoreRefused(f"the column {name} of a task is damaged") from error
            claims[claim.sequence] = claim
    return claims
