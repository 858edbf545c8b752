"""Scripted runs: always the same calls in the same order, so that a fault can be put at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from sluice.domain.keys import ManifestRef, TaskId, TaskRef
from sluice.domain.pulled import Consistency
from sluice.domain.task import Task
from tests.support.simulation.actions import TENANT, Action, Actions
from tests.support.simulation.actors import Actor
from tests.support.simulation.faults import Fault, NoFaults, ScriptedFaults
from tests.support.simulation.oracle import Violation
from tests.support.simulation.sender import Script, Sender, code_of, table
from tests.support.simulation.settling import outlive, recover, ring_all, settle
from tests.support.simulation.simulation import Simulation, Stores
from tests.support.simulation.world import TIMINGS

Prepare = Callable[[Simulation], TaskRef]


class Started(NamedTuple):
    sim: Simulation
    ref: TaskRef


class Scenario(NamedTuple):
    """``prepare`` runs without faults; the calls of ``act`` are numbered from 0 and may fail.

    ``ends`` are the states in which the task may come to rest after at most two faults.
    """

    name: str
    prepare: Prepare
    act: Callable[[Simulation, TaskRef], None]
    ends: frozenset[str] = frozenset({"completed"})


def run_scenario(
    scenario: Scenario,
    faults: Mapping[int, Fault] | None = None,
    *,
    landing_delay: int | None = None,
    stores: Stores | None = None,
) -> Simulation:
    """Run it to rest and judge it; raises ``Violation``."""
    sim, ref = begin(scenario.prepare, stores=stores)
    sim.landing_delay = landing_delay
    sim.plan = ScriptedFaults(faults or {})
    scenario.act(sim, ref)
    recover(sim)
    settle(sim)
    ends = {task.state.value for task in sim.world.tasks.scan()}
    if not ends <= scenario.ends:
        raise Violation(f"I5 {scenario.name} came to rest in {ends}")
    return sim


def begin(prepare: Prepare, *, seed: int = 0, chaotic: bool = False, stores: Stores | None = None) -> Started:
    """A simulation that stands where ``prepare`` leads. Prepared once, in a correct world, then copied."""
    prepared, ref = _prepared(prepare)
    sim = Simulation(seed, chaotic=chaotic, stores=stores)
    sim.world.become(prepared.world)
    return Started(sim, ref)


@cache
def _prepared(prepare: Prepare) -> Started:
    sim = Simulation()
    return Started(sim, prepare(sim))


def play(sim: Simulation, script: Script) -> None:
    """Let a sender do everything, one request after the other."""
    try:
        op = next(script)
        while True:
            op = script.send(sim.finish(sim.spawn(op.name, op.action)))
    except StopIteration:
        return


def insist(sim: Simulation, name: str, action: Action) -> Actor:
    """Make a request again until it is answered."""
    while True:
        actor = sim.finish(sim.spawn(name, action))
        if actor.error is None or code_of(actor) is not None:
            return actor


def trigger_of(sim: Simulation, ref: TaskRef) -> ManifestRef:
    return ManifestRef(ref, row_of(sim, ref).man_sha)


def row_of(sim: Simulation, ref: TaskRef) -> Task:
    task = sim.world.tasks.read(ref)
    assert task is not None
    return task


def compose(sim: Simulation, ref: TaskRef, name: str = "compose") -> Actor:
    return sim.spawn(name, Actions(sim).compose(trigger_of(sim, ref)))


def nothing(sim: Simulation) -> TaskRef:
    """Nothing is prepared; the task is nobody's."""
    return TaskRef(TENANT, TaskId(""))


def send(sim: Simulation, batches: int = 3) -> TaskRef:
    sender = Sender(Actions(sim), table(batches))
    play(sim, sender.script())
    assert sender.ref is not None
    return sender.ref


def sealed(sim: Simulation) -> TaskRef:
    """A task that was closed and whose bell was lost."""
    ref = send(sim)
    sim.world.triggers.waiting.clear()
    return ref


def opened_with_one(sim: Simulation) -> TaskRef:
    """A task with one batch, not closed."""
    return opened(sim, batches=1)


def sealed_with_two(sim: Simulation) -> TaskRef:
    """A task of two batches that was closed and whose bell was lost."""
    ref = send(sim, batches=2)
    sim.world.triggers.waiting.clear()
    return ref


