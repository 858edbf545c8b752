"""Every encoding a CSV file can have gives back what was sent, or says what it cannot hold."""

from __future__ import annotations

import subprocess

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Tally, Warned
from sluice.tables.writers.csv.encodings import find_encoding
from sluice.tables.writers.csv.format import CSV
from tests.support.csv_files import (
    batches_of,
    check_rows_of,
    one,
    params_of,
    read_csv,
    strings,
    table_of,
    write_csv,
    write_values,
)
from tests.support.programs import has, why_not

AB = strings("a", "b")
SAMPLES = {
    "utf-8": ("utf-8-sig", "张伟 São 🎁 مرحبا"),
    "utf-16": ("utf-16", "张伟 São 🎁 مرحبا"),
    "utf-16le": ("utf-16", "张伟 São 🎁 مرحبا"),
    "utf-16be": ("utf-16", "张伟 São 🎁 مرحبا"),
    "gb18030": ("gb18030", "张伟 São 🎁 مرحبا €"),
    "gbk": ("cp936", "张伟 發票 ￥"),
    "big5": ("cp950", "發票 許功蓋 €"),
    "shift_jis": ("cp932", "請求書 髙橋 ① ㈱ ソ能表"),
    "euc-kr": ("cp949", "영수증 똠방각하 뷁"),
    "iso-8859-1": ("iso8859-1", "São Müller £¥"),
    **{f"windows-{page}": (f"cp{page}", "plain \u00a0") for page in range(1250, 1259)},
}
MARKS = {"utf-8": b"\xef\xbb\xbf", "utf-16": b"\xff\xfe", "utf-16le": b"\xff\xfe", "utf-16be": b"\xfe\xff"}
ALIASES = {
    "UTF-8": "utf-8",
    "utf8": "utf-8",
    "GBK": "gbk",
    "gb2312": "gbk",
    "Shift-JIS": "shift_jis",
    "EUC_KR": "euc-kr",
    "latin1": "iso-8859-1",
    "cp1252": "windows-1252",
}
NOT_OFFERED = ["", "utf-7", "utf-32", "utf-8-sig", "ebcdic", "idna", "rot13", "hz", "../utf-8", "utf\0", "windows-1259"]


@pytest.mark.parametrize("name", SAMPLES)
def test_text_comes_back_from_every_encoding(name: str) -> None:
    codec, text = SAMPLES[name]
    rows = [[text, f'"{text}", {text}'], [text, "x\r\ny"]]
    check_rows_of(rows, AB, csv_encoding=name)
    for delimiter in ",;\t|":
        data = write_csv(rows, AB, csv_encoding=name, csv_delimiter=delimiter).data
        assert read_csv(data, encoding=codec, delimiter=delimiter) == [["a", "b"], *rows]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("bom", [True, False])
def test_a_byte_order_mark_stands_where_it_means_something(name: str, *, bom: bool) -> None:
    data = write_csv([], AB, csv_encoding=name, csv_bom=bom).data
    mark = MARKS.get(name, b"") if bom or name == "utf-16" else b""
    codec = {"utf-16": "utf-16-le", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}.get(name, "ascii")
    assert data == mark + "a,b\r\n".encode(codec)


@pytest.mark.parametrize("header", [True, False])
def test_row_59_a_first_column_named_with_a_mark_gives_one_mark(*, header: bool) -> None:
    for bom in (True, False):
        for encoding in ("utf-8", "utf-16"):
            columns = strings("\ufeff\ufeffid", "\ufeffb")
            data = write_csv([("1", "2")], columns, csv_encoding=encoding, csv_bom=bom, header=header).data
            text = data.decode("utf-16" if encoding == "utf-16" else "utf-8-sig")
            assert text == ("id,\ufeffb\r\n1,2\r\n" if header else "1,2\r\n")


