"""Files and pipes are opened as tables: packed, in their encoding, with their columns."""

from __future__ import annotations

import codecs
import encodings
import gzip
import json
import pkgutil
import re
from pathlib import Path

import pytest
import typer

from sluice.cli.export.table_input import (
    InputOptions,
    TableInput,
    delimiter_by_name,
    kind_by_name,
    open_table,
)
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.tables.readers.kinds import TableKind


def params_of(table: TableInput) -> ExportParams:
    return ExportParams(
        format=ExportFormat.CSV, filename="out.csv", columns=tuple(ColumnSpec(name) for name in table.columns)
    )


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(path: Path, *, encoding: str = "utf-8") -> list[tuple[str | None, ...]]:
    chosen = InputOptions(delimiter=delimiter_by_name(path), encoding=encoding, otherwise=kind_by_name(path))
    with open_table(path, chosen) as table:
        return [
            table.columns,
            *(row for read in table.batches(params_of(table), Limits()) for row in read.batch.to_rows()),
        ]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", b"\xef\xbb\xbfid\n1\n")) == [("id",), ("1",)]
    assert read(write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"id": 1}')) == [("id",), ("1",)]


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tsv.gz", gzip.compress(b"a\tb\n1\t2\n"))) == [("a", "b"), ("1", "2")]
    assert read(write(tmp_path / "a.ndjson.gz", gzip.compress(json.dumps({"a": 1}).encode()))) == [("a",), ("1",)]


def test_the_encoding_is_the_one_that_is_named(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "姓名\n张三\n".encode("gbk")), encoding="gbk") == [("姓名",), ("张三",)]


@pytest.mark.parametrize("encoding", sorted({module.name for module in pkgutil.iter_modules(encodings.__path__)}))
def test_every_encoding_of_python_is_read_or_is_wrong_usage(tmp_path: Path, encoding: str) -> None:
    try:
        data = "a,b\n1,2\n".encode(encoding)
        is_of_texts = encoding not in {"idna", "punycode"}  # of names, whose codecs go on behind no mistake
    except (LookupError, UnicodeError):
        data, is_of_texts = b"", False
    path = write(tmp_path / "a.csv", data)
    if not is_of_texts:
        with pytest.raises(typer.BadParameter, match=encoding):
            read(path, encoding=encoding)
        return
    assert read(path, encoding=encoding) == [("a", "b"), ("1", "2")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "UTF16", "u32"])
def test_text_without_the_mark_that_its_encoding_needs_is_refused(tmp_path: Path, encoding: str) -> None:
    width = 2 if "16" in encoding else 4
    for data in (b"a,b\n1,2\n", b"a" * width, b"\xff" * (width + 1), b"\xff"):
        with pytest.raises(SluiceError, match=r"is not text in UTF-.*--encoding") as caught:
            read(write(tmp_path / "a.csv", data), encoding=encoding)
        assert caught.value.code is ErrorCode.INVALID_TEXT
    marked = "a,b\n1,2\n".encode(encoding)[:-1]
    with pytest.raises(SluiceError, match="is not text in UTF-") as caught:
        read(write(tmp_path / "a.csv", marked), encoding=encoding)
    assert caught.value.code is ErrorCode.INVALID_TEXT


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_the_encoding_that_a_refusal_names_reads_the_text(tmp_path: Path, mark: bytes, codec: str) -> None:
    path = write(tmp_path / "a.csv", mark + "a,b\n1,中\n".encode(codec))
    with pytest.raises(SluiceError, match="--encoding") as caught:
        read(path)
    named = re.search(r"text in (\S+),", str(caught.value))
    assert named is not None
    assert read(path, encoding=named[1]) == [("a", "b"), ("1", "中")]


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SluiceError, match="--encoding") as caught:
        read(write(tmp_path / "a.csv", "姓名\n张三\n".encode("gbk")))
    assert caught.value.code is ErrorCode.INVALID_TEXT


def test_an_encoding_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="utf-7000"):
        read(write(tmp_path / "a.csv", b"a\n"), encoding="utf-7000")


def test_the_position_grows_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a\n" + b"12345678\n" * 30_000)
    with open_table(path, InputOptions(TableKind.CSV)) as table:
        positions = [table.position() for _ in table.batches(params_of(table), Limits())]
    assert positions == sorted(positions)
    assert positions[-1] == table.size == path.stat().st_size


def test_packed_data_that_is_cut_short_or_is_none_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"a\n" + b"1\n" * 1_000)
    with pytest.raises(SluiceError, match="cut short") as caught:
        read(write(tmp_path / "a.csv.gz", packed[:-4]))
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    with pytest.raises(SluiceError, match="not gzip") as caught:
        read(write(tmp_path / "b.csv.gz", b"a\n1\n"))
    assert caught.value.code is ErrorCode.UNSUPPORTED_ENCODING


@pytest.mark.parametrize("encoding", ["hex", "undefined", "rot13"])
def test_a_codec_that_is_none_of_texts_is_wrong_usage(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(typer.BadParameter, match=encoding):
        read(write(tmp_path / "a.csv", b"a\n"), encoding=encoding)


def test_given_names_are_the_columns_of_an_input_without_a_header(tmp_path: Path) -> None:
    for name, data in (("a.csv", b"1,2\n"), ("a.ndjson", b"[1,2]")):
        options = InputOptions(kind_by_name(Path(name)), columns=("x", "y"))
        with open_table(write(tmp_path / name, data), options) as table:
            assert table.columns == ("x", "y")
            assert [item.batch.to_rows() for item in table.batches(params_of(table), Limits())] == [[("1", "2")]]
