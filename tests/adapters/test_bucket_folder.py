"""Objects of a bucket are files: found by pattern, read from any place on, and never in two states."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest

from sluice.adapters.s3 import files
from sluice.adapters.s3.bucket import S3Place
from sluice.app.definitions import load_definitions
from sluice.domain.dataset import DefinitionsError
from sluice.domain.file_source import CsvRows
from sluice.ports.source import SourceError, SourceUnavailable
from tests.support.s3_server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, Refuse, S3Fault, S3Server, serving_s3
from tests.support.s3_stores import CREDENTIALS
from tests.support.source_rows import rows_of, slices_of

ROWS = [(str(number), f"名 {number}") for number in range(3_000)]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serving_s3() as running:
        yield running


class World:
    def __init__(self, s3: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s3, self.folder = s3, folder
        bucket = s3.add_bucket()
        self.store: Any = S3Place(url=f"s3://{bucket}/in", endpoint=s3.url, region=REGION).open(
            credentials={"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
        )
        monkeypatch.setenv("SLUICE_SECRET_LAKE", SECRET_ACCESS_KEY)
        self.written = f"type: bucket, url: 's3://{bucket}/in', region: {REGION}, endpoint: '{s3.url}'"
        (folder / "connections").mkdir()
        self.connect()

    def connect(self, more: str = f"access_key_id: {ACCESS_KEY_ID}, secret: '${{secret:lake}}'") -> None:
        (self.folder / "connections" / "lake.yaml").write_text(f"{{name: lake, {self.written}, {more}}}")

    def put(self, name: str, rows: list[tuple[str, str]]) -> None:
        text = "id,name\n" + "".join(f"{number},{name}\n" for number, name in rows)
        obstore.put(self.store, name, text.encode())


@pytest.fixture
def world(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    return World(s3, tmp_path, monkeypatch)


def test_objects_are_read_in_the_order_of_their_names_and_from_any_cursor_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "READ_BYTES", 5_000)
    for name, rows in (("a/2 ü.csv", ROWS), ("a/1.csv", ROWS[:2]), ("a/b/3.csv", ROWS), ("4.csv", ROWS)):
        world.put(name, rows)
    world.put("a/.5.csv", ROWS)
    found = load_definitions(world.folder)
    pinned = found.pinned(CsvRows(connection="lake", path="a/*.csv"))
    assert [file.name for file in pinned.files] == ["a/1.csv", "a/2 ü.csv"]
    assert len(found.pinned(CsvRows(connection="lake", path="4.csv")).files) == 1
    reading = found.files("lake", pinned)
    slices = slices_of(reading)
    assert rows_of(slices) == ROWS[:2] + ROWS
    assert len(slices) > 2
    for place, part in enumerate(slices, 1):
        assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])


def test_an_object_that_is_replaced_or_gone_is_named_also_while_it_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "READ_BYTES", 5_000)
    many = ROWS * 10
    world.put("a.csv", many)
    found = load_definitions(world.folder)
    reading = found.files("lake", found.pinned(CsvRows(connection="lake", path="*.csv")))
    with reading.reading() as slices:
        next(slices)
        world.put("a.csv", [(number, name.replace("名", "各")) for number, name in many])
        with pytest.raises(SourceError, match=r"a.csv of lake has changed since the run was planned"):
            list(slices)
    with pytest.raises(SourceError, match=r"a.csv of lake has changed since the run was planned"):
        slices_of(reading)
    obstore.delete(world.store, "a.csv")
    with pytest.raises(SourceError, match=r"there is no a.csv of lake"):
        slices_of(reading)


def test_who_asks_is_said_by_the_connection_and_its_secret_is_in_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("a.csv", ROWS)
    monkeypatch.setenv("SLUICE_SECRET_LAKE", "wr0ng")
    rows = CsvRows(connection="lake", path="a.csv")
    with pytest.raises(SourceError, match="secret is wrong") as refused:
        load_definitions(world.folder).pinned(rows)
    assert "wr0ng" not in str(refused.value)
    assert not isinstance(refused.value, SourceUnavailable)
    world.connect("access_key_id: x")
    with pytest.raises(DefinitionsError, match="access_key_id: goes with a secret"):
        load_definitions(world.folder)
    world.connect("access_key_id: x, secret: hidden")
    with pytest.raises(DefinitionsError, match="stands in the file itself") as refused_file:
        load_definitions(world.folder)
    assert "hidden" not in str(refused_file.value)


def test_a_store_that_is_away_is_away_and_no_error_of_the_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_REPEATS", 0)
    world.put("a.csv", ROWS)
    world.s3.faults.add(S3Fault(Refuse(), method="GET"))
    with pytest.raises(SourceUnavailable):
        load_definitions(world.folder).pinned(CsvRows(connection="lake", path="*.csv"))
