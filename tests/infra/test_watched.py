"""Alerts, charts and the index, run over the lines that the code really writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.provision.template import build_template, build_watch_template
from sluice.app.telemetry.log_lines import JournalLines
from sluice.domain.attempts import COMPOSE
from sluice.domain.errors import MEANINGS, Actor, ErrorCode
from sluice.domain.events import Event, Level
from sluice.domain.keys import input_folder
from sluice.ports.bundle import Ports
from sluice.ports.log_context import bound_context
from sluice.ports.store_errors import OutcomeUnknown
from sluice.usecases import lease
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.infra.cloud_recorder import CloudRecorder, RecordedTasks
from tests.infra.log_queries import Row, fires, flatten, indexed_fields, names_in, run_query, values_in
from tests.infra.role_days import PARAMS, TENANT, sealed_task, trigger_of

RUNBOOK = Path(__file__).parents[2] / "infra" / "runbooks" / "on-call.md"
REQUEST: Row = {"memoryUsageMB": 90.0, "memoryMB": 1024.0, "functionName": "sluice-dev-compose", "durationMs": 5.0}
"""What Function Compute notes of a quiet request."""


def fields() -> dict[str, str]:
    return indexed_fields(build_template()["Resources"]["LogIndex"]["Properties"]["KeyIndices"])


def alerts() -> dict[str, dict[str, Any]]:
    resources = build_watch_template()["Resources"]
    return {
        name.removeprefix("Alert"): item["Properties"]["Detail"]
        for name, item in resources.items()
        if item["Type"] == "ALIYUN::SLS::Alert"
    }


def query_of(name: str) -> str:
    [query] = alerts()[name]["Configuration"]["QueryList"]
    return str(query["Query"])


def charts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = build_watch_template()["Resources"]["Dashboard"]["Properties"]["Charts"]
    return found


def queries() -> dict[str, str]:
    return {name: query_of(name) for name in alerts()} | {
        chart["display"]["displayName"]: chart["search"]["query"] for chart in charts()
    }


class FailingReads(RecordedTasks):
    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name != "read":
            return super().__getattr__(name)

        def fail(*_arguments: Any) -> Any:
            raise OutcomeUnknown("the store went away")

        return fail


@cache
def lines() -> tuple[str, ...]:
    """What the functions log at their usual level in a life with one of each mishap."""
    written: list[str] = []
    world = CloudRecorder()
    ports = world.ports(journal=JournalLines(written.append, clock=world.clock, level=Level.INFO))
    with bound_context(session_id="s", trace_id="t", request_id="r"):
        done, lost, unheard = (sealed_task(ports, name) for name in ("done", "lost", "unheard"))
        compose_export(ports, trigger_of(ports, done))
        compose_export(ports, trigger_of(ports, done))
        chunks = [item.key for item in ports.objects.list(input_folder(lost.ref)) if "/c/" in item.key]
        ports.objects.delete(chunks)
        compose_export(ports, trigger_of(ports, lost))
        open_export(ports, TENANT, OpenRequest(PARAMS))
    _die_in_the_middle(ports, unheard)
    world.clock.advance(ports.timings.trigger_grace_s + 24 * 3600 + 1)
    broken = world.ports(journal=ports.journal)
    object.__setattr__(broken, "tasks", FailingReads(world.memory_tasks, set()))
    sweep_tasks(broken)
    sweep_tasks(ports)
    row = ports.tasks.read(done.ref)
    assert row is not None
    ports.objects.delete([row.result_key])
    reconcile_stores(ports)
    return tuple(written)


def _die_in_the_middle(ports: Ports, task: Any) -> None:
    """A composer takes a task and is heard of no more; another task waits for a bell that nobody hears."""
    held = ports.tasks.read(task.ref)
    assert held is not None
    assert lease.acquire(ports, COMPOSE, held) is not None
    sealed_task(ports, "nobody rang")


def rows() -> list[Row]:
    return [flatten(line) for line in lines()]


def test_every_key_of_the_index_is_in_a_line_and_has_its_type() -> None:
    types: dict[str, tuple[type, ...]] = {"text": (str,), "long": (int,), "double": (int, float)}
    for field, kind in fields().items():
        if field.startswith("message."):
            values = [row[field] for row in rows() if row.get(field) is not None]
            assert values, f"no line has {field}"
            assert all(isinstance(value, types[kind]) for value in values), field


def test_every_key_of_a_line_can_be_searched() -> None:
    top = {field.split(".")[1] for row in rows() for field in row} - {"fields", "error"}
    assert {f"message.{name}" for name in top} <= fields().keys()


@pytest.mark.parametrize("name", sorted(queries()))
def test_a_query_names_only_what_there_is(name: str) -> None:
    query = queries()[name]
    assert names_in(query) <= fields().keys()
    assert values_in(query, "message.event") <= {event.value for event in Event}
    assert values_in(query, "message.error.code") <= {code.value for code in ErrorCode}
    assert values_in(query, "message.level") <= {level.name for level in Level}


@pytest.mark.parametrize("name", sorted(queries()))
def test_a_query_can_be_run(name: str) -> None:
    run_query(queries()[name], rows(), fields())


def test_a_query_with_a_wrong_column_cannot_be_run() -> None:
    with pytest.raises(duckdb.Error):
        run_query('message.event: TaskFailed | SELECT max("message.nothing") AS x', rows(), fields())


@pytest.mark.parametrize("chart", charts(), ids=lambda chart: str(chart["display"]["displayName"]))
def test_a_chart_s_axes_are_columns_of_its_query(chart: dict[str, Any]) -> None:
    columns = set(re.findall(r" AS (\w+)", chart["search"]["query"]))
    axes = {axis for side in ("xAxis", "yAxis") for axis in chart["display"].get(side, [])}
    assert axes <= columns
    assert axes or chart["type"] == "table"


def test_charts_do_not_lie_on_one_another() -> None:
    places = [(chart["display"]["xPos"], chart["display"]["yPos"]) for chart in charts()]
    assert len(set(places)) == len(places)


FAILED_BY_US: Row = {"message.event": "TaskFailed", "message.error.code": "ATTEMPTS_EXHAUSTED"}
SWEPT: Row = {"message.event": "SweepFinished"}
TROUBLES: dict[str, list[Row]] = {
    "SweeperSilent": [REQUEST],
    "IntegrityBroken": [SWEPT, {"message.event": "TaskFailed", "message.error.code": "CHUNK_CORRUPT"}],
    "ExportsFailing": [SWEPT, FAILED_BY_US],
    "ExportsSlow": [SWEPT, *[{"message.event": "TaskCompleted", "message.duration": 150_000.0}] * 20],
    "TriggersLost": [SWEPT | {"message.fields.swept.lost_trigger": 3}] * 2,
    "ComposersDying": [SWEPT | {"message.fields.swept.lapsed_lease": 3}],
    "AttemptsFailing": [SWEPT, *[{"message.event": "AttemptReleased"}] * 11],
    "ExportStuck": [SWEPT, {"message.event": "AttemptReleased", "message.fields.epoch": 3}],
    "AttemptsFenced": [SWEPT, *[{"message.event": "AttemptFenced"}] * 6],
    "ErrorsUnforeseen": [SWEPT, *[{"message.event": "SystemError"}] * 4],
    "KeysGuessed": [SWEPT, *[{"message.event": "AuthenticationFailed"}] * 101],
    "MemoryTight": [SWEPT, REQUEST | {"memoryUsageMB": 900.0}],
}
QUIET: list[Row] = [
    *[SWEPT | {"message.fields.swept.lost_trigger": 1}] * 3,
    *[REQUEST] * 3,
    *[{"message.event": "TaskCompleted", "message.duration": 3_000.0}] * 20,
    {"message.event": "AttemptReleased", "message.error.code": "STORE_UNAVAILABLE"},
    {"message.event": "TaskFailed", "message.error.code": "TOO_MANY_ROWS"},
    {"message.event": "SystemError"},
    SWEPT | {"message.fields.results_missing": 0},
]
"""An hour as hours should be: a late bell, a failed attempt, a sender's own mistake."""


