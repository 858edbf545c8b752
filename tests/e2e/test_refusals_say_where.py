"""What a refusal of a value says on both faces: the batch, the row, the column, what is accepted, and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.proto import export_pb2 as pb
from tests.support.command_line import sluice
from tests.support.either_face import FACES, Wish, both_faces, granted, refused
from tests.support.grpc_client import opening, sending, serving_client
from tests.support.http_client import http_relay
from tests.support.memory_service import MemoryService

ROWS = [["1", "x"], ["twelve", "SECRET"]]


@pytest.mark.parametrize("face", FACES)
def test_a_value_is_refused_with_batch_row_column_forms_and_option(tmp_path: Path, face: str) -> None:
    with both_faces(tmp_path) as apis:
        api = apis.face(face)
        refusal = refused(api.put(granted(api.open()), 7, ROWS))
    assert refusal.facts == {"batch": 7, "row": 2, "column": "id", "column_type": "number"}
    forms, option = "a number such as 12.50", 'on_invalid: "text" keeps such a value as text'
    for part in ("Row 2 (batch 7)", 'column "id"', forms, option):
        assert part in refusal.sentence
    assert refusal.said.count(forms) >= 2  # in the sentence, and among the facts
    assert "twelve" not in refusal.said
    assert "SECRET" not in refusal.said


@pytest.mark.parametrize("face", FACES)
def test_a_row_of_another_width_says_both_widths(tmp_path: Path, face: str) -> None:
    with both_faces(tmp_path) as apis:
        api = apis.face(face)
        refusal = refused(api.put(granted(api.open()), 3, [["1", "x"], ["2"]]))
    assert refusal.facts == {"batch": 3, "row": 2, "cells": 1, "columns": 2}
    assert refusal.sentence == "Row 2 (batch 3): The row has 1 cells, the table 2 columns."


def test_a_text_too_long_for_a_cell_names_its_option(tmp_path: Path) -> None:
    with both_faces(tmp_path) as apis:
        api = apis.face("http")
        refusal = refused(api.put(granted(api.open(Wish(kind="xlsx"))), 1, [["1", "x" * 40_000]]))
    assert (refusal.code, refusal.facts["column"]) == ("CELL_TOO_LONG", "name")
    assert 'on_too_long: "cut"' in refusal.sentence


def test_a_table_in_one_call_says_the_row_of_the_table_and_of_the_batch(tmp_path: Path) -> None:
    body = b"id,name\n" + b"1,x\n" * 2_500 + b"x,y\n"
    with http_relay(tmp_path) as relay:
        answer = relay.client().post(
            "/v1/exports/stream?format=csv&columns=id:number,name", content=body, headers={"Content-Type": "text/csv"}
        )
    problem = answer.json()
    assert {name: problem[name] for name in ("row", "line", "batch", "batch_row")} == {
        "row": 2_501,
        "line": 2_502,
        "batch": 3,
        "batch_row": 501,
    }
    assert problem["detail"].startswith('Row 2501 (line 2502; row 501 of batch 3), column "id": ')


def test_a_stream_of_messages_says_which_of_them(tmp_path: Path) -> None:
    with serving_client(MemoryService(tmp_path)) as client:
        metadata = opening("id", "name")
        metadata.metadata.columns[0].data_type = pb.DATA_TYPE_NUMBER
        outcome = client.export([metadata, sending([["1", "x"]]), sending([["1", "x"], ["nine", "y"]])])
    assert outcome.refusal is not None
    assert outcome.refusal.facts == {"batch": 2, "row": 2, "column": "id", "column_type": "number"}
    assert outcome.last.error_message.startswith('Row 2 (batch 2), column "id": ')


def test_explain_names_the_forms_and_the_option() -> None:
    said = sluice("explain", "INVALID_VALUE").stdout
    for part in ("on_invalid", "2025-03-14", "yes/no"):
        assert part in said
