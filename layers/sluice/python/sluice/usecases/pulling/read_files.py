"""Reads the rows of files in the order of their names, each file as it was when the run was planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, pairwise
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.pinned_files import FileSource, PinnedFile
from sluice.domain.pulled import Cursor
from sluice.domain.schema import ColumnType
from sluice.domain.suggestion import did_you_mean
from sluice.ports.clock import Clock
from sluice.ports.file_folder import FileFolder, OpenedFile
from sluice.ports.source import Slice, Slices, SourceColumn, SourceError, SourceUnavailable
from sluice.tables.readers.batching import Hints, TableBatch, TableReader
from sluice.tables.readers.csv import CsvOptions
from sluice.tables.readers.kinds import TableKind, open_reader
from sluice.tables.readers.line_offsets import CountedText
from sluice.tables.readers.records import RowShape
from sluice.tables.values.type_detection import detect_types
from sluice.usecases.pulling.count_rows import count_rows
from sluice.usecases.pulling.read_text import read_text

if TYPE_CHECKING:
    from sluice.tables.readers.parquet import ParquetTable

_HINTS = Hints(
    no_header="header: false and columns name those of a file without such a line",
    names="columns names them",
    encoding="encoding names another",
    kind="type says which it is",
    delimiter="delimiter names another",
)


class _Place(NamedTuple):
    """The first row that is still to be read."""

    file: int
    offset: int = 0
    """Where the row begins: the byte of the text as UTF-8, unpacked; of a JSON array how many rows come before."""
    line: int = 1
    """The number of the line that begins there."""


class _Splice(NamedTuple):
    """A text of the beginning of a file and of what comes behind a place, and what of it is not new."""

    head_bytes: int = 0
    head_lines: int = 0
    rows: int = 0
    """Read before."""


class FilesReader:
    """Implements ``Source``. The cursor is the place of the next row: which file, which byte, which line.

    To go on costs a seek; in a file that is packed or not in UTF-8 the text before is unpacked again, but no row of it
    is read. The rows of a JSON array are read again, and left out. Every file is looked at before a slice of it is
    given: one that is no longer what was pinned ends the reading.
    """

    def __init__(
        self,
        folder: FileFolder,
        source: FileSource,
        columns: Sequence[str],
        *,
        connection: str,
        clock: Clock,
        limits: Limits,
    ) -> None:
        """``columns``: which are read, in their order; none for all that the first file has, in its order."""
        self._folder = folder
        self._source = source
        self._columns = tuple(columns)
        self._connection = connection
        self._clock = clock
        self._limits = limits
        self._interrupted = Event()

    def interrupt(self) -> None:
        """As the port says."""
        self._interrupted.set()

    def count(self, limit: int) -> int:
        """As the port says; the rows are read."""
        return count_rows(self, limit, what=self._source.path, clock=self._clock)

    def describe(self) -> tuple[SourceColumn, ...]:
        """As the port says; types are those of the first rows of the first file that has some."""
        kinds: dict[str, ColumnType] = {}
        if self._source.kind == "parquet" and self._source.files:
            return self._describe_parquet(self._source.files[0])
        for file in self._source.files:
            with self._opened(file) as opened, self._named(file):
                reader = self._reader(CountedText(self._text(opened, file, 0)))
                names = self._names(reader, file)
                kinds = dict.fromkeys(names, ColumnType.STRING)
                if (first := next(reader.batches(self._shape(names)), None)) is not None:
                    kinds = {column.name: column.type for column in detect_types(names, first.batch)}
                    self._check_named(reader, names, first, file)
                    break
        names = self._columns or tuple(kinds)
        if not names:
            raise SourceError(f"no file in {self._connection} fits {self._source.path}, and columns are not named")
        for name in self._source.types:
            if name not in names:
                raise SourceError(f"types: {self._source.path} has no column {name}; it has {', '.join(names)}")
        kinds |= self._source.types
        return tuple(SourceColumn(name, kinds.get(name, ColumnType.STRING), "text", is_nullable=True) for name in names)

    def _check_named(self, reader: TableReader, names: tuple[str, ...], first: TableBatch, file: PinnedFile) -> None:
        """Raise ``SourceError`` for a column that no object of the first rows has: a name that is wrong is no value."""
        if self._source.kind == "csv" or self._source.is_whole:
            return
        empty = [
            name
            for name, cells in zip(names, first.batch.columns, strict=True)
            if cells.nulls.count(1) == first.batch.rows
        ]
        with suppress(SluiceError):  # rows that are arrays name no columns
            known = reader.read_names()
            for name in empty:
                if name not in known:
                    raise SourceError(f"no row at the beginning of {file.name} has {name}{did_you_mean(name, known)}")

    def _describe_parquet(self, file: PinnedFile) -> tuple[SourceColumn, ...]:
        with self._opened(file) as opened, self._named(file):
            table = _parquet_table(opened)
            columns = {column.name: SourceColumn(*column) for column in table.columns}
            names = self._checked(tuple(column.name for column in table.columns), file)
        types = self._source.types
        chosen = [columns[name] for name in self._columns or names]
        return tuple(one._replace(kind=types.get(one.name, one.kind)) for one in chosen)

    def _parquet_slices(self, opened: OpenedFile, file: PinnedFile, place: _Place) -> Iterator[Slice]:
        with self._named(file):
            table = _parquet_table(opened)
            names = self._checked(tuple(column.name for column in table.columns), file)
            done = place.offset
            for columns, rows in table.pieces(self._columns or names, done, self._limits.batch_rows_max):
                self._check()
                done += rows
                following = _Place(place.file, done) if done < table.rows else _Place(place.file + 1)
                yield Slice(columns, rows, tuple(following))

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        """As the port says: whole files, about as many bytes in each range; how many rows they have is not known."""
        del rows_min
        files = self._source.files
        least = -(-sum(file.size for file in files) // splits)
        bounds, size = [], 0
        for number, file in enumerate(files, 1):
            size += file.size
            if size >= least or number == len(files):
                bounds.append(tuple(_Place(number)))
                size = 0
        return tuple(bounds)

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        """As the port says."""
        files = self._source.files
        begin, end = _place_of(after, _Place(0)), _place_of(until, _Place(len(files)))
        if end.offset or not 0 <= begin.file <= end.file <= len(files):
            raise SourceError(f"{self._source.path} is read on at a place that is not one of its own")
        self._check()
        yield Slices(self._clock.now(), self._slices(begin, end.file))

    def _slices(self, begin: _Place, end: int) -> Iterator[Slice]:
        for number in range(begin.file, end):
            place = begin if number == begin.file else _Place(number)
            file = self._source.files[number]
            with self._opened(file) as opened:
                read = self._parquet_slices if self._source.kind == "parquet" else self._file_slices
                for part in read(opened, file, place):
                    opened.check()
                    yield part

    def _file_slices(self, opened: OpenedFile, file: PinnedFile, place: _Place) -> Iterator[Slice]:
        splice = self._splice(opened, file, place) if place.offset else _Splice()
        lines_before = place.line - 1 - splice.head_lines
        with self._named(file, splice.head_lines, lines_before):
            text = CountedText(self._spliced(opened, file, place, splice))
            reader = self._reader(text)
            names = self._names(reader, file)
            wanted = [names.index(name) for name in self._columns] if self._columns else list(range(len(names)))
            batches = reader.batches(self._shape(names))
            left, rows_before = splice.rows, 0
            for part, following in pairwise(chain(batches, [None])):
                assert part is not None  # only the last is none
                rows_before += part.batch.rows
                if left >= part.batch.rows:
                    left -= part.batch.rows
                    continue
                columns = part.batch.to_columns()
                chosen = [columns[at][left:] for at in wanted]
                next_place = _Place(place.file + 1)
                if following is not None and following.lines:
                    line = following.lines[0]
                    offset = text.offset_of(line) + (place.offset - splice.head_bytes)
                    next_place = _Place(place.file, offset, line + lines_before)
                elif following is not None:
                    next_place = _Place(place.file, rows_before)
                yield Slice(chosen, part.batch.rows - left, tuple(next_place))
                left = 0

    def _spliced(self, opened: OpenedFile, file: PinnedFile, place: _Place, splice: _Splice) -> Iterator[bytes]:
        if not splice.head_bytes:
            yield from self._text(opened, file, 0)
            return
        head = splice.head_bytes
        for block in self._text(opened, file, 0):
            yield block[:head]
            head -= len(block)
            if head <= 0:
                break
        yield from self._text(opened, file, place.offset)

    def _splice(self, opened: OpenedFile, file: PinnedFile, place: _Place) -> _Splice:
        """What a reader has to see of the beginning, to read what comes behind a place as it would read it else.

        That is the header; without one it is the first row, which says how rows are written, and is left out.
        """
        if self._source.kind == "json":
            return _Splice(rows=place.offset)
        with self._named(file):
            text = CountedText(self._text(opened, file, 0))
            reader = self._reader(text)
            batches = reader.batches(self._shape(self._names(reader, file)))
            lines = chain.from_iterable(part.lines for part in batches)
            has_header = self._source.kind == "csv" and self._source.header
            line = next(lines)
            if not has_header:
                line = next(lines)
            return _Splice(text.offset_of(line), line - 1, 0 if has_header else 1)

    @property
    def _encoding(self) -> str:
        return self._source.encoding if self._source.kind == "csv" else "utf-8"

    def _text(self, opened: OpenedFile, file: PinnedFile, offset: int) -> Iterator[bytes]:
        for block in read_text(opened.content, file.name, self._encoding, offset):
            self._check()
            yield block

    def _check(self) -> None:
        if self._interrupted.is_set():
            raise SourceUnavailable("the reading was interrupted from here")

    def _reader(self, text: CountedText) -> TableReader:
        source = self._source
        is_csv = source.kind == "csv"
        has_header = source.header or not is_csv
        options = CsvOptions(
            delimiter=source.delimiter, has_header=has_header, names=() if has_header else source.names
        )
        return open_reader(text, TableKind(source.kind), self._limits, options=options, hints=_HINTS)

    def _names(self, reader: TableReader, file: PinnedFile) -> tuple[str, ...]:
        """The columns of a file, of which those that are read are some. Raises ``SourceError``."""
        if self._source.names:
            return self._source.names
        if self._source.kind != "csv" and self._columns:
            return self._columns
        return self._checked(reader.read_names(), file)

    def _checked(self, names: tuple[str, ...], file: PinnedFile) -> tuple[str, ...]:
        """The columns that a file names itself. Raises ``SourceError`` where they are not those that are to be read."""
        place = f"{file.name} of {self._connection}"
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SourceError(f"{place} has two columns {', '.join(twice)}")
        if missing := [name for name in self._columns if name not in names]:
            raise SourceError(f"{place} has no column {', '.join(missing)}; it has {', '.join(names)}")
        if self._source.is_whole and self._columns and len(names) > len(self._columns):
            more = ", ".join(name for name in names if name not in self._columns)
            raise SourceError(f"{place} has columns that the first file has not, {more}: name those to read as columns")
        return names

    def _shape(self, names: tuple[str, ...]) -> RowShape:
        shape = RowShape.of_names(names, self._source.null_value, self._limits)
        return shape if self._source.is_whole else shape.leaving_others()

    @contextmanager
    def _opened(self, file: PinnedFile) -> Iterator[OpenedFile]:
        try:
            with self._folder.open(file) as opened:
                yield opened
        except OSError as error:
            raise SourceUnavailable(f"{file.name} of {self._connection}: {error.strerror}") from None

    @contextmanager
    def _named(self, file: PinnedFile, head_lines: int = 0, lines_before: int = 0) -> Iterator[None]:
        """Errors of a reader become the port's, with file and line."""
        try:
            yield
        except SluiceError as error:
            line, row = error.facts.get("line"), error.facts.get("row")
            where = f", row {row}" if isinstance(row, int) else ""
            if isinstance(line, int):
                where = f", line {line + lines_before if line > head_lines else line}"
            detail = error.detail
            if error.code is ErrorCode.INVALID_TEXT and self._encoding != "utf-8":
                detail = f"The file is not text in {self._encoding.upper()}."
            column = f", column {error.facts['column']}" if "column" in error.facts else ""
            raise SourceError(f"{file.name} of {self._connection}{where}{column}: {detail}") from None


def _parquet_table(opened: OpenedFile) -> ParquetTable:
    try:
        from sluice.tables.readers.parquet import ParquetTable  # noqa: PLC0415  # an extra, of 170 MB
    except ModuleNotFoundError as error:
        raise SourceError("Parquet files are read with an extra: pip install 'sluice[parquet]'") from error
    return ParquetTable(opened.content)


def _place_of(cursor: Cursor | None, otherwise: _Place) -> _Place:
    """Raises ``SourceError`` for a cursor of another source."""
    if cursor is None:
        return otherwise
    numbers = [value for value in cursor if isinstance(value, int) and value >= 0]
    if len(numbers) != len(_Place._fields) or len(numbers) != len(cursor):
        raise SourceError("files are read on at a place that is not one of theirs")
    return _Place(*numbers)
