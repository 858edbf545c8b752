"""What declares more than a task may have is refused by its count, before anything is made of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError
from starlette.requests import Request

from sluice.api.grpc.requests import (
    DEFINITION_BYTES_MAX,
    parse_definition,
    parse_export_request,
    read_params,
    read_totals,
)
from sluice.api.http.bodies.body import media_of
from sluice.api.http.bodies.models import read_open
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import MIB, Limits
from sluice.proto import export_pb2 as pb
from sluice.tables.values.booleans import boolean_words

LIMITS = Limits()
MANY = 1_000_000
BODIES = {
    "names": b'{"format":"csv","columns":[' + b'"",' * MANY + b'""]}',
    "objects": b'{"format":"csv","columns":[' + b"{}," * MANY + b"{}]}",
    "columns of sheets": b'{"format":"xlsx","sheets":[{"name":"a","columns":[' + b'"",' * MANY + b'""]}]}',
}
SHEETS = b'{"format":"xlsx","sheets":[' + b"{}," * MANY + b"{}]}"


def refusal(work: Callable[[], object]) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        work()
    return caught.value


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_columns_of_a_json_body_are_counted_before_they_are_made(body: bytes) -> None:
    error = refusal(lambda: read_open(body, LIMITS))
    assert error.code is ErrorCode.TOO_MANY_COLUMNS
    assert error.facts == {"columns": MANY + 1, "columns_max": LIMITS.all_columns_max}


def test_sheets_of_a_json_body_are_counted_before_they_are_made() -> None:
    error = refusal(lambda: read_open(SHEETS, LIMITS))
    assert (error.code, error.facts["field"]) == (ErrorCode.INVALID_REQUEST, "sheets")


def test_a_refused_body_of_columns_takes_the_memory_of_its_list_alone() -> None:
    """A column that was made takes 100 bytes and more, and there were two for each."""
    assert peak_of(lambda: refusal(lambda: read_open(BODIES["names"], LIMITS))) < 40 * MIB


def test_columns_of_a_message_are_counted_before_they_are_made() -> None:
    columns = [pb.ColumnDefinition()] * 70_000
    error = refusal(lambda: read_params(pb.ExportMetadata(columns=columns), LIMITS))
    assert error.facts == {"columns": 70_000, "columns_max": LIMITS.all_columns_max}
    sheets = [pb.SheetDefinition(columns=columns[:40_000])] * 2
    error = refusal(lambda: read_params(pb.ExportMetadata(sheets=sheets), LIMITS))
    assert error.facts == {"columns": 80_000, "columns_max": LIMITS.all_columns_max}


def test_totals_of_more_sheets_than_there_can_be_are_refused_by_their_count() -> None:
    totals = pb.CloseTotals(sheet_records={str(number): 1 for number in range(LIMITS.sheets_max + 1)})
    assert refusal(lambda: read_totals(totals, LIMITS)).facts["field"] == "sheets"


@pytest.mark.parametrize("field", [1, 3, 15])
@pytest.mark.parametrize("before", [b"", b"\x12\x00", b"\x0a\x00" * 3])
def test_a_long_message_without_rows_is_not_parsed(field: int, before: bytes) -> None:
    content = b"\x2a\x00" * (DEFINITION_BYTES_MAX // 2 + 1)  # columns without a name, in a definition
    size = len(content)
    length = bytes((size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21))
    message = before + bytes((field << 3 | 2,)) + length + content
    for parse in (parse_export_request, parse_definition(pb.ExportMetadata)):
        assert peak_of(lambda parse=parse: refusal(lambda: parse(message))) < MIB  # type: ignore[misc]
        assert refusal(lambda parse=parse: parse(message)).code is ErrorCode.INVALID_REQUEST  # type: ignore[misc]


def test_a_message_of_very_many_fields_is_not_parsed() -> None:
    assert refusal(lambda: parse_export_request(b"\x0a\x00" * MIB * 2)).code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("broken", [b"\xff" * (3 * MIB), b"\x12" + b"\xff" * (3 * MIB), b"\x12\x80" * (2 * MIB)])
def test_a_long_message_that_is_none_is_refused_all_the_same(broken: bytes) -> None:
    with pytest.raises((SluiceError, DecodeError)):
        parse_export_request(broken)


def test_a_long_batch_is_parsed() -> None:
    rows = [pb.Record(values=["x" * 1_000])] * 3_000
    message = pb.ExportRequest(batch=pb.DataBatch(records=rows)).SerializeToString()
    assert len(message) > DEFINITION_BYTES_MAX
    assert len(parse_export_request(message).batch.records) == 3_000


def test_pairs_of_words_are_not_kept_for_ever() -> None:
    for number in range(1_000):
        assert boolean_words(f"yes{number}/no").read(f"YES{number}") is True
    assert boolean_words.cache_info().currsize <= 256


def test_a_long_content_type_is_refused_before_it_is_divided() -> None:
    """To divide 15 KB of it took seconds, in which no other caller had an answer."""
    headers = [(b"content-type", b'text/csv;a="' + b'";"' * 30_000)]
    request = Request({"type": "http", "headers": headers})
    assert refusal(lambda: media_of(request, allowed=("text/csv",))).code is ErrorCode.UNSUPPORTED_ENCODING
