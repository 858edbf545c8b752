"""A value that a column would round, cut or strip is found before the server does so."""

from __future__ import annotations

import pytest

from sluice.adapters.sinks.losses import losses_of, refuse_losses
from sluice.ports.sink import RowsRefused


def lost(kind: str, values: list[str | None], **more: int) -> tuple[int, ...]:
    refused: list[RowsRefused] = []
    try:
        refuse_losses(values, losses_of(kind, **more), "c")
    except RowsRefused as error:
        refused.append(error)
    assert {error.column for error in refused} <= {"c"}
    return refused[0].rows if refused else ()


DAY, TIME = "2026-01-02", "2026-01-02 03:04:05"


@pytest.mark.parametrize(
    ("kind", "kept", "cut"),
    [
        ("numeric(10,2)", ["1.25", "1.250", "-0.10", "125e-2", "NaN", "x", "", None], ["1.255", "1e-3", "-.001"]),
        ("decimal(10,2) unsigned", ["1.25"], ["1.255"]),
        ("numeric(5)", ["12", "12.0"], ["12.5"]),
        ("int(11)", ["12", "12.0", "x"], ["12.5"]),
        ("numeric", ["1.23456789012345678901234567890"], []),
        (
            "double precision",
            ["0.1", "1e300", "1.7976931348623157e308"],
            ["12345678901234567891", "0.12345678901234567"],
        ),
        ("date", [DAY, f"{DAY} 00:00:00", f"{DAY}T00:00", "infinity"], [f"{DAY} 00:00:01", f"{DAY} 00:00:00+08"]),
        ("timestamp without time zone", [f"{TIME}.123456", DAY], [f"{TIME}+00", f"{TIME}Z", f"{TIME}.1234567"]),
        ("timestamp(3) with time zone", [f"{TIME}.123+00", f"{TIME}.1230+00"], [f"{TIME}.1234+00"]),
        ("timestamp with time zone", [f"{TIME}.123456+00"], [f"{TIME}.1234567+00"]),
        ("character varying(3)", ["abc", "ab ", "abcd", "a  "], ["abc ", "ab  "]),
        ("text", ["x ", "1.5"], []),
        ("bytea", ["x "], []),
    ],
)
def test_what_is_lost_is_found(kind: str, kept: list[str | None], cut: list[str]) -> None:
    assert lost(kind, kept) == ()
    for value in cut:
        assert lost(kind, ["1", value, None]) == (1,), value


def test_a_column_of_hundreds_keeps_hundreds() -> None:
    assert lost("numeric(3,-2)", ["1200", "1250", "12e2", "1"]) == (1, 3)


def test_a_time_without_digits_of_seconds_keeps_as_many_as_its_server_gives_it() -> None:
    assert lost("datetime", ["2026-01-02 03:04:05.5", "2026-01-02 03:04:05.0"], time_digits=0) == (0,)
    assert lost("datetime(1)", ["2026-01-02 03:04:05.5"], time_digits=0) == ()