@pytest.mark.parametrize("bom", [True, False])
def test_row_59_a_first_cell_that_starts_with_a_mark_is_kept(*, bom: bool) -> None:
    rows = [["\ufeffx", "1"], ["\ufeffy", "2"]]
    data = write_csv(rows, AB, header=False, csv_bom=bom).data
    assert read_csv(data) == rows
    assert data.count(b"\xef\xbb\xbf") == 2 + bom


def test_names_of_encodings_are_read_in_any_case_and_by_their_common_aliases() -> None:
    for alias, name in ALIASES.items():
        encoding = find_encoding(alias)
        assert encoding is not None
        assert encoding.charset == name


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_another_encoding_is_refused(name: str) -> None:
    with pytest.raises(SluiceError) as caught:
        CSV.check_table(params_of(AB, csv_encoding=name), Limits())
    assert caught.value.code is ErrorCode.UNSUPPORTED_ENCODING
    assert caught.value.facts["field"] == "options.csv_encoding"


def test_a_character_the_encoding_lacks_is_refused_with_its_place() -> None:
    rows = [("ok", "ok"), ("ok", "100 €"), ("🎁", "ok")]
    with pytest.raises(SluiceError) as caught:
        check_rows_of(rows, AB, csv_encoding="iso-8859-1")
    assert caught.value.code is ErrorCode.INVALID_TEXT
    assert caught.value.facts == {"row": 3, "column": "a", "reason": "unencodable"}
    check_rows_of(rows, AB, csv_encoding="iso-8859-1", on_unencodable="replace")


def test_a_character_the_encoding_lacks_is_replaced_and_counted_by_cell() -> None:
    rows = [("ok", "100 €€"), ("🎁", "="), (None, "€ü")]
    written = write_csv(rows, AB, csv_encoding="iso-8859-1", on_unencodable="replace", header=False)
    assert written.data == b"ok,100 ??\r\n?,'=\r\n,?\xfc\r\n"
    assert written.tally.warnings == {Warned.CHARACTER_REPLACED: 3, Warned.FORMULA_GUARDED: 1}


def test_a_column_name_the_encoding_lacks_is_refused_or_replaced() -> None:
    columns = strings("a", "€")
    with pytest.raises(SluiceError) as caught:
        CSV.check_table(params_of(columns, csv_encoding="iso-8859-1"), Limits())
    assert caught.value.facts["field"] == "columns[1].name"
    CSV.check_table(params_of(columns, csv_encoding="iso-8859-1", header=False), Limits())
    CSV.check_table(params_of(columns, csv_encoding="iso-8859-1", on_unencodable="replace"), Limits())
    written = write_csv([], columns, csv_encoding="iso-8859-1", on_unencodable="replace")
    assert written.data == b"a,?\r\n"
    assert written.tally.warnings == {Warned.CHARACTER_REPLACED: 1}


@pytest.mark.parametrize("kind", [ColumnType.BOOLEAN, ColumnType.DATE])
def test_a_format_the_encoding_lacks_is_refused(kind: ColumnType) -> None:
    with pytest.raises(SluiceError) as caught:
        CSV.check_table(params_of(one(kind, "是/否"), csv_encoding="windows-1252"), Limits())
    assert caught.value.facts["field"] == "columns[1].format"


def test_a_delimiter_the_encoding_lacks_is_refused() -> None:
    with pytest.raises(SluiceError) as caught:
        CSV.check_table(params_of(AB, csv_encoding="gbk", csv_delimiter="🎁"), Limits())
    assert caught.value.facts["field"] == "options.csv_delimiter"


def test_chunks_that_another_format_took_fail_with_row_and_column_instead_of_changing() -> None:
    rows = [("1", "ok")] * 1_500 + [("1", "€")]
    table = table_of(rows, AB, csv_encoding="iso-8859-1")
    with pytest.raises(SluiceError) as caught:
        list(CSV.write(batches_of(rows, 2, 400), table, Tally()))
    assert caught.value.code is ErrorCode.INVALID_TEXT
    assert caught.value.facts == {"row": 1_501, "column": "b", "reason": "unencodable"}


