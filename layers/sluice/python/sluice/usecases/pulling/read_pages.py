"""Reads the rows of an HTTP API, page by page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from itertools import islice
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import urljoin

import msgspec

from sluice.domain.errors import SluiceError
from sluice.domain.pages import ByLink, ByOffset, ByPage, ByToken, HttpSource
from sluice.domain.pulled import Cursor
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.suggestion import did_you_mean
from sluice.ports.clock import Clock
from sluice.ports.page_service import PageAnswer, PageRequest, PageService
from sluice.ports.source import Slice, Slices, SourceColumn, SourceError, SourceUnavailable
from sluice.tables.batch import Batch
from sluice.tables.readers.json import exact_json
from sluice.tables.readers.records import RowShape, batch_of_rows
from sluice.tables.values.type_detection import detect_types
from sluice.usecases.pulling.count_rows import count_rows

SLICE_ROWS = 8_000
WAIT_MAX_S = 300
"""How long a service may have us wait for its next answer; longer, and the task is put off."""
WAITS_MAX = 5
"""So often for one page."""
_WAIT_S, _STEP_S = 5, 0.5
_OK, _NO_CONTENT, _TIMEOUT, _TOO_MANY, _SERVER = 200, 204, 408, 429, 500
_REFUSED = {401: "its secret is refused", 403: "its secret is not allowed this", 404: "there is nothing at this path"}
_NEXT = re.compile(r"<([^<>]+)>((?:\s*;\s*[^,;<>]+)+)")
_KEYS_SHOWN_MAX = 20
_PARTS_MAX = 2_000_000
"""Commas and brackets of a page: a text of them alone would become many times its size in memory."""


class _PagePlace(NamedTuple):
    """The first row that is still to be read."""

    page: int = 0
    """Of so many pages all rows were read."""
    position: str = ""
    """Number, offset, token or address of the page; empty for the first."""
    rows: int = 0
    """So many rows of it were read; -1 behind the last page."""
    mark: str = ""
    """Of a page that is read in part, what it was then: its ETag, or a digest of it."""


_END = -1


class _Page(NamedTuple):
    records: list[Any]
    following: str | None
    mark: str


class PagesReader:
    """Implements ``Source``. The cursor is a page, and how many of its rows were read.

    To go on asks for that page again. One of which rows were read already has to be what it was. A page is in memory
    as a whole.
    """

    def __init__(
        self, service: PageService, source: HttpSource, columns: Sequence[str], *, connection: str, clock: Clock
    ) -> None:
        """``columns``: which are read, in their order; none for all that rows of the first page have."""
        self._service = service
        self._source = source
        self._columns = tuple(columns)
        self._connection = connection
        self._clock = clock
        self._is_interrupted = False

    def interrupt(self) -> None:
        """As the port says."""
        self._is_interrupted = True
        self._service.interrupt()

    def count(self, limit: int) -> int:
        """As the port says; pages are asked for."""
        return count_rows(self, limit, what=self._connection, clock=self._clock)

    def describe(self) -> tuple[SourceColumn, ...]:
        """As the port says; names and types are those of the first page."""
        records = self._page(_PagePlace()).records
        known: dict[str, None] = {}
        for record in records:
            if isinstance(record, dict):
                known |= dict.fromkeys(record)
        names = self._columns or tuple(known)
        if not names:
            raise SourceError(f"the first page of {self._connection} names no columns: name them as columns")
        columns = self._cells(records[:SLICE_ROWS], names, _PagePlace(), 0)
        for name, values in zip(names, columns, strict=True):
            if known and name not in known and set(values) == {None}:
                raise SourceError(f"no row of the first page has {name}{did_you_mean(name, known)}")
        for name in self._source.types:
            if name not in names:
                raise SourceError(f"types: there is no column {name}{did_you_mean(name, names)}")
        rows = min(len(records), SLICE_ROWS)
        kinds = {column.name: column.type for column in detect_types(names, Batch.of_columns(columns, rows))}
        kinds |= self._source.types
        return tuple(SourceColumn(name, kinds.get(name, ColumnType.STRING), "json", is_nullable=True) for name in names)

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        """One range, whose end is not known before it is there. Raises ``SourceError``."""
        del splits, rows_min
        raise SourceError(f"{self._connection} is read from its first page to its last: set splits: 1")

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        """As the port says, without an end before the last page."""
        if until is not None:
            raise SourceError(f"{self._connection} is read to its last page")
        place = _place_of(after)
        self._check()
        yield Slices(self._clock.now(), self._slices(place))

    def _slices(self, place: _PagePlace) -> Iterator[Slice]:
        anchor, before, is_first = place.position, "", True
        while place.rows != _END:
            page = self._page(place)
            if place.rows and page.mark != place.mark:
                raise SourceError(f"the page of {self._connection} that was read in part has changed since")
            if page.records and page.mark == before and isinstance(self._source.paging, ByPage | ByOffset):
                raise SourceError(f"{self._connection} gives the same page again and again: paging does not fit it")
            before = page.mark
            following = _PagePlace(place.page + 1, page.following or "", _END if page.following is None else 0)
            yield from self._page_slices(page, place, following)
            if following.position and following.position == anchor and not is_first:
                raise SourceError(f"the pages of {self._connection} lead back to one before, without an end")
            if following.page & (following.page - 1) == 0:  # found whatever the length of the circle
                anchor = following.position
            place, is_first = following, False

    def _page_slices(self, page: _Page, place: _PagePlace, following: _PagePlace) -> Iterator[Slice]:
        names = self._columns or self._names_of(page.records)
        records = iter(page.records[place.rows :])
        done = place.rows
        while some := list(islice(records, SLICE_ROWS)):
            columns = self._cells(some, names, place, done)
            done += len(some)
            is_whole = done == len(page.records)
            cursor = following if is_whole else place._replace(rows=done, mark=page.mark)
            yield Slice(columns, len(some), tuple(cursor))

    def _names_of(self, records: Sequence[Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for record in records if isinstance(record, dict) for name in record))

    def _page(self, place: _PagePlace) -> _Page:
        answer = self._answer(self._request(place.position))
        if answer.status == _NO_CONTENT:
            return _Page([], None, "")
        if sum(map(answer.body.count, (b",", b"[", b"{"))) > _PARTS_MAX:
            raise SourceError(f"page {place.page + 1} of {self._connection} has too many values: ask for fewer rows")
        try:
            tree = exact_json(answer.body, numbers=str)
        except SluiceError as error:
            raise SourceError(f"page {place.page + 1} of {self._connection}: {error.detail}") from None
        records = _at(tree, self._source.rows)
        if not isinstance(records, list):
            keys = ", ".join(list(tree)[:_KEYS_SHOWN_MAX]) if isinstance(tree, dict) else type(tree).__name__
            where = self._source.rows or "the top"
            raise SourceError(
                f"page {place.page + 1} of {self._connection} has no array of rows at {where}; it has {keys}"
            )
        mark = answer.headers.get("etag") or hashlib.sha256(answer.body).hexdigest()
        return _Page(records, self._following(place, answer, tree, len(records)), mark)

    def _request(self, position: str) -> PageRequest:
        source = self._source
        if isinstance(source.paging, ByLink) and position:
            return PageRequest("GET", position, is_link=True)
        added: dict[str, str | int] = {}
        match source.paging:
            case ByPage() as by:
                added[by.parameter] = int(position or by.first)
                if by.size_parameter:
                    added[by.size_parameter] = by.size
            case ByOffset() as by:
                added |= {by.parameter: int(position or 0), by.size_parameter: by.size}
            case ByToken() as by if position:
                added[by.parameter] = position
            case _:
                pass
        if source.method == "POST":
            body = msgspec.json.encode({**(source.body or {}), **added})
            return PageRequest("POST", source.path, tuple(source.query.items()), body)
        query = {**source.query, **{name: str(value) for name, value in added.items()}}
        return PageRequest("GET", source.path, tuple(query.items()))

    def _following(self, place: _PagePlace, answer: PageAnswer, tree: Any, rows: int) -> str | None:
        """Where the next page is; None behind the last one."""
        match self._source.paging:
            case ByPage() as by:
                return str(int(place.position or by.first) + 1) if rows else None
            case ByOffset():
                return str(int(place.position or 0) + rows) if rows else None
            case ByToken() as by:
                found = _at(tree, by.path)
            case ByLink(path=path):
                found = _at(tree, path) if path else _next_link(answer.headers.get("link", ""))
                found = urljoin(answer.url, found) if isinstance(found, str) and found else found
            case _:
                return None
        if found in (None, "", False):
            return None
        if not isinstance(found, str):
            raise SourceError(f"page {place.page + 1} of {self._connection} names its next page by no text or number")
        return found

    def _answer(self, request: PageRequest) -> PageAnswer:
        for _ in range(WAITS_MAX):
            self._check()
            answer = self._service.ask(request)
            if answer.status in {_OK, _NO_CONTENT}:
                return answer
            is_asked = "retry-after" in answer.headers and answer.status >= _SERVER
            if answer.status != _TOO_MANY and not is_asked:
                raise self._refused(answer.status)
            self._wait(self._retry_after(answer.headers.get("retry-after", "")))
        raise SourceUnavailable(f"{self._connection} had us wait {WAITS_MAX} times for one page")

    def _refused(self, status: int) -> SourceError:
        if status >= _SERVER or status == _TIMEOUT:
            return SourceUnavailable(f"{self._connection} answers with status {status}")
        why = f": {_REFUSED[status]}" if status in _REFUSED else ""
        return SourceError(f"{self._connection} answers with status {status}{why}")

    def _retry_after(self, said: str) -> float:
        if said.isascii() and said.isdigit():
            return float(said)
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - self._clock.now())
        except (ValueError, TypeError, OverflowError):
            return _WAIT_S

    def _wait(self, seconds: float) -> None:
        if seconds > WAIT_MAX_S:
            raise SourceUnavailable(f"{self._connection} is to be asked again in {seconds:.0f} s, not before")
        for _ in range(ceil(seconds / _STEP_S)):
            self._check()
            self._clock.sleep(_STEP_S)

    def _check(self) -> None:
        if self._is_interrupted:
            raise SourceUnavailable("the reading was interrupted from here")

    def _cells(
        self, records: Sequence[Any], names: tuple[str, ...], place: _PagePlace, done: int
    ) -> list[list[str | None]]:
        """The texts of each column. Raises ``SourceError`` with page, row and column."""
        known = set(names)
        rows: list[Sequence[Any]] = []
        for number, record in enumerate(records, done + 1):
            where = f"page {place.page + 1}, row {number} of {self._connection}"
            if isinstance(record, list):
                rows.append(record)
            elif isinstance(record, dict):
                if self._source.is_whole and not record.keys() <= known:
                    more = ", ".join(sorted(record.keys() - known)[:_KEYS_SHOWN_MAX])
                    raise SourceError(
                        f"{where} has {more}, which no row of the first page has: name the columns to read"
                    )
                rows.append([record[name] if name in record else _at(record, name) for name in names])
            else:
                raise SourceError(f"{where} is no object and no array")
        shape = RowShape(columns=tuple(map(ColumnSpec, names)), rows_max=len(rows))
        try:
            return batch_of_rows(rows, shape).to_columns()
        except SluiceError as error:
            row = error.facts.get("row")
            where = f"page {place.page + 1}, row {done + row if isinstance(row, int) else '?'} of {self._connection}"
            if "column" not in error.facts:
                raise SourceError(f"{where}: {error.detail}") from None
            name = error.facts["column"]
            raise SourceError(f"{where}: {name} is an object or an array: name its parts, as {name}.id") from None


def _at(tree: Any, path: str) -> Any:
    """What is at a path; None where there is nothing."""
    for name in path.split(".") if path else ():
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _next_link(header: str) -> str | None:
    for link, parameters in _NEXT.findall(header):
        relations = re.search(r'rel\s*=\s*"?([^";]+)"?', parameters)
        if relations and "next" in relations[1].lower().split():
            return str(link)
    return None


def _place_of(cursor: Cursor | None) -> _PagePlace:
    """Raises ``SourceError`` for a cursor of another source."""
    if cursor is None:
        return _PagePlace()
    match cursor:
        case (int() as page, str() as position, int() as rows, str() as mark) if page >= 0 and rows >= _END:
            return _PagePlace(page, position, rows, mark)
    raise SourceError("pages are read on at a place that is not one of theirs")
