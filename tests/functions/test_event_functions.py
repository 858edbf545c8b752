"""The handlers of composer and sweeper, called as a built-in runtime calls them, over the cloud's stand-ins."""

from __future__ import annotations

import base64
import csv
import io
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.emulators import oss, tablestore
from sluice.app.functions.compose import COMPONENT, compose_events
from sluice.app.functions.event_function import OLD_CREDENTIALS_CODE, EventFunction, InvocationFailed, read_context
from sluice.app.functions.extract import extract
from sluice.app.functions.probe import probe_reader
from sluice.app.functions.sweep import sweep
from sluice.app.settings.validation import SettingsError
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.task import State
from sluice.usecases.sending.cancel_export import cancel_export
from tests.support.cloud_functions import CANARY, Cloud, bare_environment, context_of, invoke_in_process, serving_cloud
from tests.support.fake_clock import FakeClock

SWEEP = '{"triggerTime":"2026-11-20T03:00:00Z","triggerName":"minute","payload":""}'
RECONCILE = '{"triggerTime":"2026-11-20T03:00:00Z","triggerName":"week","payload":"reconcile"}'

PROBED = b'{"payload":"probe"}'
Events = list[dict[str, Any]]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with serving_cloud(tmp_path) as cloud:
        yield cloud


@pytest.fixture
def told(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what the platform and the deployment tell the process; nothing else of this kind is left."""

    def tell(**extra: str) -> None:
        wanted = bare_environment({**cloud.settings(), **cloud.credentials(), **extra})
        for name in bare_environment({}).keys() - wanted.keys():
            monkeypatch.delenv(name)
        for name, value in wanted.items():
            monkeypatch.setenv(name, value)

    tell()
    return tell


@pytest.fixture
def composer(told: object) -> Iterator[EventFunction]:
    function = EventFunction(COMPONENT, compose_events)
    yield function
    function.close()


@pytest.fixture
def sweeper(told: object) -> Iterator[EventFunction]:
    function = EventFunction("sweeper", sweep)
    yield function
    function.close()


@pytest.fixture
def reader(told: object) -> Iterator[EventFunction]:
    function = EventFunction("reader", extract, probes=probe_reader)
    yield function
    function.close()


def listened(cloud: Cloud) -> Events:
    """What the trigger sends from now on; call ``settle`` before reading it."""
    events: Events = []

    def listen(event: dict[str, Any]) -> None:
        if event["events"][0]["oss"]["object"]["key"].endswith(".manifest.json"):
            events.append(event)

    cloud.oss.listen(listen)
    return events


def trigger_of(cloud: Cloud, *refs: TaskRef) -> bytes:
    """The event that tells of the manifests of tasks."""
    events = [
        {
            "eventName": "ObjectCreated:PutObject",
            "eventSource": "acs:oss",
            "oss": {"bucket": {"name": "sluice-in"}, "object": {"key": key}},
        }
        for key in cloud.oss.keys("sluice-in")
        if key.endswith(".manifest.json") and any(ref.task_id in key for ref in refs)
    ]
    assert len(events) == len(refs)
    return json.dumps({"events": events}).encode()


def call(function: EventFunction, event: bytes | str, context: object | None = None) -> Any:
    data = event.encode() if isinstance(event, str) else event
    return json.loads(function(data, context or context_of()))


def outcomes(answer: Any) -> list[str]:
    return [one["outcome"] for one in answer["outcomes"]]


def file_of(cloud: Cloud, ref: TaskRef) -> list[list[str]]:
    data = cloud.oss.content("sluice-out", cloud.row(ref).result_key)
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


def test_the_triggers_event_makes_the_file(cloud: Cloud, composer: EventFunction) -> None:
    events = listened(cloud)
    ref = cloud.seal(batches=3)
    cloud.oss.settle()
    (event,) = events
    answer = call(composer, json.dumps(event))
    assert answer == {
        "outcomes": [{"task_id": ref.task_id, "outcome": "completed"}],
        "dropped": {"malformed": 0, "foreign": 0},
    }
    rows = file_of(cloud, ref)
    assert rows == [["id", "name"], *[[f"{batch}.{row}", "x"] for batch in (1, 2, 3) for row in range(10)]]


def test_a_second_bell_a_bell_for_an_ended_task_and_one_for_none_are_successes(
    cloud: Cloud, composer: EventFunction
) -> None:
    done, ended = cloud.seal(), cloud.seal()
    event = trigger_of(cloud, done)
    with cloud.ports() as ports:
        cancel_export(ports, ended)
    assert outcomes(call(composer, event)) == ["completed"]
    assert outcomes(call(composer, event)) == ["dropped"]
    assert outcomes(call(composer, trigger_of(cloud, ended))) == ["dropped"]
    stranger = event.replace(b"/shop/", b"/nobody/")
    assert outcomes(call(composer, stranger)) == ["dropped"]


def test_several_tasks_in_one_event_are_composed_and_what_is_not_ours_is_counted(
    cloud: Cloud, composer: EventFunction, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = cloud.seal(), cloud.seal()
    events = json.loads(trigger_of(cloud, first, second))["events"]
    foreign = {**events[0], "eventName": "ObjectCreated:CopyObject"}
    answer = call(composer, json.dumps({"events": [None, foreign, *events, "x", 1]}))
    assert outcomes(answer) == ["completed", "completed"]
    assert answer["dropped"] == {"malformed": 3, "foreign": 1}
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    dropped = [line["fields"] for line in lines if line["event"] == "ManifestDropped"]
    assert {(fields["reason"], fields["count"]) for fields in dropped} == {("malformed", 3), ("foreign", 1)}


def test_the_sweepers_bell_is_heard_through_an_http_trigger(cloud: Cloud, composer: EventFunction) -> None:
    body = base64.b64encode(trigger_of(cloud, cloud.seal())).decode()
    event = {"version": "v1", "rawPath": "/", "body": body, "isBase64Encoded": True, "headers": {}}
    assert outcomes(call(composer, json.dumps(event))) == ["completed"]


def test_every_line_names_the_request_the_function_and_the_task(
    cloud: Cloud, composer: EventFunction, capfd: pytest.CaptureFixture[str]
) -> None:
    ref = cloud.seal()
    call(composer, trigger_of(cloud, ref))
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert {line["request_id"] for line in lines} == {"fc-request-7"}
    assert {line["fields"]["faas.name"] for line in lines} == {"sluice-under-test"}
    assert {line["component"] for line in lines} == {"composer"}
    (started,) = [line["fields"] for line in lines if line["event"] == "ServiceStarted"]
    assert (started["faas.coldstart"], started["faas.max_memory"], started["time_limit_s"]) == (True, 512, 600)
    assert {line["task_id"] for line in lines if line["event"] != "ServiceStarted"} == {ref.task_id}


def test_a_setting_under_its_old_name_is_logged_with_the_new_one(
    told: Callable[..., None], composer: EventFunction, capfd: pytest.CaptureFixture[str]
) -> None:
    told(SLUICE_CONCURRENCY_BELL_GRACE_S="40")
    call(composer, "{}")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (renamed,) = [line for line in lines if line["event"] == "SettingRenamed"]
    assert "SLUICE_CONCURRENCY_TRIGGER_GRACE_S" in renamed["fields"]["note"]
    assert renamed["fields"]["faas.name"] == "sluice-under-test"


def test_an_attempt_gives_its_task_back_before_the_time_limit(
    cloud: Cloud, told: Callable[..., None], composer: EventFunction
) -> None:
    told(SLUICE_FUNCTIONS_STOP_MARGIN_S="1.8", SLUICE_PERFORMANCE_PREFETCHED_CHUNKS="1")
    call(composer, "{}")  # opens it, so that the time is the attempt's
    slow, waiting = cloud.seal(batches=8), cloud.seal()
    event = json.loads(trigger_of(cloud, slow, waiting))
    event["events"].sort(key=lambda one: waiting.task_id in one["oss"]["object"]["key"])
    late = oss.Fault(operation="GetObject", key=f"*{slow.task_id}*chunk", action=oss.Delay(0.25), times=8)
    cloud.oss.faults.add(late)
    answer = call(composer, json.dumps(event), context_of(timeout_s=3))
    assert outcomes(answer) == ["released", "out_of_time"]
    row = cloud.row(slow)
    assert (row.state, row.epoch, row.lease_until) == (State.SEALED, 1, 0)
    assert cloud.row(waiting).epoch == 0
    assert cloud.oss.upload_ids("sluice-out") == []
    again = call(composer, json.dumps(event))
    assert outcomes(again) == ["completed", "completed"]


def test_a_limit_that_leaves_no_time_is_a_mistake_of_the_settings(cloud: Cloud, composer: EventFunction) -> None:
    with pytest.raises(SettingsError, match="stop_margin_s"):
        composer(trigger_of(cloud, cloud.seal()), context_of(timeout_s=20))


def test_a_context_that_says_nothing_is_enough(cloud: Cloud, composer: EventFunction) -> None:
    assert outcomes(call(composer, trigger_of(cloud, cloud.seal()), SimpleNamespace(request_id=None))) == ["completed"]


@pytest.mark.parametrize("limit", [None, "", "soon", 0, -1, float("inf"), float("nan"), object()])
def test_a_time_limit_that_is_none_is_not_taken_for_one(limit: object) -> None:
    context = SimpleNamespace(function=SimpleNamespace(timeout=limit, memory="much"), credentials=SimpleNamespace())
    invocation = read_context(context)
    assert (invocation.time_limit_s, invocation.memory_mb, invocation.credentials) == (None, None, None)


def test_credentials_of_the_context_are_used_and_replaced_while_the_process_lives(
    cloud: Cloud, told: Callable[..., None], composer: EventFunction
) -> None:
    told(ALIBABA_CLOUD_ACCESS_KEY_ID="", ALIBABA_CLOUD_ACCESS_KEY_SECRET="")
    event = trigger_of(cloud, cloud.seal())
    wrong = SimpleNamespace(access_key_id=cloud.oss.access_key_id, access_key_secret=CANARY, security_token="")
    right = SimpleNamespace(
        access_key_id=cloud.oss.access_key_id, access_key_secret=cloud.oss.access_key_secret, security_token=None
    )
    with pytest.raises(InvocationFailed):
        composer(event, context_of(credentials=wrong))
    assert outcomes(call(composer, event, context_of(credentials=right))) == ["completed"]
    assert outcomes(call(composer, event)) == ["dropped"]


def test_without_any_credentials_the_call_fails_and_says_why(
    cloud: Cloud, told: Callable[..., None], composer: EventFunction
) -> None:
    told(ALIBABA_CLOUD_ACCESS_KEY_ID="", ALIBABA_CLOUD_ACCESS_KEY_SECRET="")
    with pytest.raises(InvocationFailed, match="There are no credentials"):
        composer(trigger_of(cloud, cloud.seal()), context_of())


def test_refused_credentials_fail_the_call_with_a_clear_line_and_no_secret(cloud: Cloud) -> None:
    event = trigger_of(cloud, cloud.seal()).decode()
    env = {**cloud.settings(), **cloud.credentials(), "ALIBABA_CLOUD_ACCESS_KEY_SECRET": CANARY}
    invoked = invoke_in_process("compose", [event], env)
    assert "InvocationFailed: STORE_UNAVAILABLE: StoreRefused" in invoked.error
    (line,) = invoked.events("SystemError")
    assert line["error"]["code"] == "STORE_UNAVAILABLE"
    assert CANARY not in invoked.output
    assert cloud.oss.access_key_id not in invoked.output


def test_a_store_that_does_not_answer_fails_the_call_so_that_the_platform_tries_again(
    cloud: Cloud, composer: EventFunction, told: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    told(SLUICE_PERFORMANCE_RETRIES="1")
    first, second = cloud.seal(), cloud.seal()
    event = trigger_of(cloud, first, second)
    silent = tablestore.Fault(operation="GetRow", action=tablestore.DropBefore(), times=2)
    cloud.tablestore.faults.add(silent)
    with pytest.raises(InvocationFailed, match="STORE_UNAVAILABLE") as caught:
        composer(event, context_of())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None  # the platform would log it
    states = {cloud.row(first).state, cloud.row(second).state}
    assert states == {State.SEALED, State.COMPLETED}  # the other task had its turn
    assert sorted(outcomes(call(composer, event))) == ["completed", "dropped"]
    assert capfd.readouterr().err.count('"SystemError"') == 1


def test_a_handler_in_a_fresh_process_composes_and_its_process_serves_the_next_call(cloud: Cloud) -> None:
    first, second = cloud.seal(), cloud.seal()
    events = [trigger_of(cloud, ref).decode() for ref in (first, second)]
    invoked = invoke_in_process("compose", events, {**cloud.settings(), **cloud.credentials()})
    assert outcomes(invoked.answer) == ["completed"]
    assert len(invoked.events("ServiceStarted")) == 1
    assert {cloud.row(ref).state for ref in (first, second)} == {State.COMPLETED}
    assert cloud.oss.access_key_secret not in invoked.output


def test_a_sweep_rings_again_for_a_bell_that_was_lost(
    cloud: Cloud, composer: EventFunction, sweeper: EventFunction
) -> None:
    ref = cloud.seal()
    events = listened(cloud)  # the trigger's first event went by unheard
    assert call(sweeper, SWEEP)["swept"] == {"lost_trigger": 1}
    cloud.oss.settle()
    assert outcomes(call(composer, json.dumps(events[-1]))) == ["completed"]
    assert call(sweeper, SWEEP)["swept"] == {"garbage": 1}
    assert cloud.row(ref).state is State.COMPLETED


def test_a_bell_of_the_sweeper_makes_the_file_even_when_the_manifest_was_never_put(
    cloud: Cloud, composer: EventFunction, sweeper: EventFunction
) -> None:
    ref = cloud.seal()
    with cloud.ports() as ports:
        ports.objects.delete([key for key in cloud.oss.keys("sluice-in") if key.endswith(".manifest.json")])
    events = listened(cloud)
    call(sweeper, SWEEP)
    cloud.oss.settle()
    assert outcomes(call(composer, json.dumps(events[-1]))) == ["completed"]
    assert len(file_of(cloud, ref)) == 11


def test_the_weekly_payload_walks_everything(cloud: Cloud, sweeper: EventFunction) -> None:
    cloud.seal()
    answer = call(sweeper, RECONCILE)
    assert answer["reconcile"]["rows"] == 1
    assert answer["reconcile"]["objects"] == 2


@pytest.mark.parametrize("event", ["", "[]", '{"payload":7}', "\x00", '{"payload":"reconcile-not"}'])
def test_any_other_event_is_a_sweep(cloud: Cloud, sweeper: EventFunction, event: str) -> None:
    assert call(sweeper, event) == {"swept": {}}


def test_a_sweep_stops_in_time_and_leaves_the_rest_to_the_next(
    cloud: Cloud, told: Callable[..., None], sweeper: EventFunction
) -> None:
    told(SLUICE_FUNCTIONS_STOP_MARGIN_S="2.2")
    call(sweeper, SWEEP)  # opens it, so that the time is the sweep's
    for _ in range(4):
        cloud.seal()
    slow = tablestore.Fault(operation="UpdateRow", action=tablestore.Delay(0.5), times=4)
    cloud.tablestore.faults.add(slow)
    swept = call(sweeper, SWEEP, context_of(timeout_s=3))["swept"]["lost_trigger"]
    assert 1 <= swept < 4


def test_a_process_whose_credentials_are_never_renewed_ends_itself_before_they_do(
    told: Callable[..., None], cloud: Cloud
) -> None:
    """The platform starts another instance then, which has new ones; the sweeper's next minute is the repeat."""
    told(ALIBABA_CLOUD_SECURITY_TOKEN="of-the-first-instance")
    clock = FakeClock()
    ended: list[int] = []
    function = EventFunction("sweeper", sweep, clock=clock, end_process=ended.append)
    try:
        function(PROBED, context_of())
        clock.advance(29 * 3600)
        function(PROBED, context_of())
        assert ended == []
        told(ALIBABA_CLOUD_SECURITY_TOKEN="renewed")
        clock.advance(29 * 3600)
        function(PROBED, context_of())
        assert ended == []
        clock.advance(31 * 3600)
        function(PROBED, context_of())
        assert ended == [OLD_CREDENTIALS_CODE]
    finally:
        function.close()


@pytest.mark.parametrize("event", [b"", b"{}", b'{"tenant": "shop", "task_id": "x"}', b'{"events": []}'])
def test_an_event_that_names_no_task_is_no_failure_of_the_reader(reader: EventFunction, event: bytes) -> None:
    assert call(reader, event) == {"outcome": "malformed"}


def test_a_task_that_there_is_not_and_one_that_no_one_reads_are_dropped(cloud: Cloud, reader: EventFunction) -> None:
    for ref in (cloud.seal(), TaskRef(TenantId("shop"), TaskId("a" * 26))):
        answer = call(reader, json.dumps({"tenant": ref.tenant, "task_id": ref.task_id}))
        assert answer == {"task_id": ref.task_id, "outcome": "dropped"}


def test_a_reader_that_is_probed_says_which_servers_it_reaches_and_which_passwords_it_has(
    told: Callable[..., None], tmp_path: Path
) -> None:
    server = "type: postgresql\ndatabase: shop\nuser: exporter\nhost: 127.0.0.1\ntls: off\n"
    (tmp_path / "tables/connections").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as listens, socket.create_server(("127.0.0.1", 0)) as unused:
        there, nowhere = listens.getsockname()[1], unused.getsockname()[1]
        unused.close()
        for name, more in {
            "here": f"port: {there}\npassword: ${{secret:db}}\n",
            "away": f"port: {nowhere}\npassword: ${{secret:db}}\n",
            "bare": f"port: {there}\npassword: ${{secret:missing}}\n",
        }.items():
            (tmp_path / f"tables/connections/{name}.yaml").write_text(f"name: {name}\n{server}{more}")
        told(SLUICE_DATASETS_DEFINITIONS=str(tmp_path / "tables"), SLUICE_SECRETS='{"db": "x"}')
        function = EventFunction("reader", extract, probes=probe_reader)
        found = call(function, PROBED)["probe"]
        function.close()
    assert (found["tablestore"], found["connection_here"]) == ("fine", "fine")
    assert found["connection_away"] == "not reached: ConnectionRefusedError"
    assert found["connection_bare"].startswith("there is no secret missing")