def opened(sim: Simulation, batches: int = 3) -> TaskRef:
    """A task with all its batches, not closed."""
    sender = Sender(Actions(sim), table(batches))
    script = sender.script()
    op = next(script)
    while op.name != "close":
        op = script.send(sim.finish(sim.spawn(op.name, op.action)))
    assert sender.ref is not None
    return sender.ref


def completed(sim: Simulation) -> TaskRef:
    ref = send(sim)
    ring_all(sim)
    return ref


def send_shared(sim: Simulation, key: str) -> TaskRef:
    """Send and close a task whose file tasks of the same rows share."""
    sender = Sender(Actions(sim), table(2), key=key, shares=True)
    play(sim, sender.script())
    assert sender.ref is not None
    return sender.ref


def shareable(sim: Simulation) -> TaskRef:
    """A completed task, and another one of the same rows that was closed."""
    ref = send_shared(sim, "first")
    ring_all(sim)
    send_shared(sim, "second")
    return ref


def shared(sim: Simulation) -> TaskRef:
    """A completed task, and two that were completed with its file, later."""
    ref = send_shared(sim, "first")
    ring_all(sim)
    sim.pass_time(TIMINGS.retention_s / 2)
    for key in ("second", "third"):
        send_shared(sim, key)
        ring_all(sim)
    others = [task for task in sim.world.tasks.scan() if task.ref != ref]
    assert {task.result_of for task in others} == {ref.task_id}
    return ref


def exhausted(sim: Simulation) -> TaskRef:
    """A sealed task whose every attempt was killed."""
    ref = sealed(sim)
    for _ in range(TIMINGS.attempts_max):
        sim.lapse()
        composer = compose(sim, ref)
        sim.advance(composer, 5)
        sim.kill(composer)
    sim.lapse()
    return ref


def failed(sim: Simulation) -> TaskRef:
    ref = exhausted(sim)
    _give_up(sim, ref)
    return ref


def deleted(sim: Simulation) -> TaskRef:
    ref = completed(sim)
    _delete(sim, ref)
    return ref


def _send(sim: Simulation, ref: TaskRef) -> None:
    send(sim)
    ring_all(sim)


def _compose(sim: Simulation, ref: TaskRef) -> None:
    sim.finish(compose(sim, ref))


def _take_over(sim: Simulation, ref: TaskRef) -> None:
    _overtake(sim, ref, "compose", (7, 9))


def _overtake(sim: Simulation, ref: TaskRef, work: str, steps: tuple[int, int]) -> None:
    """The first pauses beyond its lease, the second overtakes it, the first wakes up, and both go on."""
    first = compose(sim, ref, f"{work} first")
    sim.advance(first, steps[0])
    sim.lapse()
    second = compose(sim, ref, f"{work} second")
    sim.advance(second, steps[1])
    sim.advance(first, 4)
    sim.finish(second)
    sim.finish(first)


def _release(sim: Simulation, ref: TaskRef) -> None:
    """A supervisor frees the task from a composer that is alive after all."""
    actions = Actions(sim)
    first = compose(sim, ref, "compose first")
    sim.advance(first, 8)
    insist(sim, "release", actions.release(ref))
    sim.finish(sim.spawn("sweep", actions.sweep()))
    if sim.world.triggers.waiting:
        second = sim.spawn("compose second", actions.compose(sim.world.triggers.waiting.pop(0)))
        sim.advance(second, 6)
        sim.finish(first)
        sim.finish(second)


def _cancel_sealed(sim: Simulation, ref: TaskRef) -> None:
    insist(sim, "cancel", Actions(sim).cancel(ref))
    sim.finish(compose(sim, ref))


def _cancel_composing(sim: Simulation, ref: TaskRef) -> None:
    composer = compose(sim, ref)
    sim.advance(composer, 8)
    insist(sim, "cancel", Actions(sim).cancel(ref))
    sim.finish(composer)


def _cancel_open(sim: Simulation, ref: TaskRef) -> None:
    insist(sim, "cancel", Actions(sim).cancel(ref))
    insist(sim, "put late", Actions(sim).put(ref, 4, (("4", "late"),)))
    insist(sim, "close", Actions(sim).close(ref, batches=3, rows=None))


