"""Reads a folder of definitions: ``connections/*.yaml`` and ``datasets/*.yaml``, one in each file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import msgspec

from sluice.adapters.system_clock import SystemClock
from sluice.app.definition_mistakes import mistakes_of_connection, mistakes_of_dataset
from sluice.app.file_stamps import FileStamp, stamps_of
from sluice.app.secrets import find_secret
from sluice.app.settings.yaml_tree import read_yaml
from sluice.domain.dataset import (
    BucketConnection,
    Connection,
    Dataset,
    DefinitionsError,
    FolderConnection,
    HttpConnection,
    MysqlConnection,
    PostgresqlConnection,
    ServerConnection,
    SqliteConnection,
    TableSource,
)
from sluice.domain.events import Event
from sluice.domain.file_source import AnyFileRows, source_of
from sluice.domain.limits import Limits
from sluice.domain.pages import HttpSource
from sluice.domain.pinned_files import FileSource
from sluice.domain.pulled import Condition, Pulled
from sluice.domain.secret import Secret
from sluice.domain.suggestion import did_you_mean
from sluice.domain.target import TableTarget
from sluice.ports.file_folder import FileFolder
from sluice.ports.journal import Journal
from sluice.ports.sink import Sink, SinkError, SinkUnavailable
from sluice.ports.source import COUNT_S, Source, SourceError, SourceUnavailable

PARTS = ("connections", "datasets")
"""The folders of files that are read here."""
AGAIN_S = 2
"""How long definitions with a mistake, of which no file has changed, are not read again."""


class Definitions(NamedTuple):
    """What a folder defines, by name."""

    folder: Path
    connections: Mapping[str, Connection]
    datasets: Mapping[str, Dataset]
    slots: Path | None = None
    """The folder of the slots of connections; None where sessions are not counted."""

    def find(self, name: str) -> Dataset:
        """Raises ``DefinitionsError`` for a name that no dataset has."""
        if name not in self.datasets:
            near = did_you_mean(name, self.datasets)
            raise DefinitionsError([f"{self.folder / 'datasets'}: there is no dataset {name!r}{near}"])
        return self.datasets[name]

    def source_of(self, dataset: Dataset, conditions: Sequence[Condition] = ()) -> Source:
        """The table that the dataset reads; nothing is opened yet."""
        return self.table(dataset.source, [column.name for column in dataset.columns], conditions)

    def open_pulled(self, pulled: Pulled, *, is_brief: bool = False) -> Source:
        """The table that a task reads, as it was defined when the task was opened; where it is, is looked up now.

        ``is_brief``: for a caller who waits, no statement takes longer than ``COUNT_S``. Raises ``SourceError`` for a
        connection that is no longer there.
        """
        if pulled.files is not None:
            return self.files(pulled.connection, pulled.files, pulled.columns)
        if pulled.pages is not None:
            return self.pages(pulled.connection, pulled.pages, pulled.columns)
        source = TableSource(
            connection=pulled.connection,
            schema=pulled.schema,
            table=pulled.table,
            key=pulled.key,
            consistency=pulled.consistency,
        )
        return self.table(source, pulled.columns, pulled.conditions, where=pulled.where, is_brief=is_brief)

    def pinned(self, rows: AnyFileRows) -> FileSource:
        """The files that a job names, as they are now. Raises ``SourceError``, also where there is none."""
        found = self._file_folder(rows.connection).find(rows.path)
        if not found and rows.missing == "fail":
            raise SourceError(f"no file in {rows.connection} fits {rows.path}; missing: empty takes that for no rows")
        return source_of(rows, found)

    def files(self, connection: str, source: FileSource, columns: Sequence[str] = ()) -> Source:
        """These columns of files. Raises ``SourceError`` for a connection that is not there, or is of no folder."""
        from sluice.usecases.pulling.read_files import FilesReader  # noqa: PLC0415  # for jobs of files alone

        folder = self._file_folder(connection)
        return FilesReader(folder, source, columns, connection=connection, clock=SystemClock(), limits=Limits())

    def pages(self, connection: str, source: HttpSource, columns: Sequence[str] = ()) -> Source:
        """These columns of an HTTP API. Raises ``SourceError`` for a connection that is not there, or is of none."""
        from sluice.adapters.sources.http_service import HttpService  # noqa: PLC0415  # for jobs of pages alone
        from sluice.usecases.pulling.read_pages import PagesReader  # noqa: PLC0415

        found = self._connection(connection)
        if not isinstance(found, HttpConnection):
            raise SourceError(f"connection {connection} is no service: pages are read from one of type http")
        service = HttpService(found, secret=partial(find_secret, found.secret), folder=self.folder)
        return PagesReader(service, source, columns, connection=connection, clock=SystemClock())

    def _file_folder(self, name: str) -> FileFolder:
        match connection := self._connection(name):
            case FolderConnection():
                from sluice.adapters.sources.folder import LocalFolder  # noqa: PLC0415  # for jobs of files alone

                return LocalFolder(self.folder / connection.path, name)
            case BucketConnection():
                return _bucket_folder(connection)
            case _:
                raise SourceError(f"connection {name} is of no folder: files come from one of type folder or bucket")

    def _connection(self, name: str) -> Connection:
        found = self.connections.get(name)
        if found is None:
            raise SourceError(f"there is no connection {name} in {self.folder / 'connections'}")
        return found

    def table(
        self,
        source: TableSource,
        columns: Sequence[str],
        conditions: Sequence[Condition] = (),
        *,
        where: str = "",
        is_brief: bool = False,
    ) -> Source:
        """These columns of a table; ``where`` is as in ``Pulled``.

        Raises ``SourceError`` for a connection that is not there.
        """
        connection = self._connection(source.connection)
        if is_brief and isinstance(connection, ServerConnection):
            connection = connection.within(COUNT_S)
        made = make_source(connection, source, columns, conditions, where=where, folder=self.folder, is_brief=is_brief)
        if self.slots is None or not isinstance(connection, ServerConnection) or connection.slots is None:
            return made
        from sluice.adapters.sources.slots import Slots, SlottedSource  # noqa: PLC0415  # for those who count them

        return SlottedSource(made, Slots(self.slots, connection.name, connection.slots), is_brief=is_brief)


def _bucket_folder(connection: BucketConnection) -> FileFolder:
    try:
        from sluice.adapters.s3.bucket import S3Place  # noqa: PLC0415  # an extra
        from sluice.adapters.s3.files import BucketFolder  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SourceError("buckets are read with an extra: pip install 'sluice[s3]'") from error

    def credentials() -> dict[str, str]:
        secret = find_secret(connection.secret).reveal()
        return {"access_key_id": connection.access_key_id, "secret_access_key": secret} if secret else {}

    place = S3Place(url=connection.url, region=connection.region, endpoint=connection.endpoint)
    return BucketFolder(place, connection.name, credentials)


def make_source(
    connection: Connection,
    source: TableSource,
    columns: Sequence[str],
    conditions: Sequence[Condition] = (),
    *,
    where: str = "",
    folder: Path,
    is_brief: bool = False,
) -> Source:
    """Where the table is read from; secrets are looked for when it is opened, drivers too.

    Each is imported for its own connections alone: a command on SQLite loads no driver of a server.
    """
    match connection:
        case PostgresqlConnection():
            from sluice.adapters.sources.postgresql import PostgresqlSource  # noqa: PLC0415

            password = partial(find_secret, connection.password)
            return PostgresqlSource(
                connection, source, columns, conditions, where=where, password=password, folder=folder
            )
        case MysqlConnection():
            from sluice.adapters.sources.mysql import MysqlSource  # noqa: PLC0415

            password = partial(find_secret, connection.password)
            return MysqlSource(connection, source, columns, conditions, where=where, password=password, folder=folder)
        case FolderConnection() | BucketConnection() | HttpConnection():
            raise SourceError(f"connection {connection.name} is of no database, and {source.table} is a table")
        case SqliteConnection():
            from sluice.adapters.sources.sqlite import SqliteSource  # noqa: PLC0415

            return SqliteSource(folder / connection.path, source, columns, conditions, where=where, is_brief=is_brief)


def open_sink(
    connection: Connection,
    target: TableTarget,
    *,
    password: Callable[[], Secret],
    folder: Path,
    slots: Path | None = None,
) -> Sink:
    """The table that rows are loaded into; nothing is opened yet, and the driver is imported when it is.

    Raises ``SinkError`` for a connection that may not be written through.
    """
    if not isinstance(connection, PostgresqlConnection | MysqlConnection):
        raise SinkError(f"connection {connection.name}: rows are loaded into tables of PostgreSQL and MySQL alone")
    if not connection.writes:
        raise SinkError(f"connection {connection.name} is for reading alone: set writes: true if rows may be loaded")
    from sluice.adapters.sinks.server_sink import no_bound  # noqa: PLC0415  # for those who load rows

    slot = no_bound
    if slots is not None and connection.slots is not None:
        from sluice.adapters.sources.slots import WAIT_S, Slots  # noqa: PLC0415  # for those who count them

        slot = partial(Slots(slots, connection.name, connection.slots).taken, wait_s=WAIT_S)
    if isinstance(connection, PostgresqlConnection):
        from sluice.adapters.sinks.postgresql import PostgresqlSink  # noqa: PLC0415  # for its connections alone

        return PostgresqlSink(connection, target, password=password, folder=folder, slot=slot)
    from sluice.adapters.sinks.mysql import MysqlSink  # noqa: PLC0415

    return MysqlSink(connection, target, password=password, folder=folder, slot=slot)


def opens_sinks(folder: Path, *, slots: Path | None = None) -> Callable[[TableTarget], Sink]:
    """Open the targets of deliveries by the connections of a folder as they are at each call.

    ``slots`` are those of ``Definitions``.
    """

    def open_target(target: TableTarget) -> Sink:
        problems: list[str] = []
        connections = _read_all(folder / "connections", Connection, "name", problems)
        connection = connections.get(target.connection)
        if connection is None:
            if problems:
                raise SinkUnavailable("; ".join(problems))
            near = did_you_mean(target.connection, connections)
            raise SinkError(f"there is no connection {target.connection} in {folder / 'connections'}{near}")
        password = partial(find_secret, getattr(connection, "password", ""))
        return open_sink(connection, target, password=password, folder=folder, slots=slots)

    return open_target


class DefinitionsFolder:
    """A folder of definitions as it is now: what is changed in it holds for exports from then on.

    A change with mistakes is recorded, and what was read before holds on. Safe to use from any thread.
    """

    def __init__(
        self, folder: Path, journal: Journal, *, monotonic: Callable[[], float], slots: Path | None = None
    ) -> None:
        """Read the folder; ``slots`` are those of ``Definitions``. Raises ``DefinitionsError``."""
        self._folder = folder
        self._slots = slots
        self._journal = journal
        self._monotonic = monotonic
        self._lock = Lock()
        self._refused: dict[Path, FileStamp] = {}
        """As ``_seen``, when a mistake was recorded last."""
        self._again_at = float("-inf")
        """When those with the mistake are read again."""
        self._seen = stamps_of(folder, PARTS)
        self._current = load_definitions(folder)

    def current(self) -> Definitions:
        """What holds now; the files are looked at, and read if one has changed."""
        with self._lock:
            seen = stamps_of(self._folder, PARTS)
            if seen != self._seen and (seen != self._refused or self._monotonic() >= self._again_at):
                self._load(seen)
            return self._current

    def _load(self, seen: dict[Path, FileStamp]) -> None:
        try:
            self._current = load_definitions(self._folder)
        except DefinitionsError as error:
            self._again_at = self._monotonic() + AGAIN_S  # what is in the way may show in no stamp
            if seen != self._refused:
                self._journal.record(Event.VALIDATION_ERROR, component="definitions", reason=str(error))
            self._refused = seen
        else:
            self._seen = seen

    def datasets(self) -> Mapping[str, Dataset]:
        """The datasets that hold now, by name."""
        return self.current().datasets

    def open_pulled(self, pulled: Pulled) -> Source:
        """As ``Definitions.open_pulled``, by what holds now, for a caller who waits."""
        return self.current()._replace(slots=self._slots).open_pulled(pulled, is_brief=True)


def opens_sources(folder: Path, *, slots: Path | None = None) -> Callable[[Pulled], Source]:
    """Open the sources of tasks by the connections of a folder as they are at each call.

    A mistake elsewhere is of no interest here. Where the connection itself cannot be read now, its source is away: that
    ends no export which was opened before the mistake.
    """

    def open_source(pulled: Pulled) -> Source:
        problems: list[str] = []
        connections = _read_all(folder / "connections", Connection, "name", problems)
        if pulled.connection not in connections and problems:
            raise SourceUnavailable("; ".join(problems))
        return Definitions(folder, connections, {}, slots).open_pulled(pulled)

    return open_source


def load_definitions(folder: Path) -> Definitions:
    """Read the folder. Raises ``DefinitionsError`` with every mistake in it."""
    problems: list[str] = []
    if not folder.is_dir():
        raise DefinitionsError([f"there is no folder {folder}"])
    connections = _read_connections(folder, problems)
    datasets = _read_all(folder / "datasets", Dataset, "dataset", problems)
    for name, dataset in datasets.items():
        problems += [f"datasets/{name}: {problem}" for problem in mistakes_of_dataset(dataset, connections)]
    if problems:
        raise DefinitionsError(problems)
    return Definitions(folder, connections, datasets)


def load_connections(folder: Path) -> dict[str, Connection]:
    """Read the connections alone. Raises ``DefinitionsError`` with every mistake in them."""
    problems: list[str] = []
    connections = _read_connections(folder, problems)
    if problems:
        raise DefinitionsError(problems)
    return connections


def _read_connections(folder: Path, problems: list[str]) -> dict[str, Connection]:
    connections = _read_all(folder / "connections", Connection, "name", problems)
    for name, connection in connections.items():
        problems += [f"connections/{name}: {problem}" for problem in mistakes_of_connection(connection)]
    return connections


def _read_all(folder: Path, kind: Any, name_field: str, problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        place = f"{folder.name}/{path.name}"
        tree = read_yaml(path, place, problems)
        if tree is None:
            continue
        try:
            one = msgspec.convert(tree, kind)
        except msgspec.ValidationError as error:
            problems.append(f"{place}: {_worded(error)}")
            continue
        name = getattr(one, name_field)
        if name in found:
            problems.append(f"{place}: {name} is defined in another file too")
        elif name != path.stem:
            problems.append(f"{place}: defines {name}; the file of that is {name}.yaml")
        found[name] = one
    return found


def _worded(error: msgspec.ValidationError) -> str:
    """The mistake, behind the place that it is at."""
    text, _, place = str(error).partition(" - at ")
    return f"{place.strip('`').removeprefix('$.')}: {text}" if place.strip("`") not in {"", "$"} else text
