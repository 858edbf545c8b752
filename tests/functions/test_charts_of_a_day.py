"""Every chart of the dashboard shows something of a day of the functions, and each event that they log is in one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.emulators.function_compute.interpreter import source_tree
from infra.emulators.function_compute.triggers import NEVER
from infra.emulators.oss.faults import Fault, Refuse
from infra.local.cloud import INPUT, OUTPUT, LocalCloud, local_cloud
from infra.provision.alerts import chart_query
from infra.provision.template import WATCHED, build_template, read_yaml
from sluice.app.telemetry.event_levels import EVENT_TEXTS
from sluice.client import Client, SluiceApiError
from sluice.domain.events import Event, Level
from tests.infra.log_queries import Row, flatten, indexed_fields, run_query, values_in

PACKAGE = Path(__file__).parents[2] / "layers/sluice/python/sluice"
DASHBOARD: dict[str, Any] = read_yaml(WATCHED / "dashboard.yaml")
CHARTS: list[dict[str, Any]] = DASHBOARD["charts"]
NOT_IN_FUNCTIONS = (
    "adapters/workers/",
    "adapters/sqlite/",
    "cli/",
    "app/one_machine.py",
    "app/compose_worker.py",
    "demo/",
)
"""What no function loads: the pool of composers of one machine, and its commands."""
LISTS = ("domain/events.py", "app/telemetry/")


def events_of(chart: dict[str, Any]) -> set[str]:
    return values_in(chart_query(chart), "message.event")


def logged_by_functions() -> set[str]:
    """Events at the functions' usual level that some module records which functions load."""
    recorded: set[str] = set()
    for module in PACKAGE.rglob("*.py"):
        name = str(module.relative_to(PACKAGE))
        if not name.startswith((*NOT_IN_FUNCTIONS, *LISTS)):
            recorded |= set(re.findall(r"Event\.([A-Z_]+)", module.read_text(encoding="utf-8")))
    return {Event[name].value for name in recorded if EVENT_TEXTS[Event[name]].level >= Level.INFO}


def test_a_chart_asks_only_for_what_functions_log() -> None:
    unknown = {chart["title"]: events_of(chart) - logged_by_functions() for chart in CHARTS}
    assert {title: events for title, events in unknown.items() if events} == {}


def test_each_event_that_functions_log_is_in_a_chart_or_said_not_to_be() -> None:
    charted = {event for chart in CHARTS for event in events_of(chart)}
    left_out = DASHBOARD["not_charted"]
    assert logged_by_functions() - charted - left_out.keys() == set()
    assert left_out.keys() - logged_by_functions() == set()
    assert all(left_out.values())


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """What one of each mishap leaves in the logs, and the platform's own lines of the calls."""
    folder = tmp_path_factory.mktemp("day")
    with local_cloud(folder, interpreter=source_tree()) as cloud:
        live_a_day(cloud)
        platform: list[Row] = [dict(line) for line in cloud.host.requests]
    written = [line for log in sorted(folder.glob("*.log")) for line in log.read_text().splitlines()]
    return [*platform, *(flatten(line) for line in written if line.startswith("{"))]


def live_a_day(cloud: LocalCloud) -> None:
    url, token = cloud.host.doors["api_domain"].url, cloud.new_key("acme")
    with Client(url, "no-key-of-ours") as stranger, pytest.raises(SluiceApiError):
        stranger.open(columns=["id"], format="csv")
    with Client(url, token) as client:
        client.send_table([["1"], ["2"]], columns=["id"], format="csv").wait(120)
        client.open(columns=["id"], format="csv").cancel()
        cloud.oss.faults.add(Fault(Refuse(403, "AccessDenied"), operation="PutObject", bucket=OUTPUT))
        cloud.oss.faults.add(Fault(Refuse(403, "AccessDenied"), operation="InitiateMultipartUpload", bucket=OUTPUT))
        with cloud.host.firing("sweep/every-minute", period_s=2):
            client.send_table([["1"]], columns=["id"], format="csv").wait(120)
        cloud.oss.faults.add(Fault(Refuse(404, "NoSuchKey"), operation="GetObject", bucket=INPUT, key="*/c/*"))
        with pytest.raises(SluiceApiError):
            client.send_table([["1"]], columns=["id"], format="csv").wait(120)
        cloud.host.triggers["compose/manifests"].plan(NEVER)
        client.send_table([["1"]], columns=["id"], format="csv")  # waits
        cloud.host.timers["sweep/every-minute"].fire()
        assert cloud.host.calls["sweep"].settle(60)
        assert cloud.host.calls["compose"].settle(60)
        cloud.host.triggers["compose/manifests"].plan(NEVER)
        client.send_table([["1"]], columns=["id"], format="csv")  # waits, whatever time the sweep took for the other


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: str(chart["title"]))
def test_a_chart_shows_something_of_a_day(chart: dict[str, Any], lines: list[Row]) -> None:
    fields = indexed_fields(build_template()["Resources"]["LogIndex"]["Properties"]["KeyIndices"])
    shown = run_query(chart_query(chart), lines, fields)
    assert any(isinstance(value, int | float) and value for row in shown for value in row.values())


def test_a_chart_of_nothing_would_be_found() -> None:
    nothing = {"title": "x", "events": ["ConcurrencyLimitReached"]}
    assert events_of(nothing) - logged_by_functions()
    assert (
        run_query(chart_query(nothing), [flatten(json.dumps({"event": "TaskCreated"}))], {"message.event": "text"})
        == []
    )