def _render(sim: Simulation, ref: TaskRef) -> None:
    insist(sim, "render", Actions(sim).render(ref, "again"))
    ring_all(sim)


def _delete(sim: Simulation, ref: TaskRef) -> None:
    insist(sim, "delete", Actions(sim).delete(ref))


def _share(sim: Simulation, ref: TaskRef) -> None:
    ring_all(sim)


def _delete_shared(sim: Simulation, ref: TaskRef) -> None:
    """The owner of the file is deleted first, then one of those who share it, then the other."""
    actions = Actions(sim)
    second, third = (task.ref for task in list(sim.world.tasks.scan()) if task.ref != ref)
    for doomed in (ref, second, third):
        insist(sim, "delete", actions.delete(doomed))
        for _ in range(2):  # the second one sees what the first gave back
            sim.finish(sim.spawn("sweep", actions.sweep()))
        sim.finish(sim.spawn("read", actions.read(third)))


def _give_up(sim: Simulation, ref: TaskRef) -> None:
    sim.finish(sim.spawn("sweep", Actions(sim).sweep()))
    ring_all(sim)


def _idle(sim: Simulation, ref: TaskRef) -> None:
    """Nobody closes the task; a batch arrives while it expires."""
    sim.pass_time(TIMINGS.idle_s + 1)
    sweep = sim.spawn("sweep", Actions(sim).sweep())
    sim.advance(sweep, 2)
    insist(sim, "put late", Actions(sim).put(ref, 4, (("4", "late"),)))
    sim.finish(sweep)


def _outlive(sim: Simulation, ref: TaskRef) -> None:
    """Retention runs out, the tombstone too; every round of it may fail once or twice."""
    actions = Actions(sim)
    for _ in range(12):
        sim.pass_time(TIMINGS.retention_s / 4)
        sim.finish(sim.spawn("sweep", actions.sweep()))
        sim.finish(sim.spawn("read", actions.read(ref)))
        sim.land_all()
    outlive(sim)


def pulled_by_key(sim: Simulation) -> TaskRef:
    """A task whose rows nothing has read, and whose trigger was lost."""
    return _pulled(sim, "key")


def pulled_of_one_moment(sim: Simulation) -> TaskRef:
    """As ``pulled_by_key``; all its rows have to be of one moment."""
    return _pulled(sim, "snapshot")


def pulled_by_splits(sim: Simulation) -> TaskRef:
    """As ``pulled_by_key``; the rows of each range of keys have to be of one moment."""
    return _pulled(sim, "split")


def _pulled(sim: Simulation, consistency: Consistency) -> TaskRef:
    opened = sim.finish(sim.spawn("open", Actions(sim).pull(consistency, consistency)))
    sim.world.triggers.waiting.clear()
    assert isinstance(opened.result, TaskRef)
    return opened.result


def _pull(sim: Simulation, ref: TaskRef) -> None:
    sim.finish(compose(sim, ref, "read"))


def _take_over_reading(sim: Simulation, ref: TaskRef) -> None:
    _overtake(sim, ref, "read", (9, 8))


def _cancel_reading(sim: Simulation, ref: TaskRef) -> None:
    reader = compose(sim, ref, "read")
    sim.advance(reader, 9)
    insist(sim, "cancel", Actions(sim).cancel(ref))
    sim.finish(reader)


def scheduled(sim: Simulation) -> TaskRef:
    """A run that is read, and whose deliveries are opened next."""
    opened = sim.finish(sim.spawn("open", Actions(sim).run("v1")))
    sim.world.triggers.waiting.clear()
    assert isinstance(opened.result, TaskRef)
    return opened.result


def read_through(sim: Simulation) -> TaskRef:
    """A run whose rows were read, and whose deliveries are opened; nothing is delivered."""
    ref = scheduled(sim)
    sim.finish(compose(sim, ref, "read"))
    while row_of(sim, ref).state.value != "completed":
        sim.finish(compose(sim, ref, "open deliveries"))
    sim.world.triggers.waiting.clear()
    return ref


