"""Rows of an HTTP API: every page once, from any place on, by any way of paging; the service is a real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from sluice.adapters.sources.http_service import HttpService
from sluice.domain.dataset import HttpConnection
from sluice.domain.http_source import HttpRows, http_source_of
from sluice.domain.pulled import Cursor
from sluice.domain.secret import Secret
from sluice.ports.source import Source, SourceError, SourceUnavailable
from sluice.usecases.pulling import read_pages
from sluice.usecases.pulling.read_pages import PagesReader
from tests.support.fake_clock import FakeClock
from tests.support.scripted_server import Answer, Asked, ScriptedServer, in_turn, scripted_server
from tests.support.source_rows import rows_of, slices_of

EXPECTED = [(str(number), f"name {number}", None if number == 3 else "Bonn") for number in range(7)]
ROWS = [{"id": int(number), "name": name, "at": {"city": city}} for number, name, city in EXPECTED]
COLUMNS = ["id", "name", "at.city"]
SIZE = 3


def said(value: object, **headers: str) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"content-type": "application/json", **headers})


def reader(server: ScriptedServer, clock: FakeClock | None = None, **options: Any) -> PagesReader:
    rows = msgspec.convert(
        {"type": "http", "connection": "api", "path": "orders", "columns": COLUMNS, **options}, HttpRows
    )
    where = HttpConnection(
        name="api", url=f"{server.url}/v1", auth="bearer", secret="${secret:x}", allow=("127.0.0.0/8",)
    )
    service = HttpService(where, secret=lambda: Secret("s3cret"), folder=Path("/"))
    source = http_source_of(rows, {"state": "paid & sent", "least": 7})
    return PagesReader(service, source, rows.columns, connection="api", clock=clock or FakeClock())


def given(asked: Asked) -> dict[str, str]:
    query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
    return {**query, **{name: str(value) for name, value in json.loads(asked.body or b"{}").items()}}


def part(start: int) -> list[dict[str, Any]]:
    return ROWS[start : start + SIZE]


def by_page(asked: Asked) -> Answer:
    return said({"data": {"items": part(SIZE * (int(given(asked)["page"]) - 1))}})


def by_offset(asked: Asked) -> Answer:
    assert given(asked)["limit"] == str(SIZE)
    return said({"data": {"items": part(int(given(asked)["offset"]))}})


def by_token(asked: Asked) -> Answer:
    start = int(given(asked).get("cursor", "t0")[1:])
    following = f"t{start + SIZE}" if start + SIZE < len(ROWS) else ""
    return said({"data": {"items": part(start)}, "meta": {"next": following}})


def by_link(asked: Asked) -> Answer:
    start = int(given(asked).get("from", 0))
    following = f"?from={start + SIZE}" if start + SIZE < len(ROWS) else None
    return said({"data": {"items": part(start)}, "next": following})


def by_header(asked: Asked) -> Answer:
    start = int(given(asked).get("from", 0))
    links = '<https://other.example/>; rel="prev"'
    if start + SIZE < len(ROWS):
        links += f', </v1/orders?from={start + SIZE}>; title=x; rel="last next"'
    return said({"data": {"items": part(start)}}, link=links)


def whole(_: Asked) -> Answer:
    return said({"data": {"items": ROWS}})


PAGED: dict[str, tuple[Callable[[Asked], Answer], dict[str, Any]]] = {
    "page": (by_page, {"paging": {"by": "page"}}),
    "offset": (by_offset, {"paging": {"by": "offset", "size": SIZE}}),
    "token": (by_token, {"paging": {"by": "token", "parameter": "cursor", "path": "meta.next"}}),
    "token by POST": (
        by_token,
        {"paging": {"by": "token", "parameter": "cursor", "path": "meta.next"}, "method": "POST", "body": {"a": 1}},
    ),
    "link": (by_link, {"paging": {"by": "link", "path": "next"}}),
    "header": (by_header, {"paging": {"by": "link"}}),
    "none": (whole, {}),
}


@pytest.mark.parametrize("paging", PAGED)
@pytest.mark.parametrize("slice_rows", [2, 100])
def test_every_row_comes_once_and_from_any_cursor_on(
    paging: str, slice_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_pages, "SLICE_ROWS", slice_rows)
    script, options = PAGED[paging]
    with scripted_server(script) as server:
        reading = reader(server, rows="data.items", **options)
        slices = slices_of(reading)
        assert rows_of(slices) == EXPECTED
        for place, one in enumerate(slices, 1):
            assert rows_of(slices_of(reading, one.cursor)) == rows_of(slices[place:])
        assert (reading.count(100), reading.count(2)) == (7, 2)
        assert all(asked.headers["authorization"] == "Bearer s3cret" for asked in server.asked)


def test_what_is_asked_has_the_values_of_parameters_and_nothing_leaves_its_place() -> None:
    with scripted_server(lambda _: said([])) as server:
        assert slices_of(reader(server, query={"state": ":state", "n": 1, "all": True, "x": "a:b"})) == []
        assert server.asked[0].path == "/v1/orders?state=paid+%26+sent&n=1&all=true&x=a%3Ab"
        slices_of(reader(server, method="POST", body={"f": {"least": ":least", "l": [":state"]}}))
        assert json.loads(server.asked[1].body) == {"f": {"least": 7, "l": ["paid & sent"]}}
        with pytest.raises(ValueError, match=r"there is no parameter leest; did you mean least"):
            reader(server, query={"a": ":leest"})


def test_columns_and_types_are_those_of_the_first_page() -> None:
    rows = [{"id": 1.50, "on": True}, {"id": 2.25, "day": "2026-12-01", "code": "007"}]
    with scripted_server(lambda _: said(rows)) as server:
        found = reader(server, columns=[]).describe()
        kinds = [("id", "number"), ("on", "boolean"), ("day", "date"), ("code", "string")]
        assert [(column.name, column.kind.value) for column in found] == kinds
        found = reader(server, columns=["code"], types={"code": "number"}).describe()
        assert [column.kind.value for column in found] == ["number"]
        with pytest.raises(SourceError, match=r"no row of the first page has cod; did you mean code"):
            reader(server, columns=["cod"]).describe()
        with pytest.raises(SourceError, match="set splits: 1"):
            reader(server).plan(2, 1)


@contextmanager
def failing(*answers: Answer, columns: Sequence[str] = COLUMNS, **options: Any) -> Iterator[Source]:
    with scripted_server(in_turn(*answers)) as server:
        yield reader(server, columns=columns, **options)


@pytest.mark.parametrize(
    ("answers", "options", "error", "text"),
    [
        ([Answer(401)], {}, SourceError, "api answers with status 401: its secret is refused"),
        ([Answer(404)], {}, SourceError, "api answers with status 404: there is nothing at this path"),
        ([Answer(500)], {}, SourceUnavailable, "api answers with status 500"),
        ([Answer(200, b"<html>")], {}, SourceError, "page 1 of api: The body is not JSON."),
        ([Answer(200, b'{"a": 1, "a": 2}')], {}, SourceError, "has the same name twice"),
        (
            [said({"items": []})],
            {"rows": "data"},
            SourceError,
            "has no array of rows at data; it has items",
        ),
        ([Answer(200, b"[" + b"{}," * 1_000_001 + b"{}]")], {}, SourceError, "page 1 of api has too many values"),
        ([said([1])], {}, SourceError, "page 1, row 1 of api is no object and no array"),
        ([said([{"id": 1, "name": {"x": 1}}])], {}, SourceError, "page 1, row 1 of api: name is an object or an array"),
        ([said([["1"]])], {}, SourceError, "page 1, row 1 of api: The row has 1 cells, the table 3 columns."),
        ([said([{"id": 1}])], {"paging": {"by": "page"}}, SourceError, "gives the same page again and again"),
        (
            [said({"d": [{"id": 1}], "t": "x"})],
            {"rows": "d", "paging": {"by": "token", "parameter": "t", "path": "t"}},
            SourceError,
            "lead back to one before",
        ),
        (
            [said({"d": [{"id": 1}], "t": [1]})],
            {"rows": "d", "paging": {"by": "token", "parameter": "t", "path": "t"}},
            SourceError,
            "names its next page by no text or number",
        ),
        (
            [said({"d": [], "n": "https://evil.example/"})],
            {"rows": "d", "paging": {"by": "link", "path": "n"}},
            SourceError,
            "gives a link that leads to another service than its own",
        ),
        ([Answer(429, b"", {"retry-after": "9999"})], {}, SourceUnavailable, "is to be asked again in 9999 s"),
        ([Answer(429, b"", {"retry-after": "0"})], {}, SourceUnavailable, "had us wait 5 times for one page"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_of_the_answer_is_quoted(
    answers: list[Answer], options: dict[str, Any], error: type[SourceError], text: str
) -> None:
    with failing(*answers, **options) as reading, pytest.raises(error) as failed:
        slices_of(reading)
    assert text in str(failed.value)
    assert "s3cret" not in str(failed.value)
    assert isinstance(failed.value, SourceUnavailable) is (error is SourceUnavailable)


@pytest.mark.parametrize("length", [2, 5])
def test_pages_that_lead_round_in_a_circle_end(length: int) -> None:
    def script(asked: Asked) -> Answer:
        at = int(given(asked).get("t", 0))
        return said({"d": [{"id": at}], "t": str((at + 1) % length or length)})

    with scripted_server(script) as server:
        paging = {"by": "token", "parameter": "t", "path": "t"}
        with pytest.raises(SourceError, match="lead back to one before"):
            slices_of(reader(server, columns=["id"], rows="d", paging=paging))
        assert len(server.asked) <= 4 * length + 4


def test_a_later_row_has_no_name_that_the_first_page_had_not_unless_columns_are_named() -> None:
    def script(asked: Asked) -> Answer:
        return said([[{"id": 1}], [{"id": 2, "more": 3}], []][int(given(asked)["page"]) - 1])

    with scripted_server(script) as server:
        assert rows_of(slices_of(reader(server, columns=["id"], paging={"by": "page"}))) == [("1",), ("2",)]
        rows = msgspec.convert({"type": "http", "connection": "api", "paging": {"by": "page"}}, HttpRows)
        where = HttpConnection(name="api", url=server.url, allow=("127.0.0.1/32",))
        service = HttpService(where, secret=lambda: Secret(""), folder=Path("/"))
        pinned = PagesReader(service, http_source_of(rows, {}), ["id"], connection="api", clock=FakeClock())
        with pytest.raises(SourceError, match="page 2, row 1 of api has more, which no row of the first page has"):
            slices_of(pinned)


def test_who_asks_too_often_waits_as_long_as_the_service_says() -> None:
    clock = FakeClock()
    later = format_datetime(datetime.fromtimestamp(clock.now() + 90, UTC))
    script = in_turn(
        Answer(429, b"", {"retry-after": "7"}),
        Answer(503, b"", {"retry-after": later}),
        Answer(429, b""),
        said(ROWS),
    )
    with scripted_server(script) as server:
        assert rows_of(slices_of(reader(server, clock))) == EXPECTED
    assert 7 + 83 + 5 <= sum(clock.slept) <= 7 + 84 + 5


def test_a_page_that_was_read_in_part_has_to_be_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_pages, "SLICE_ROWS", 4)
    for second, is_same in (
        (said(ROWS), True),
        (said([*ROWS, ROWS[0]]), False),
        (said(ROWS, etag='"2"'), False),
    ):
        with scripted_server(in_turn(said(ROWS), second)) as server:
            reading = reader(server)
            with reading.reading() as slices:
                cursor: Cursor = next(slices).cursor
            if is_same:
                assert rows_of(slices_of(reading, cursor)) == EXPECTED[4:]
            else:
                with pytest.raises(SourceError, match="that was read in part has changed since"):
                    slices_of(reading, cursor)


def test_a_reading_that_is_interrupted_ends_also_while_it_waits() -> None:
    class Impatient(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            reading.interrupt()

    clock = Impatient()
    with scripted_server(in_turn(Answer(429, b"", {"retry-after": "200"}))) as server:
        reading = reader(server, clock)
        for _ in range(2):
            with pytest.raises(SourceUnavailable, match="interrupted from here"):
                slices_of(reading)
        assert (len(clock.slept), len(server.asked)) == (1, 1)


def test_a_cursor_of_another_source_is_refused() -> None:
    with scripted_server(in_turn(said([]))) as server:
        for cursor in (("1",), (1, "", 0), (0, 1, 0, ""), (0, "", -2, "")):
            with pytest.raises(SourceError):
                slices_of(reader(server), cursor)
