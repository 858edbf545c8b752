"""The tables of the task store, made from the values they hold, and how an older file is brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from sluice.adapters.task_columns import Column, Value, columns_of
from sluice.domain.keys import TASK_ID, TENANT_ID, TaskRef, input_folder, output_folder
from sluice.domain.manifest import Claim
from sluice.domain.task import Attempt, Task
from sluice.ports.object_store import SOME_BUCKET, ObjectsPlace
from sluice.ports.store_errors import NewerSchemaError

Upgrade = Callable[[sqlite3.Connection], None]
"""Takes a file from one version to the next, inside a transaction."""


def _share_results(_: sqlite3.Connection) -> None:
    """Version 2: a result may be another task's too. A sweeper that does not know that would delete it."""


def _pack_definitions(_: sqlite3.Connection) -> None:
    """Version 3: long parameters are packed. A release that does not know it would take their rows for damaged."""


def _read_sources(_: sqlite3.Connection) -> None:
    """Version 4: rows may be read from a source. A release that does not know it would take such tasks for damaged."""


UPGRADES: tuple[Upgrade, ...] = (_share_results, _pack_definitions, _read_sources)
"""From version 1 to 2, from 2 to 3 and so on. A new column needs none, since it is added from its struct, unless a
release that does not know it could do harm: a higher version keeps that release from the file."""


_KINDS: dict[type[Value], str] = {int: "INTEGER", float: "REAL", str: "TEXT"}
_OWNER = (Column("tenant", str, None), Column("task_id", str, None))

_TABLES = {
    "tasks": (columns_of(Task), "PRIMARY KEY (tenant, task_id))"),
    "claims": (_OWNER + columns_of(Claim), "PRIMARY KEY (tenant, task_id, sequence)) WITHOUT ROWID"),
    "attempts": (_OWNER + columns_of(Attempt), "PRIMARY KEY (tenant, task_id, epoch)) WITHOUT ROWID"),
}
"""The columns of each, and how its declaration ends."""

LIVE = "state IN ('waiting', 'reading', 'sealed', 'composing')"
"""Rows that wait for a worker or have one; an index holds only these."""

ENDED_OR_OPEN = "state NOT IN ('waiting', 'reading', 'sealed', 'composing')"
"""All others."""

_INDEXES = (
    f"tasks_moving ON tasks (tenant, due_at) WHERE {LIVE}",
    f"tasks_resting ON tasks (tenant, due_at) WHERE {ENDED_OR_OPEN}",
    "tasks_of_state ON tasks (tenant, state)",
    "tasks_listed ON tasks (tenant, created_at DESC, task_id) WHERE params <> ''",
    "tasks_listed_of_state ON tasks (tenant, state, created_at DESC, task_id) WHERE params <> ''",
)


_FORMER_INDEXES = ("tasks_live", "tasks_due", "tasks_live_of_tenant", "tasks_due_of_tenant")
"""Of earlier releases, whose sweeps asked for other rows. Those make them again if they come back."""


def prepare(db: sqlite3.Connection, *, upgrades: Sequence[Upgrade] = UPGRADES) -> None:
    """Create the tables or bring them up to date, inside the caller's transaction. Raises ``NewerSchemaError``."""
    newest = 1 + len(upgrades)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > newest:
        raise NewerSchemaError(
            f"the task file has schema {version}, this release reads up to {newest}: a newer release wrote it; "
            "install that one or a later one, or restore a backup from before"
        )
    if version == 0:
        for table, (columns, ending) in _TABLES.items():
            db.execute(f"CREATE TABLE {table} ({', '.join(map(_declare, columns))}, {ending}")
    else:
        for upgrade in upgrades[version - 1 :]:
            upgrade(db)
        _add_missing_columns(db)
    for former in _FORMER_INDEXES:
        db.execute(f"DROP INDEX IF EXISTS {former}")
    for index in _INDEXES:
        db.execute(f"CREATE INDEX IF NOT EXISTS {index}")
    if version != newest:  # setting it writes, for which a full disk has no room
        db.execute(f"PRAGMA user_version = {newest}")


def identify(db: sqlite3.Connection, proposed: str) -> str:
    """The id of this file: ``proposed`` if it had none. Writes nothing where there is one."""
    db.execute("CREATE TABLE IF NOT EXISTS identity (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL)")
    db.execute("INSERT INTO identity VALUES (1, ?) ON CONFLICT DO NOTHING", (proposed,))
    (found,) = db.execute("SELECT id FROM identity").fetchone()
    return str(found)


def forget_identity(db: sqlite3.Connection) -> None:
    """Make a copy a file of its own, beside which the one that it was copied from may go on."""
    db.execute("DROP TABLE IF EXISTS identity")


def read_place(db: sqlite3.Connection) -> ObjectsPlace | None:
    """Which store has the objects of these rows. An owner of a bucket that noted none yet has them in a bucket."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = db.execute("SELECT backend, name FROM objects_place").fetchone() if "objects_place" in tables else None
    if found is not None:
        return ObjectsPlace(*found)
    owns = "identity" in tables and db.execute("SELECT 1 FROM identity").fetchone() is not None
    return SOME_BUCKET if owns else None


def note_place(db: sqlite3.Connection, place: ObjectsPlace) -> None:
    """Note which store has the objects, in the place of what was noted.

    In a table beside ``identity``, which stays as earlier releases write it.
    """
    db.execute(
        "CREATE TABLE IF NOT EXISTS objects_place "
        "(one INTEGER PRIMARY KEY CHECK (one = 1), backend TEXT NOT NULL, name TEXT NOT NULL)"
    )
    db.execute("INSERT OR REPLACE INTO objects_place VALUES (1, ?, ?)", place)


def may_have_objects(db: sqlite3.Connection) -> bool:
    """Whether there is a row whose chunks, file or garbage may be there; a tombstone has none."""
    query = "SELECT 1 FROM tasks WHERE params <> '' AND (batches_received > 0 OR man_sha <> '') LIMIT 1"
    return db.execute(query).fetchone() is not None


_WITH_OBJECTS = (
    (f"task_id FROM tasks WHERE {LIVE} AND batches_received > 0", input_folder),
    ("task_id FROM tasks WHERE state = 'open' AND batches_received > 0", input_folder),
    (
        """CASE WHEN result_of = '' THEN task_id ELSE result_of END FROM tasks
        WHERE state = 'completed' AND result_key <> '' AND deleted_at = 0""",
        output_folder,
    ),
)
"""Tasks with objects, and where those are."""


def sample_folders(db: sqlite3.Connection, limit: int) -> list[str]:
    """Folders of objects that have to be there unless they were lost, of some rows of each kind."""
    found = [
        (folder, *row)
        for query, folder in _WITH_OBJECTS
        for row in db.execute(f"SELECT tenant, {query} LIMIT ?", (limit,))
    ]
    return [
        folder(TaskRef(tenant, task_id))
        for folder, tenant, task_id in found
        if TENANT_ID.fullmatch(str(tenant)) and TASK_ID.fullmatch(str(task_id))  # else it is damaged
    ]


def _add_missing_columns(db: sqlite3.Connection) -> None:
    for table, (columns, _) in _TABLES.items():
        present = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if column.name not in present:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {_declare(column)}")


def _declare(column: Column) -> str:
    declaration = f'"{column.name}" {_KINDS[column.kind]} NOT NULL'
    if column.default is None:
        return declaration
    return f"{declaration} DEFAULT {column.default!r}"  # numbers and plain strings, which SQL writes as Python does
