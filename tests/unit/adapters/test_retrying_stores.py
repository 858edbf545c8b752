"""Which calls are repeated when their outcome is unknown, how often, and how far apart."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.adapters.retrying import RetryingStore, RetryingTasks
from sluice.domain.attempts import LeaseEnds
from sluice.domain.events import Event
from sluice.domain.lifecycle import Guard
from sluice.domain.task import Attempt, State
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.retry import RetryRule
from sluice.ports.store_errors import NoSuchObject, OutcomeUnknown, StoreRefused
from tests.contracts.task_builder import NOW, TENANT, a_claim, a_task
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.recorded_journal import RecordedJournal

UPLOAD = Upload("a", "upload-1")


class Failing:
    """Stands before a store: the first calls fail, after or before the store did its work."""

    def __init__(self, inner: object, *, failures: int, after: bool = False) -> None:
        self._inner = inner
        self._after = after
        self.failures = failures
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if self.failures > 0:
                self.failures -= 1
                if self._after:
                    getattr(self._inner, name)(*arguments, **options)
                raise OutcomeUnknown("lost")
            return getattr(self._inner, name)(*arguments, **options)

        return call


def prepared_store() -> MemoryStore:
    """A store with an object and an upload, both ``a``."""
    store = MemoryStore(clock=FakeClock())
    store.put("a", b"0123456789")
    store.put_part(store.begin_upload("a", metadata={}), 1, b"part")
    return store


def prepared_tasks() -> MemoryTasks:
    tasks = MemoryTasks()
    tasks.create(a_task())
    return tasks


def retrying_store(inner: Any, tries: int = 3) -> RetryingStore:
    return RetryingStore(inner, clock=FakeClock(), randomness=SeededRandomness(), rule=RetryRule(tries=tries))


def retrying_tasks(inner: Any, tries: int = 3) -> RetryingTasks:
    return RetryingTasks(inner, clock=FakeClock(), randomness=SeededRandomness(), rule=RetryRule(tries=tries))


REPEATED_OBJECT_CALLS: dict[str, Callable[[RetryingStore], object]] = {
    "put": lambda s: s.put("b", b"", metadata={"m": "1"}),
    "get": lambda s: s.get("a"),
    "head": lambda s: s.head("a"),
    "delete": lambda s: s.delete(["a"]),
    "begin_upload": lambda s: s.begin_upload("a", metadata={"m": "1"}),
    "put_part": lambda s: s.put_part(UPLOAD, 1, b"part"),
    "abort_upload": lambda s: s.abort_upload(UPLOAD),
}

OBJECT_CALLS_MADE_ONCE: dict[str, Callable[[RetryingStore], object]] = {
    "complete_upload": lambda s: s.complete_upload(UPLOAD, [PartReceipt(1, "", 4)]),
    "list": lambda s: list(s.list("")),
    "list_uploads": lambda s: list(s.list_uploads("")),
}

REPEATED_TASK_CALLS: dict[str, Callable[[RetryingTasks], object]] = {
    "read": lambda t: t.read(a_task().ref),
    "read_rev": lambda t: t.read_rev(a_task().ref),
    "read_claims": lambda t: t.read_claims(a_task().ref),
    "read_claim": lambda t: t.read_claim(a_task().ref, 1),
    "page": lambda t: t.page(TENANT, state=State.OPEN, limit=3, cursor=""),
    "count": lambda t: t.count(TENANT, State.OPEN),
    "count_leased": lambda t: t.count_leased(TENANT, LeaseEnds(0, NOW)),
    "forget_claims": lambda t: t.forget_claims(a_task().ref),
    "due": lambda t: t.due(NOW, limit=3),
    "log_attempt": lambda t: t.log_attempt(a_task().ref, Attempt(epoch=1, owner="me", started_at=NOW)),
    "read_attempts": lambda t: t.read_attempts(a_task().ref),
}

TASK_CALLS_MADE_ONCE: dict[str, Callable[[RetryingTasks], object]] = {
    "create": lambda t: t.create(a_task("new")),
    "claim": lambda t: t.claim(a_task().ref, a_claim(1), at=NOW, due_at=NOW),
    "update": lambda t: t.update(a_task().ref, Guard(state=State.OPEN), {"owner": "me"}),
    "remove": lambda t: t.remove(a_task().ref, Guard(state=State.OPEN)),
    "scan": lambda t: list(t.scan()),
}


@pytest.mark.parametrize("name", REPEATED_OBJECT_CALLS)
def test_an_idempotent_call_to_the_object_store_is_repeated(name: str) -> None:
    for after in (False, True):
        failing = Failing(prepared_store(), failures=2, after=after)
        answer = REPEATED_OBJECT_CALLS[name](retrying_store(failing))
        assert failing.calls == [name] * 3
        if name != "begin_upload":
            assert answer == getattr(prepared_store(), name)(*_arguments(name))


def _arguments(name: str) -> tuple[object, ...]:
    """What the direct call takes, to compare its answer."""
    by_name: dict[str, tuple[object, ...]] = {
        "put": ("b", b""),
        "delete": (["a"],),
        "put_part": (UPLOAD, 1, b"part"),
        "abort_upload": (UPLOAD,),
    }
    return by_name.get(name, ("a",))


@pytest.mark.parametrize("name", OBJECT_CALLS_MADE_ONCE)
def test_any_other_call_to_the_object_store_is_made_once(name: str) -> None:
    failing = Failing(prepared_store(), failures=1)
    with pytest.raises(OutcomeUnknown):
        OBJECT_CALLS_MADE_ONCE[name](retrying_store(failing))
    assert failing.calls == [name]


@pytest.mark.parametrize("name", REPEATED_TASK_CALLS)
def test_an_idempotent_call_to_the_task_store_is_repeated(name: str) -> None:
    for after in (False, True):
        failing = Failing(prepared_tasks(), failures=2, after=after)
        answer = REPEATED_TASK_CALLS[name](retrying_tasks(failing))
        assert failing.calls == [name] * 3
        assert answer == REPEATED_TASK_CALLS[name](retrying_tasks(prepared_tasks()))


@pytest.mark.parametrize("name", TASK_CALLS_MADE_ONCE)
def test_a_conditional_call_to_the_task_store_is_made_once(name: str) -> None:
    failing = Failing(prepared_tasks(), failures=1)
    with pytest.raises(OutcomeUnknown):
        TASK_CALLS_MADE_ONCE[name](retrying_tasks(failing))
    assert failing.calls == [name]


def test_the_tables_above_name_every_call() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(RetryingStore) == REPEATED_OBJECT_CALLS.keys() | OBJECT_CALLS_MADE_ONCE.keys() | {"read_range"}
    assert public(RetryingTasks) == REPEATED_TASK_CALLS.keys() | TASK_CALLS_MADE_ONCE.keys()


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_no_more_tries_are_made_than_allowed(tries: int) -> None:
    failing = Failing(prepared_store(), failures=100)
    with pytest.raises(OutcomeUnknown):
        retrying_store(failing, tries).get("a")
    assert len(failing.calls) == tries


def test_a_definite_answer_is_not_asked_for_again() -> None:
    failing = Failing(prepared_store(), failures=0)
    with pytest.raises(NoSuchObject):
        retrying_store(failing).get("missing")
    assert failing.calls == ["get"]


def test_waits_are_random_below_a_bound_that_doubles_up_to_a_limit() -> None:
    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    waits = []
    for seed in range(200):
        clock = FakeClock()
        failing: Any = Failing(prepared_store(), failures=8)
        RetryingStore(failing, clock=clock, randomness=SeededRandomness(seed), rule=RetryRule(tries=9)).get("a")
        waits.append(clock.slept)
    for bound, column in zip(bounds, zip(*waits, strict=True), strict=True):
        assert all(0 <= wait < bound for wait in column)
        assert min(column) < bound / 10, "full jitter begins at zero"
        assert max(column) > bound * 0.9


def test_the_number_of_tries_starts_at_one() -> None:
    with pytest.raises(ValueError):
        retrying_store(prepared_store(), tries=0)


class BreakingRange(MemoryStore):
    """A store whose ranges break off after so many blocks, as often as it says."""

    def __init__(self, data: bytes, *, blocks: int, breaks: int) -> None:
        super().__init__(clock=FakeClock())
        self.put("a", data)
        self.blocks = blocks
        self.breaks = breaks
        self.asked: list[int] = []

    def read_range(self, key: str, start: int, end: int) -> Generator[bytes]:
        self.asked.append(start)
        for number, block in enumerate(super().read_range(key, start, end)):
            if self.breaks > 0 and number == self.blocks:
                self.breaks -= 1
                raise OutcomeUnknown("connection lost")
            yield block


def test_a_range_that_breaks_off_goes_on_where_it_broke() -> None:
    data = SeededRandomness(1).bytes(5 << 20)
    store = BreakingRange(data, blocks=2, breaks=2)
    assert b"".join(retrying_store(store).read_range("a", 100, 5 << 20)) == data[100:]
    assert store.asked == [100, 100 + (2 << 20), 100 + (4 << 20)]


def test_a_range_that_goes_on_breaking_without_a_block_is_unknown() -> None:
    store = BreakingRange(b"0123456789", blocks=0, breaks=100)
    with pytest.raises(OutcomeUnknown):
        list(retrying_store(store).read_range("a", 0, 10))
    assert store.asked == [0, 0, 0]


def test_a_range_of_nothing_is_nothing() -> None:
    assert list(retrying_store(prepared_store()).read_range("a", 3, 3)) == []


class Throttling(Failing):
    """Fails like a store that says how long it wants to be left alone."""

    def __init__(self, *, failures: int, asks_s: float) -> None:
        super().__init__(prepared_store(), failures=failures)
        self.asks_s = asks_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        inner = super().__getattr__(name)

        def call(*arguments: Any, **options: Any) -> Any:
            try:
                return inner(*arguments, **options)
            except OutcomeUnknown:
                raise OutcomeUnknown("throttled", retry_after_s=self.asks_s) from None

        return call


@pytest.mark.parametrize(("asks_s", "waits_s"), [(0, 0), (0.5, 0.5), (10, 10), (3600, 10)])
def test_a_store_that_asks_for_time_gets_it_within_reason(asks_s: float, waits_s: float) -> None:
    clock = FakeClock()
    throttling: Any = Throttling(failures=2, asks_s=asks_s)
    RetryingStore(throttling, clock=clock, randomness=SeededRandomness(), rule=RetryRule(tries=3)).get("a")
    assert [0 <= wait - waits_s < bound for wait, bound in zip(clock.slept, [0.1, 0.2], strict=True)] == [True, True]


@pytest.mark.parametrize(("within_s", "calls"), [(0.99, 1), (1.5, 2), (2.9, 3), (1000, 5)])
def test_no_try_begins_after_the_time_for_all_tries_is_over(within_s: float, calls: int) -> None:
    clock = FakeClock()
    throttling: Any = Throttling(failures=100, asks_s=1)
    rule = RetryRule(tries=5, within_s=within_s)
    store = RetryingStore(throttling, clock=clock, randomness=SeededRandomness(), rule=rule)
    with pytest.raises(OutcomeUnknown):
        store.get("a")
    assert len(throttling.calls) == calls
    assert clock.monotonic() <= within_s, "nobody waits for a try that will not be made"


def test_the_time_for_all_tries_counts_the_tries_themselves() -> None:
    clock = FakeClock()
    failing = Failing(prepared_store(), failures=100)

    class Slow(Failing):
        def __getattr__(self, name: str) -> Callable[..., Any]:
            clock.advance(4)
            return getattr(failing, name)  # type: ignore[no-any-return] # a call of the other

    slow: Any = Slow(None, failures=0)
    store = RetryingStore(slow, clock=clock, randomness=SeededRandomness(), rule=RetryRule(tries=9, within_s=10))
    with pytest.raises(OutcomeUnknown):
        store.get("a")
    assert failing.calls == ["get"] * 3


def test_a_refusal_is_not_repeated() -> None:
    class Refusing(MemoryStore):
        calls = 0

        def get(self, key: str) -> bytes:
            self.calls += 1
            raise StoreRefused("no", code="AccessDenied")

    store = Refusing(clock=FakeClock())
    with pytest.raises(StoreRefused):
        retrying_store(store).get("a")
    assert store.calls == 1


def test_each_try_that_is_made_again_is_recorded_and_parts_of_uploads_apart() -> None:
    journal, store = RecordedJournal(), MemoryStore(clock=FakeClock())
    store.put("a", b"a")
    failing = Failing(store, failures=2)
    retrying = RetryingStore(
        failing,
        clock=FakeClock(),
        randomness=SeededRandomness(),
        journal=journal,
    )
    assert retrying.get("a") == b"a"
    upload = retrying.begin_upload("b", metadata={})
    failing.failures = 3
    retrying.put_part(upload, 1, b"part")
    failing.failures = 4
    with pytest.raises(OutcomeUnknown):
        retrying.put_part(upload, 2, b"part")
    assert journal.events() == [Event.CALL_REPEATED] * 2 + [Event.UPLOAD_ERROR] * 6
    assert {str(fields["error"]) for _, fields in journal.entries} == {"lost"}


def test_each_read_of_a_row_that_is_made_again_is_recorded() -> None:
    journal = RecordedJournal()
    failing = Failing(MemoryTasks(), failures=1)
    tasks = RetryingTasks(
        failing,
        clock=FakeClock(),
        randomness=SeededRandomness(),
        journal=journal,
    )
    assert tasks.read(a_task().ref) is None
    assert journal.events() == [Event.CALL_REPEATED]