def is_fired(name: str, over: list[Row]) -> bool:
    [severity] = alerts()[name]["Configuration"]["SeverityConfigurations"]
    return fires(severity["EvalCondition"]["Condition"], run_query(query_of(name), over, fields()))


def test_every_alert_has_its_trouble() -> None:
    assert TROUBLES.keys() == alerts().keys()


@pytest.mark.parametrize("name", sorted(TROUBLES))
def test_an_alert_fires_on_its_trouble_only(name: str) -> None:
    assert is_fired(name, TROUBLES[name])
    assert not is_fired(name, QUIET)


@pytest.mark.parametrize("name", sorted(TROUBLES))
def test_trouble_of_one_kind_does_not_fire_everything(name: str) -> None:
    fired = {other for other in TROUBLES if is_fired(other, TROUBLES[name])}
    assert fired == {name}


def test_the_real_life_fires_the_alerts_it_should() -> None:
    fired = {name for name in TROUBLES if is_fired(name, rows())}
    assert "IntegrityBroken" in fired
    assert not fired & {"SweeperSilent", "ExportsSlow", "KeysGuessed", "MemoryTight"}


def test_failures_that_page_are_not_the_sender_s() -> None:
    for name in ("ExportsFailing", "IntegrityBroken"):
        codes = {ErrorCode(code) for code in values_in(query_of(name), "message.error.code")}
        assert all(MEANINGS[code].who is not Actor.CLIENT for code in codes)
    paged = {
        code
        for name in ("ExportsFailing", "IntegrityBroken")
        for code in values_in(query_of(name), "message.error.code")
    }
    assert paged == {code.value for code, meaning in MEANINGS.items() if meaning.who is not Actor.CLIENT}


def test_every_alert_and_alarm_has_a_section_for_who_is_on_call() -> None:
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    resources = build_watch_template()["Resources"]
    alarms = {name.removeprefix("Alarm") for name in resources if name.startswith("Alarm")}
    assert sorted(sections) == sorted({*alerts(), *alarms})
    text = RUNBOOK.read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        for part in ("**Means.**", "**Look first.**", "**Do.**"):
            assert part in section, section.splitlines()[0]
