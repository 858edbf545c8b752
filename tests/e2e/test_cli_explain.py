"""`sluice explain` knows every code, and what somebody meant who misspelt one."""

from __future__ import annotations

import json

import pytest

from sluice.domain.errors import MEANINGS, ErrorCode
from tests.support.command_line import sluice


def test_the_table_has_every_code_with_its_meaning() -> None:
    lines = sluice("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [code.value for code in ErrorCode]
    for line, code in zip(lines[1:], ErrorCode, strict=True):
        assert line.endswith(MEANINGS[code].sentence)


def test_machines_get_the_same_as_json() -> None:
    every = json.loads(sluice("explain", "--json").stdout)
    assert [(one["code"], one["who"], one["retryable"]) for one in every] == [
        (code.value, meaning.who.value, meaning.retryable) for code, meaning in MEANINGS.items()
    ]


@pytest.mark.parametrize("text", ["BATCH_CONFLICT", "batch_conflict", "batch-conflict"])
def test_a_code_is_explained_however_it_is_written(text: str) -> None:
    out = sluice("explain", text).stdout
    assert out.startswith("BATCH_CONFLICT: This sequence is taken by a batch with other rows")
    for fact in ("client", "ALREADY_EXISTS", "409", "no"):
        assert fact in out.split()


def test_a_misspelt_code_is_wrong_usage_and_the_right_one_is_named() -> None:
    assert "Did you mean BATCH_CONFLICT?" in sluice("explain", "BATCH_CONFLIT", exit_code=2).stderr


def test_nonsense_is_wrong_usage() -> None:
    assert "sluice explain lists all codes" in sluice("explain", "qqqq", exit_code=2).stderr
