"""Which events ring for a function, and that they arrive as badly as a test wishes."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from infra.emulators.function_compute.deployment import OssTrigger, TimerTrigger
from infra.emulators.function_compute.host import Timer
from infra.emulators.function_compute.triggers import NEVER, ON_RELEASE, TWICE, TriggerDeliveries, late, wanted_key

TRIGGER = OssTrigger("bell", "sluice-in", ("oss:ObjectCreated:PutObject",), "in/v1/", ".manifest.json")


def event(
    key: str = "in/v1/a.manifest.json", *, name: str = "ObjectCreated:PutObject", bucket: str = "sluice-in"
) -> dict[str, Any]:
    return {"events": [{"eventName": name, "oss": {"bucket": {"name": bucket}, "object": {"key": key}}}]}


@pytest.mark.parametrize("key", ["in/v1/a.manifest.json", "in%2Fv1%2Fa.manifest.json", "in/v1/.manifest.json"])
def test_a_put_of_a_manifest_is_wanted(key: str) -> None:
    assert wanted_key(TRIGGER, event(key))


@pytest.mark.parametrize(
    "other",
    [
        event("in/v1/a.chunk"),
        event("in/v2/a.manifest.json"),
        event("out/in/v1/a.manifest.json"),
        event("in/v1/a.manifest.json.bak"),
        event(bucket="sluice-out"),
        event(name="ObjectCreated:CompleteMultipartUpload"),
        event(name="ObjectCreated:PutObjectX"),
        event(name="ObjectRemoved:DeleteObject"),
    ],
)
def test_nothing_else_is_wanted(other: dict[str, Any]) -> None:
    assert wanted_key(TRIGGER, other) is None


@pytest.mark.parametrize(
    ("name", "wanted"), [("ObjectCreated:UploadPart", True), ("ObjectRemoved:DeleteObject", False)]
)
def test_a_star_covers_every_event_of_its_kind(name: str, *, wanted: bool) -> None:
    trigger = TRIGGER._replace(events=("oss:ObjectCreated:*",))
    assert (wanted_key(trigger, event(name=name)) is not None) == wanted


def test_events_arrive_as_planned_and_afterwards_as_they_are() -> None:
    arrived: list[str] = []
    triggers = TriggerDeliveries(
        TRIGGER, lambda sent: arrived.append(json.loads(sent)["events"][0]["oss"]["object"]["key"])
    )
    triggers.plan(TWICE, NEVER, ON_RELEASE, ON_RELEASE)
    for number in range(5):
        triggers.hear(event(f"in/v1/{number}.manifest.json"))
    assert [key[6] for key in arrived] == ["0", "0", "4"]
    assert triggers.release(backwards=True) == 2
    assert [key[6] for key in arrived] == ["0", "0", "4", "3", "2"]
    assert [seen.delivery.how for seen in triggers.seen] == ["twice", "never", "on_release", "on_release", "now"]
    assert triggers.release() == 0


def test_an_event_that_is_not_wanted_uses_up_no_plan() -> None:
    arrived: list[bytes] = []
    triggers = TriggerDeliveries(TRIGGER, arrived.append)
    triggers.plan(NEVER)
    triggers.hear(event("in/v1/a.chunk"))
    triggers.hear(event())
    assert arrived == []
    triggers.hear(event())
    assert len(arrived) == 1


def test_a_late_event_arrives_later() -> None:
    arrived = threading.Event()
    triggers = TriggerDeliveries(TRIGGER, lambda _: arrived.set())
    triggers.plan(late(0.05))
    triggers.hear(event())
    assert not arrived.is_set()
    assert arrived.wait(10)
    triggers.close()


def test_a_late_event_does_not_arrive_after_the_end() -> None:
    arrived: list[bytes] = []
    triggers = TriggerDeliveries(TRIGGER, arrived.append)
    triggers.plan(late(60))
    triggers.hear(event())
    triggers.close()
    assert arrived == []


def test_a_timer_sends_the_event_of_a_timer() -> None:
    sent: list[dict[str, str]] = []
    Timer(TimerTrigger("minutely", "@every 1m", "round", True), lambda event: sent.append(json.loads(event))).fire()
    (fired,) = sent
    assert (fired["triggerName"], fired["payload"]) == ("minutely", "round")
    assert fired["triggerTime"].endswith("Z")


@pytest.mark.parametrize(
    ("cron", "period_s"), [("@every 1m", 60), ("@every 90s", 90), ("@every 2h", 7200), ("0 0 3 * * 1", None)]
)
def test_a_repeating_timer_knows_its_period(cron: str, period_s: float | None) -> None:
    assert Timer(TimerTrigger("t", cron, "", True), lambda _: None).period_s == period_s


def test_a_started_timer_fires_again_and_again_until_it_is_closed() -> None:
    fired = threading.Semaphore(0)
    timer = Timer(TimerTrigger("t", "@every 1m", "", True), lambda _: fired.release())
    timer.start(0.01)
    assert all(fired.acquire(timeout=10) for _ in range(3))
    timer.close()
    while fired.acquire(blocking=False):
        pass
    assert not fired.acquire(timeout=0.1)


def test_a_timer_that_is_off_never_fires_by_itself() -> None:
    fired: list[bytes] = []
    timer = Timer(TimerTrigger("t", "@every 1s", "", False), fired.append)
    timer.start(0.01)
    timer.close()
    assert fired == []
