"""A tenant's share of composers is counted in composers at work, and not in rows that have none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.domain.attempts import LEASES_AHEAD_MAX
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.limits import Limits, Timings
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

SHARE = 3
TIMINGS = Timings()


def sealed(ports: Ports, name: str) -> ManifestRef:
    params = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.JSONL, filename=name)
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([(name,)], 1))
    return ManifestRef(ref, close_export(ports, ref, CloseRequest(batches=1)).man_sha)


def composing(ports: Ports, name: str, *, lease_until: float) -> TaskRef:
    """A task whose row shows a composer; its fourth death at this place was not seen."""
    ref = sealed(ports, name).task
    fields = {
        "state": State.COMPOSING,
        "epoch": 4,
        "lease_until": lease_until,
        "deaths": 3,
        "died_at": "0 rows, 0 parts",
    }
    assert ports.tasks.update(ref, Guard(state=State.SEALED), fields)  # type: ignore[arg-type]  # columns of a row
    return ref


@pytest.mark.parametrize(
    ("lapsed_s", "expected"),
    [
        (-TIMINGS.lease_s, Outcome.POSTPONED),
        (TIMINGS.skew_s - 1, Outcome.POSTPONED),
        (TIMINGS.skew_s + 1, Outcome.COMPLETED),
        (TIMINGS.skew_s + 3_600, Outcome.COMPLETED),
        (-(LEASES_AHEAD_MAX * (TIMINGS.lease_s + TIMINGS.skew_s) + 1), Outcome.COMPLETED),
    ],
)
def test_rows_whose_leases_have_lapsed_take_no_place_of_their_tenant(lapsed_s: float, expected: Outcome) -> None:
    clock = FakeClock()
    ports = replace(memory_ports(clock), limits=Limits(tenant_composing_max=SHARE))
    for number in range(SHARE):
        composing(ports, f"resting {number}", lease_until=clock.now() - lapsed_s)
    assert compose_export(ports, sealed(ports, "other")) is expected


def test_what_is_taken_over_keeps_within_the_share_too() -> None:
    clock = FakeClock()
    ports = replace(memory_ports(clock), limits=Limits(tenant_composing_max=SHARE))
    lapsed = composing(ports, "lapsed", lease_until=1)
    trigger = ManifestRef(lapsed, ports.tasks.read(lapsed).man_sha)  # type: ignore[union-attr]  # it is there
    for number in range(SHARE):
        composing(ports, f"at work {number}", lease_until=clock.now() + 1)
    assert compose_export(ports, trigger) is Outcome.POSTPONED
    clock.advance(TIMINGS.skew_s + 2)
    assert compose_export(ports, trigger) is Outcome.COMPLETED
