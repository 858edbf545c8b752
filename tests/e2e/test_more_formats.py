"""JSON Lines and Parquet through both faces, rendered again, and by the command line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.command_line import sluice
from tests.support.either_face import FACES, BothApis, EitherApi, Wish, both_faces, granted, refused
from tests.support.format_files import read_parquet
from tests.support.http_client import http_relay

ROWS = [["1", "张伟"], ["202300000000000001", 'say "hi"']]
LINES = '{"id":1,"name":"张伟"}\n{"id":"202300000000000001","name":"say \\"hi\\""}\n'
TABLE = [("1", "张伟"), ("202300000000000001", 'say "hi"')]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothApis]:
    with both_faces(tmp_path_factory.mktemp("service")) as running:
        yield running


def composed(faces: BothApis, face: EitherApi, task_id: str) -> bytes:
    faces.memory.invoker.join()
    assert granted(face.status(task_id)) == "completed"
    return faces.memory.file(task_id)


@pytest.mark.parametrize("name", FACES)
def test_each_face_opens_and_renders_the_new_formats(faces: BothApis, name: str, tmp_path: Path) -> None:
    face = faces.face(name)
    task_id = granted(face.open(Wish(kind="jsonl")))
    granted(face.put(task_id, 1, ROWS))
    granted(face.close(task_id))
    assert composed(faces, face, task_id).decode() == LINES
    again = granted(face.render(task_id, "parquet"))
    assert read_parquet(composed(faces, face, again), tmp_path).rows == TABLE
    back = granted(face.render(again, "jsonl"))
    assert composed(faces, face, back).decode() == LINES


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_each_face_refuses_two_columns_of_one_name(faces: BothApis, name: str, kind: str) -> None:
    twice = (("id", "number"), ("id", "string"))
    said = refused(faces.face(name).open(Wish(kind=kind, columns=twice)))
    assert (said.code, said.facts) == ("INVALID_REQUEST", {"field": "columns[1].name"})


def test_the_file_has_its_name_and_its_media_type_and_a_value_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    columns = [{"name": "id", "type": "number", "format": "0"}, {"name": "amount", "type": "number", "format": "0.00"}]
    with http_relay(tmp_path) as relay:
        client = relay.client()
        made = client.open(format="parquet", filename="orders.csv", columns=columns)
        refusal = client.put_rows(made, 1, [[1, 0.5], [2, 0.125]]).json()
        assert (refusal["code"], refusal["reason"], refusal["row"]) == ("INVALID_VALUE", "decimals", 2)
        assert client.put_rows(made, 1, [[1, 0.5], [2, None]]).status_code == 200
        task = client.finish(made)
        assert (task["state"], task["format"], task["filename"]) == ("completed", "parquet", "orders.parquet")
        answer = client.get(f"/v1/exports/{made}/file", follow_redirects=True)
        assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
        assert 'filename="orders.parquet"' in answer.headers["Content-Disposition"]
        assert read_parquet(answer.content, tmp_path).rows == [(1, Decimal("0.50")), (2, None)]
        packed = client.open(format="jsonl", options={"compression_enabled": True})
        assert client.put_rows(packed, 1, [[1, "x"]]).status_code == 200
        assert client.finish(packed)["filename"] == "orders.jsonl.gz"
        answer = client.get(f"/v1/exports/{packed}/file", follow_redirects=True)
        assert answer.headers["Content-Type"] == "application/gzip"
        assert gzip.decompress(answer.content) == b'{"id":1,"name":"x"}\n'


def test_the_command_line_tells_the_format_by_the_name(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text('id,name,paid\n1,张伟,yes\n2,"say ""hi""",\n', encoding="utf-8")
    types = "id=number:0,paid=boolean"
    sluice("export", source, "-o", tmp_path / "rows.jsonl", "--types", types)
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in lines.splitlines()] == [
        {"id": 1, "name": "张伟", "paid": True},
        {"id": 2, "name": 'say "hi"', "paid": None},
    ]
    sluice("export", source, "-o", tmp_path / "rows.jsonl.gz", "--types", types)
    assert gzip.decompress((tmp_path / "rows.jsonl.gz").read_bytes()).decode() == lines
    sluice("export", source, "-o", tmp_path / "rows.parquet", "--types", types)
    found = read_parquet((tmp_path / "rows.parquet").read_bytes(), tmp_path)
    assert found.rows == [(1, "张伟", True), (2, 'say "hi"', None)]
    sluice("export", tmp_path / "rows.jsonl", "-o", tmp_path / "again.jsonl", "--types", types)
    assert (tmp_path / "again.jsonl").read_text(encoding="utf-8") == lines
    told = sluice("export", source, "-o", tmp_path / "rows.pdf", exit_code=2).stderr
    assert ".jsonl.gz" in told
    assert ".parquet" in told