@pytest.mark.parametrize("name", SAMPLES)
def test_no_character_is_written_as_another(name: str) -> None:
    """Some codecs write a similar character where they lack one; in the whole basic plane none may pass."""
    encoding = find_encoding(name)
    assert encoding is not None
    for first in range(0, 0x10000, 0x400):
        block = [chr(code) for code in range(first, first + 0x400) if not 0xD800 <= code < 0xE000]
        held = [character for character in block if encoding.holds(character)]
        data = encoding.encode("\n".join(held))
        assert data.decode(encoding.codec) == "\n".join(held)


@pytest.mark.parametrize(
    ("name", "bent"),
    [
        ("shift_jis", "\u301c\u2212\u2016¢£¬"),
        ("big5", "¢£¥\u2022\u203e"),
        ("gb18030", "\u1e3f\u9fb4\u9fbb\ue5e5\ue78d\ue864\ufe10\ufe19"),
    ],
)
def test_a_character_that_would_be_bent_is_refused_or_replaced(name: str, bent: str) -> None:
    for character in bent:
        with pytest.raises(SluiceError):
            check_rows_of([(character, "x")], AB, csv_encoding=name)
        written = write_csv([(character, "x")], AB, csv_encoding=name, on_unencodable="replace", header=False)
        assert written.data == b"?,x\r\n"
        assert written.tally.warnings == {Warned.CHARACTER_REPLACED: 1}


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16"])
def test_row_45_a_nul_is_refused_when_sent_and_when_written(encoding: str) -> None:
    rows = [("x", "ok"), ("y", "a\0b")]
    with pytest.raises(SluiceError) as caught:
        check_rows_of(rows, AB, csv_encoding=encoding, on_unencodable="replace")
    assert caught.value.code is ErrorCode.INVALID_TEXT
    assert caught.value.facts == {"row": 2, "column": "b", "reason": "nul"}
    table = table_of(rows * 1_000, AB, csv_encoding=encoding)
    with pytest.raises(SluiceError) as caught:
        list(CSV.write([Batch.of_rows(rows * 1_000, 2)], table, Tally()))
    assert caught.value.facts == {"row": 2, "column": "b", "reason": "nul"}


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(SluiceError) as caught:
        check_rows_of([("x", "ok"), ("\udc80", "ok")], AB)
    assert caught.value.code is ErrorCode.INVALID_TEXT
    assert (caught.value.facts["row"], caught.value.facts["column"]) == (2, "a")


def test_control_characters_other_than_nul_come_back() -> None:
    cells = [chr(code) for code in range(1, 0xA0)] + ["\u2028", "\ufffe", "\uffff"]
    assert write_values(ColumnType.STRING, *cells, formula_guard="off") == cells


@pytest.mark.skipif(not has("iconv"), reason=why_not("iconv"))
@pytest.mark.parametrize("name", ["gbk", "gb18030", "big5", "shift_jis", "euc-kr", "utf-16", "windows-1252"])
def test_iconv_reads_the_same_text(name: str) -> None:
    page = {"gbk": "CP936", "big5": "CP950", "shift_jis": "CP932", "euc-kr": "CP949"}.get(name, name.upper())
    text = SAMPLES[name][1].replace("€", "")
    data = write_csv([(text, "x")], AB, csv_encoding=name, header=False).data
    told = subprocess.run(["iconv", "-f", page, "-t", "UTF-8"], input=data, capture_output=True, check=True)
    assert told.stdout.decode() == f"{text},x\r\n"


def test_a_format_of_a_string_column_means_nothing() -> None:
    columns = (ColumnSpec("a", format="是"), ColumnSpec("b"))
    CSV.check_table(params_of(columns, csv_encoding="windows-1252"), Limits())