def _schedule(sim: Simulation, ref: TaskRef) -> None:
    """Two schedulers find the same tick due, one of them with an older file of the job; then it is run.

    Faults of reading and delivering are those of ``DELIVER``.
    """
    first, second = (sim.spawn(f"scheduler {version}", Actions(sim).run(version)) for version in ("v1", "v2"))
    while not (first.done and second.done):
        for scheduler in (first, second):
            sim.advance(scheduler, 1)
    if not list(sim.world.tasks.scan()):  # the fault took both: they look again at their next sweep
        insist(sim, "scheduler again", Actions(sim).run("v1"))
    sim.plan = NoFaults()
    ring_all(sim)


def _deliver(sim: Simulation, ref: TaskRef) -> None:
    """Read the rows of a run, and deliver them."""
    sim.finish(compose(sim, ref, "read"))
    ring_all(sim)


def _take_over_loading(sim: Simulation, ref: TaskRef) -> None:
    """An attempt to load rows pauses beyond its lease, another overtakes it, and it wakes up."""
    loaded = next(task for task in sim.world.tasks.scan() if task.params and task.params.target)
    _overtake(sim, loaded.ref, "load", (9, 8))


SEND = Scenario("send", nothing, _send)
PULL_BY_KEY = Scenario("pull by key", pulled_by_key, _pull)
PULL_OF_ONE_MOMENT = Scenario("pull of one moment", pulled_of_one_moment, _pull)
PULL_BY_SPLITS = Scenario("pull by splits", pulled_by_splits, _pull)
TAKE_OVER_READING = Scenario("take over reading", pulled_by_key, _take_over_reading)
TAKE_OVER_SNAPSHOT = Scenario("take over a snapshot", pulled_of_one_moment, _take_over_reading)
TAKE_OVER_SPLIT = Scenario("take over a split", pulled_by_splits, _take_over_reading)
CANCEL_READING = Scenario("cancel reading", pulled_by_key, _cancel_reading, frozenset({"cancelled"}))
COMPOSE = Scenario("compose", sealed, _compose)
TAKE_OVER = Scenario("take over", sealed, _take_over)
RELEASE = Scenario("release", sealed, _release)
CANCEL_OPEN = Scenario("cancel open", opened, _cancel_open, frozenset({"cancelled"}))
CANCEL_SEALED = Scenario("cancel sealed", sealed, _cancel_sealed, frozenset({"cancelled"}))
CANCEL_COMPOSING = Scenario("cancel composing", sealed, _cancel_composing, frozenset({"cancelled"}))
RENDER = Scenario("render again", completed, _render)
DELETE = Scenario("delete", completed, _delete, frozenset({"expired"}))
GIVE_UP = Scenario("give up", exhausted, _give_up, frozenset({"failed"}))
IDLE = Scenario("idle", opened, _idle, frozenset({"expired"}))
OUTLIVE = Scenario("outlive", completed, _outlive, frozenset())
OUTLIVE_FAILED = Scenario("outlive failed", failed, _outlive, frozenset())
OUTLIVE_DELETED = Scenario("outlive deleted", deleted, _outlive, frozenset())
SHARE = Scenario("share", shareable, _share)
DELETE_SHARED = Scenario("delete shared", shared, _delete_shared, frozenset({"expired"}))
OUTLIVE_SHARED = Scenario("outlive shared", shared, _outlive, frozenset())

SCHEDULE = Scenario("schedule", nothing, _schedule)
DELIVER = Scenario("deliver", scheduled, _deliver)
TAKE_OVER_LOADING = Scenario("take over loading", read_through, _take_over_loading)

SCENARIOS = (
    SEND,
    PULL_BY_KEY,
    PULL_OF_ONE_MOMENT,
    PULL_BY_SPLITS,
    TAKE_OVER_READING,
    TAKE_OVER_SNAPSHOT,
    TAKE_OVER_SPLIT,
    CANCEL_READING,
    COMPOSE,
    TAKE_OVER,
    RELEASE,
    CANCEL_OPEN,
    CANCEL_SEALED,
    CANCEL_COMPOSING,
    RENDER,
    DELETE,
    GIVE_UP,
    IDLE,
    OUTLIVE,
    OUTLIVE_FAILED,
    OUTLIVE_DELETED,
    SHARE,
    DELETE_SHARED,
    OUTLIVE_SHARED,
    SCHEDULE,
    DELIVER,
    TAKE_OVER_LOADING,
)
