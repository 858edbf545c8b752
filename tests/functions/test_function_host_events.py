"""Event functions as the host runs them: their surroundings, their limits, their retries."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from infra.emulators.function_compute.async_calls import AsyncCalls
from infra.emulators.function_compute.deployment import AsyncConfig
from infra.emulators.function_compute.deployment_file import load_deployment
from infra.emulators.function_compute.environment import Place, RoleKey
from infra.emulators.function_compute.event_function import EventFunction, Invocation, Outcome
from infra.emulators.function_compute.interpreter import ROOT, source_tree
from tests.functions.tiny_functions import KEY, tiny_host, write_tiny


def run(folder: Path, name: str = "work", edits: dict[str, str] | None = None, **say: Any) -> Invocation:
    deployment = load_deployment(write_tiny(folder, edits), {})
    function = EventFunction(deployment.functions[name], Place(deployment.region, source_tree()))
    return function.invoke(json.dumps(say).encode(), KEY, request_id="r-1")


def test_a_handler_gets_event_and_context_and_finds_credentials_in_the_environment(tmp_path: Path) -> None:
    invocation = run(tmp_path, word="表")
    assert invocation.outcome == "success"
    told = json.loads(invocation.payload)
    assert told["said"] == {"word": "表"}
    assert (told["request_id"], told["region"], told["account_id"]) == ("r-1", "cn-hangzhou", "1000000000000001")
    assert told["function"]["name"] == "tiny-work"
    assert (told["function"]["memory"], told["function"]["timeout"]) == (256, 20)
    assert told["context_key"] is None
    assert told["env"]["ALIBABA_CLOUD_ACCESS_KEY_ID"] == KEY.access_key_id
    assert told["env"]["ALIBABA_CLOUD_SECURITY_TOKEN"] == KEY.security_token
    assert (told["env"]["STAGE"], told["env"]["FC_FUNCTION_NAME"]) == ("dev", "tiny-work")
    assert "heard" in invocation.log
    assert invocation.peak_bytes > 2**20


def test_the_older_runtime_has_the_credentials_in_the_context(tmp_path: Path) -> None:
    told = json.loads(run(tmp_path, "old").payload)
    assert told["context_key"] == KEY.access_key_id
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" not in told["env"]


def test_nothing_of_our_own_environment_reaches_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "x")
    told = json.loads(run(tmp_path).payload)
    assert not told["secret_home"]
    assert not {str(ROOT), str(ROOT / "infra" / "local")} & set(told["path"])


def test_no_more_calls_run_at_once_than_instances_are_reserved() -> None:
    at_once, most, lock, gate = [0], [0], threading.Lock(), threading.Barrier(2)

    def count(event: bytes, retry_count: int) -> Invocation:
        del event, retry_count
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        gate.wait(30)  # two run at once, or the test ends here
        with lock:
            at_once[0] -= 1
        return Invocation("f", "r", "success", "", 0, 0, 0, 0, "")

    calls = AsyncCalls(AsyncConfig(), count, instances_max=2)
    for _ in range(6):
        calls.submit(b"{}")
    assert calls.settle(60)
    calls.close()
    assert most == [2]


def test_an_exception_is_the_functions_error_and_its_trace_is_in_the_log(tmp_path: Path) -> None:
    invocation = run(tmp_path, do="raise")
    assert (invocation.outcome, invocation.payload) == ("exception", "ValueError: as asked")
    assert "Traceback" in invocation.log


def test_a_handler_that_cannot_be_imported_is_an_exception(tmp_path: Path) -> None:
    invocation = run(tmp_path, edits={"handler: work.handler": "handler: wrok.handler"})
    assert invocation.outcome == "exception"
    assert invocation.payload.startswith("ModuleNotFoundError")


def test_a_process_that_ends_itself_is_a_crash(tmp_path: Path) -> None:
    assert run(tmp_path, do="exit").outcome == "crash"


def test_the_time_limit_ends_a_function(tmp_path: Path) -> None:
    invocation = run(tmp_path, edits={"timeout: 20": "timeout: 1"}, do="sleep", seconds=60)
    assert invocation.outcome == "timeout"
    assert 1 <= invocation.seconds < 20


def test_the_memory_limit_ends_a_function(tmp_path: Path) -> None:
    invocation = run(tmp_path, edits={"memorySize: 256": "memorySize: 128"}, do="hold", mib=300)
    assert invocation.outcome == "memory"
    assert invocation.peak_bytes > 128 * 2**20


def test_a_function_below_its_memory_limit_is_left_alone(tmp_path: Path) -> None:
    invocation = run(tmp_path, do="take", mib=100)
    assert invocation.outcome == "success"
    assert 100 * 2**20 < invocation.peak_bytes < 256 * 2**20


def test_an_asynchronous_call_is_repeated_until_it_succeeds(tmp_path: Path) -> None:
    with tiny_host(tmp_path) as host:
        event = json.dumps({"do": "raise until", "folder": str(tmp_path), "times": 3}).encode()
        assert host.calls["work"].submit(event)
        assert host.calls["work"].settle(30)
        assert [each.outcome for each in host.invocations("work")] == ["exception", "exception", "success"]
        assert host.calls["work"].failed == []


def test_an_event_that_keeps_failing_goes_to_the_failure_destination(tmp_path: Path) -> None:
    with tiny_host(tmp_path) as host:
        host.calls["work"].submit(b'{"do": "raise"}')
        assert host.calls["work"].settle(30)
        (failed,) = host.calls["work"].failed
    assert failed.event == b'{"do": "raise"}'
    assert failed.destination == "acs:mns:cn-hangzhou:1:/queues/failed/messages"
    assert (failed.attempts, failed.condition, failed.last.outcome) == (3, "RetriesExhausted", "exception")


def ended(outcome: Outcome) -> Invocation:
    return Invocation("f", "r", outcome, "", 0, 0, 0, 0, "")


def test_an_event_that_is_too_old_is_not_repeated() -> None:
    calls = AsyncCalls(AsyncConfig(retries_max=8, age_max_s=0), lambda _event, _count: ended("exception"))
    calls.submit(b"e")
    assert calls.settle(10)
    calls.close()
    assert [(failed.attempts, failed.condition) for failed in calls.failed] == [(1, "EventAgeExceeded")]


@pytest.mark.parametrize(("is_task", "taken"), [(True, [True, False, True]), (False, [True, True, True])])
def test_only_a_function_of_tasks_refuses_an_id_that_it_knows(*, is_task: bool, taken: list[bool]) -> None:
    calls = AsyncCalls(AsyncConfig(is_task=is_task), lambda _event, _count: ended("success"))
    assert [calls.submit(b"e", name) for name in ("a", "a", "b")] == taken
    assert calls.settle(10)
    calls.close()
    assert len(calls.invocations) == sum(taken)


def test_calls_without_an_id_are_never_the_same() -> None:
    calls = AsyncCalls(AsyncConfig(is_task=True), lambda _event, _count: ended("success"))
    assert [calls.submit(b"e"), calls.submit(b"e")] == [True, True]
    calls.close()


def test_a_killed_instance_is_repeated_as_any_failure(tmp_path: Path) -> None:
    with tiny_host(tmp_path) as host:
        host.calls["work"].submit(b'{"do": "sleep", "seconds": 1}')
        while not host.events["work"].kill_running():
            pass
        assert host.calls["work"].settle(30)
        assert [each.outcome for each in host.invocations("work")] == ["crash", "success"]


def test_a_role_key_is_asked_for_at_every_invocation(tmp_path: Path) -> None:
    deployment = load_deployment(write_tiny(tmp_path), {})
    function = EventFunction(deployment.functions["work"], Place("r", source_tree()))
    keys = [RoleKey(f"id{number}", "s", "t") for number in range(2)]
    told = [json.loads(function.invoke(b"{}", key, request_id="r").payload) for key in keys]
    assert [each["env"]["ALIBABA_CLOUD_ACCESS_KEY_ID"] for each in told] == ["id0", "id1"]
