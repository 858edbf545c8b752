"""The rows of a source become a file, each once, whatever happens to the source and to what reads it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NoReturn

import msgspec
import pytest

from sluice.adapters.thread_pool import ThreadedPool
from sluice.domain.attempts import PULL
from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId, chunk_key, input_folder, sequence_of_chunk
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Cursor
from sluice.domain.reading import moments_of
from sluice.domain.task import State, Task
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.ports.pool import SerialPool
from sluice.ports.source import ConditionError, SourceError, SourceTooSlow, SourceUnavailable
from sluice.usecases.composing.read_chunks import load_manifest, read_chunks
from sluice.usecases.lease import Outcome, acquire
from sluice.usecases.pulling.make_params import PullRequest
from sluice.usecases.pulling.open_pull import Caller, open_pull
from sluice.usecases.pulling.read_source import read_source
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.open_export import OpenRequest
from sluice.usecases.upkeep.collect_garbage import collect_garbage
from sluice.usecases.work_off import read_and_compose
from tests.support.fake_clock import FakeClock
from tests.support.listed_source import Killed, ListedSource
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

DRIVER_TEXT = "FATAL: password authentication failed for user exporter at 10.1.2.3"
CALLER = Caller(TenantId("acme"), User(name="ann", attributes={"tenant": "acme"}))


class World:
    """A service in memory, its clock, and the one table that it reads."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = ListedSource([(str(number), f"u{number}@example.com") for number in range(1, 8)])
        self.refuses: Exception | None = None
        self.ports: Ports = replace(memory_ports(self.clock), open_source=self._open)

    def _open(self, _: object) -> ListedSource:
        if self.refuses is not None:
            raise self.refuses
        return self.source

    @property
    def journal(self) -> RecordedJournal:
        assert isinstance(self.ports.journal, RecordedJournal)
        return self.ports.journal

    def open(
        self, consistency: str = "key", *, rows_max: int = 100, snapshot_max_s: float = 3600, **options: Any
    ) -> TaskRef:
        source = {"connection": "app", "table": "orders", "key": ["id"], "snapshot_max_s": snapshot_max_s}
        splits = {"splits": 3} if consistency == "split" else {}
        said = {
            "dataset": "orders",
            "source": {**source, "consistency": consistency, **splits},
            "columns": [{"name": "id", "type": "number", "label": "Order id"}, {"name": "email", "mask": "email"}],
            "limits": {"rows": rows_max},
        }
        asked = PullRequest(format=ExportFormat.CSV, options=ExportOptions(csv_bom=False, line_ending="lf", **options))
        request = OpenRequest(ExportParams(format=ExportFormat.CSV, filename=""))
        dataset = msgspec.convert(said, Dataset)
        return open_pull(self.ports, CALLER, dataset, asked, request, in_background=True).opened.task.ref

    def task(self, ref: TaskRef) -> Task:
        found = self.ports.tasks.read(ref)
        assert found is not None
        return found

    def moments(self, ref: TaskRef) -> list[tuple[float, int]]:
        """Of which readings the rows are, and how many of each: each reading is of the next moment."""
        return moments_of(self.task(ref))

    def file(self, ref: TaskRef) -> list[str]:
        task = self.task(ref)
        assert task.state is State.COMPLETED, task.last_error
        return b"".join(self.ports.objects.read_range(task.result_key, 0, task.result_size)).decode().splitlines()

    def let_lease_lapse(self) -> None:
        timings = self.ports.timings
        self.clock.advance(timings.lease_s + timings.skew_s + 1)

    def die_after(self, slices: int, ref: TaskRef) -> None:
        self.source.fails[slices] = Killed()
        with pytest.raises(Killed):
            read_source(self.ports, ref)
        self.let_lease_lapse()


@pytest.fixture
def world() -> World:
    return World()


def lines(*numbers: int) -> list[str]:
    """The file's, each row's address masked: its name is short."""
    return ["Order id,email", *(f"{number},***@example.com" for number in numbers)]


@pytest.mark.parametrize("consistency", ["key", "snapshot", "split"])
def test_all_rows_are_in_the_file_in_their_order_and_masked(world: World, consistency: str) -> None:
    ref = world.open(consistency)
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))
    assert world.source.began_after == ([None] if consistency != "split" else [None, (3,), (6,)])
    assert read_and_compose(world.ports, ref) is Outcome.DROPPED
    manifest = load_manifest(world.ports, world.task(ref))
    stored = [batch.columns[1].text for batch in read_chunks(world.ports.objects, manifest, pool=SerialPool())]
    assert "".join(map(str, stored)).replace("\0", "") == "***@example.com" * 7


def test_no_rows_are_a_file_with_its_header(world: World) -> None:
    world.source.rows = []
    ref = world.open()
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines()
    assert world.task(ref).result_rows == 0


@pytest.mark.parametrize("died_before", [0, 1, 3])
def test_a_bad_value_is_named_by_its_row_in_the_table_and_its_column(world: World, died_before: int) -> None:
    world.source.rows[4] = ("five", "u5@example.com")
    ref = world.open()
    if died_before:
        world.source.rows[4] = ("5", "u5@example.com")
        world.die_after(min(died_before, 2), ref)
        world.source.rows[4] = ("five", "u5@example.com")
    assert read_source(world.ports, ref) is Outcome.FAILED
    (failed,) = world.journal.of(Event.TASK_FAILED)
    error: Any = failed["error"]
    assert error.facts["row"] == 5
    assert error.facts["column"] == "Order id"
    task = world.task(ref)
    assert task.state is State.FAILED
    assert "five" not in f"{task.last_error} {error}"
    assert (failed["dataset"], failed["user"]) == ("orders", "ann")


def test_a_bad_value_is_text_where_the_options_say_so(world: World) -> None:
    world.source.rows = [("five", "u5@example.com")]
    ref = world.open(on_invalid="text")
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == ["Order id,email", "five,***@example.com"]


@pytest.mark.parametrize("slices", [0, 1, 3])
@pytest.mark.parametrize("consistency", ["key", "snapshot", "split"])
def test_a_source_that_is_away_is_tried_again(world: World, consistency: str, slices: int) -> None:
    ref = world.open(consistency)
    world.source.fails[min(slices, 2) if consistency == "split" else slices] = SourceUnavailable(DRIVER_TEXT)
    assert read_source(world.ports, ref) is Outcome.RELEASED
    task = world.task(ref)
    assert (task.state, task.last_error_code) == (State.WAITING, "SOURCE_UNAVAILABLE")
    assert DRIVER_TEXT not in str(msgspec.to_builtins(task))
    assert task.due_at > world.clock.now()
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))


def test_a_source_that_stays_away_fails_the_export_at_last(world: World) -> None:
    ref = world.open()
    outcomes = []
    while not world.task(ref).state.terminal:
        world.source.fails[0] = SourceUnavailable(DRIVER_TEXT)
        outcomes.append(read_source(world.ports, ref))
        world.clock.advance(world.ports.timings.outage_s / 20)
        assert len(outcomes) < 50
    assert len(outcomes) > 20, "an outage of a day is borne, as a store's is"
    assert set(outcomes[:-1]) == {Outcome.RELEASED}
    assert (world.task(ref).state, world.task(ref).last_error_code) == (State.FAILED, "ATTEMPTS_EXHAUSTED")


def fail_until_it_ends(world: World, ref: TaskRef, slices: int) -> list[Outcome]:
    """Each reading runs into the time-out of its statement after so many slices."""
    outcomes = []
    while not world.task(ref).state.terminal:
        world.source.fails[slices] = SourceTooSlow(DRIVER_TEXT)
        outcomes.append(read_source(world.ports, ref))
        world.clock.advance(world.ports.timings.backoff_max_s + 1)
        assert len(outcomes) < 50
    return outcomes


@pytest.mark.parametrize(("consistency", "slices"), [("snapshot", 0), ("snapshot", 2), ("key", 0)])
def test_a_table_that_takes_too_long_each_time_ends_the_export_and_says_what_to_do(
    world: World, consistency: str, slices: int
) -> None:
    ref, most = world.open(consistency), world.ports.timings.attempts_max
    assert fail_until_it_ends(world, ref, slices) == [*[Outcome.RELEASED] * most, Outcome.FAILED]
    task = world.task(ref)
    assert task.last_error_code == "SOURCE_TOO_SLOW"
    assert "Raise statement_timeout" in task.last_error
    assert ("consistency: split or key" in task.last_error) is (consistency == "snapshot")
    assert "connection: app" in task.last_error
    assert f"attempts: {most}" in task.last_error
    assert DRIVER_TEXT not in str(msgspec.to_builtins(task))


def test_a_table_that_is_read_on_after_each_time_out_is_read_to_its_end(world: World) -> None:
    world.source.rows = [(str(number), "x") for number in range(40)]
    ref, outcomes = world.open("key"), list[Outcome]()
    while not world.task(ref).state.terminal and len(outcomes) < 30:
        world.source.fails[1] = SourceTooSlow(DRIVER_TEXT)
        outcomes.append(read_and_compose(world.ports, ref))
        world.clock.advance(world.ports.timings.backoff_max_s + 1)
    assert (outcomes.count(Outcome.RELEASED), outcomes[-1]) == (20, Outcome.COMPLETED)
    assert len(world.file(ref)) == 41


REFUSED = [
    (SourceError(DRIVER_TEXT), "SOURCE_INVALID"),
    (ConditionError("state", "a number"), "INVALID_REQUEST"),
]


@pytest.mark.parametrize(("error", "code"), REFUSED)
@pytest.mark.parametrize("where", ["opening", "first", "later"])
def test_a_source_that_cannot_be_read_ends_the_export_with_words_of_ours(
    world: World, where: str, error: Exception, code: str
) -> None:
    ref = world.open()
    if where == "opening":
        world.refuses = error
    else:
        world.source.fails[0 if where == "first" else 2] = error
    assert read_source(world.ports, ref) is Outcome.FAILED
    task = world.task(ref)
    assert (task.state, task.last_error_code) == (State.FAILED, code)
    row = str(msgspec.to_builtins(task)) + str([*world.ports.tasks.read_attempts(ref)])
    assert DRIVER_TEXT not in row
    assert "10.1.2.3" not in row
    if code == "SOURCE_INVALID":  # its operator finds it in the log
        assert DRIVER_TEXT in str(world.journal.of(Event.SYSTEM_ERROR))


@pytest.mark.parametrize(("rows_max", "rows"), [(6, None), (7, 7), (1, None), (100, 7)])
def test_more_rows_than_the_dataset_allows_are_no_file(world: World, rows_max: int, rows: int | None) -> None:
    ref = world.open(rows_max=rows_max)
    outcome = read_and_compose(world.ports, ref)
    assert outcome is (Outcome.COMPLETED if rows else Outcome.FAILED)
    assert world.task(ref).last_error_code == ("" if rows else ErrorCode.TOO_MANY_ROWS.value)


def test_the_bound_counts_the_rows_of_all_attempts(world: World) -> None:
    ref = world.open(rows_max=6)
    world.die_after(3, ref)
    assert read_source(world.ports, ref) is Outcome.FAILED
    assert world.task(ref).last_error_code == "TOO_MANY_ROWS"


def test_a_snapshot_begins_anew_after_a_death_and_has_no_row_of_the_first_reading(world: World) -> None:
    ref = world.open("snapshot", rows_max=7)
    world.die_after(2, ref)
    assert world.task(ref).batches_received == 2
    world.source.rows = [(str(100 + number), "new@example.com") for number in range(7)]
    world.die_after(1, ref)
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == ["Order id,email", *(f"{100 + number},n***@example.com" for number in range(7))]
    assert world.source.began_after == [None, None, None]
    assert world.task(ref).result_rows == 7


def chunks(world: World, ref: TaskRef) -> list[int | None]:
    """The sequences of those that are in the store."""
    return [sequence_of_chunk(ref, item.key) for item in world.ports.objects.list(input_folder(ref))]


def test_a_reading_that_begins_anew_gives_back_what_the_former_one_wrote(world: World) -> None:
    ref = world.open("snapshot")
    world.die_after(3, ref)
    assert chunks(world, ref) == [1, 2, 3]
    world.die_after(1, ref)
    assert chunks(world, ref) == [4]
    world.die_after(0, ref)
    assert chunks(world, ref) == []
    assert read_source(world.ports, ref) is Outcome.COMPLETED
    assert chunks(world, ref)[:4] == [5, 6, 7, 8]


def test_a_chunk_of_a_former_reading_that_lands_late_goes_with_the_garbage_of_the_finished_export(world: World) -> None:
    ref = world.open("snapshot")
    world.die_after(3, ref)
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    world.ports.objects.put(chunk_key(ref, 2, "0" * 32), b"late")
    collect_garbage(world.ports, world.task(ref))
    assert [one for one in chunks(world, ref) if one] == [4, 5, 6, 7]
    assert world.file(ref) == lines(*range(1, 8))


def test_the_bound_of_batches_counts_those_of_the_present_reading_alone(world: World) -> None:
    world.ports = replace(world.ports, limits=Limits(batches_max=4))
    ref = world.open("snapshot")
    for _ in range(2):
        world.die_after(3, ref)
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))
    world.source.rows += [("8", "x"), ("9", "x")]
    ref = world.open("key")
    world.die_after(3, ref)
    assert read_source(world.ports, ref) is Outcome.FAILED
    assert world.task(ref).last_error_code == "TOO_MANY_BATCHES"


def test_by_its_key_a_reading_goes_on_behind_the_last_row_that_was_stored(world: World) -> None:
    ref = world.open("key")
    world.die_after(2, ref)
    world.source.rows[0] = ("999", "moved@example.com")
    world.die_after(1, ref)
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))
    assert world.source.began_after == [None, (4,), (6,)]


def slowly(world: World, *, total_s: float) -> Ports:
    """Ports of a reader that has ``total_s``, for a source that takes 6 s for each slice."""
    world.source.given = lambda: world.clock.advance(6)
    return replace(world.ports, timings=msgspec.structs.replace(world.ports.timings, attempt_total_s=total_s))


def test_a_reader_whose_time_is_over_hands_over_and_it_counts_as_no_failure(world: World) -> None:
    ref = world.open("key")
    assert read_source(slowly(world, total_s=10), ref) is Outcome.HANDED_OVER
    task = world.task(ref)
    assert (task.state, task.rows_received, task.strikes, task.last_error_code) == (State.WAITING, 4, 0, "")
    assert (task.lease_until, task.due_at) == (0, world.clock.now())
    assert [attempt.outcome for attempt in world.ports.tasks.read_attempts(ref)] == ["handed_over"]
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))
    assert world.source.began_after == [None, (4,)]


def test_a_split_is_handed_over_behind_those_that_are_whole_and_begins_anew(world: World) -> None:
    """By seven rows, two in a slice, in splits of three: the first is whole after 18 s."""
    ref = world.open("split", rows_max=7)
    assert read_source(slowly(world, total_s=20), ref) is Outcome.HANDED_OVER
    assert world.task(ref).strikes == 0
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))
    assert world.source.began_after == [None, (3,), (3,), (6,)]


def test_a_split_that_takes_longer_than_the_time_there_is_fails_at_last(world: World) -> None:
    ref = world.open("split")
    assert read_source(slowly(world, total_s=10), ref) is Outcome.RELEASED
    assert world.task(ref).strikes == 1


def test_rows_of_one_moment_are_not_handed_over_and_the_time_that_is_over_is_a_failure(world: World) -> None:
    ref = world.open("snapshot")
    assert read_source(slowly(world, total_s=10), ref) is Outcome.RELEASED
    task = world.task(ref)
    assert (task.state, task.strikes, task.last_error_code) == (State.WAITING, 1, "STORE_UNAVAILABLE")


def test_a_reader_that_got_nowhere_in_its_time_does_not_hand_over(world: World) -> None:
    ref = world.open("key")
    timings = msgspec.structs.replace(world.ports.timings, attempt_total_s=10)

    class WaitsInVain:
        def map(self, *_: Any, on_wait: Callable[[], object], **__: Any) -> Iterator[None]:
            world.clock.advance(11)
            on_wait()
            yield

    waits: Any = WaitsInVain()
    ports = replace(world.ports, timings=timings, source_pool=waits)
    assert read_source(ports, ref) is Outcome.RELEASED
    assert world.task(ref).strikes == 1


@pytest.mark.parametrize("consistency", ["key", "snapshot", "split"])
def test_while_another_reads_there_is_nothing_to_do(world: World, consistency: str) -> None:
    ref = world.open(consistency)
    world.source.fails[1] = Killed()
    with pytest.raises(Killed):
        read_source(world.ports, ref)
    assert read_source(world.ports, ref) is Outcome.BUSY
    assert world.source.began_after == [None]


def test_a_reader_that_was_taken_over_stores_nothing_more(world: World) -> None:
    ref = world.open("key")
    taken: list[Outcome] = []

    class Overtaken(ListedSource):
        def _slices(self, start: int, end: int) -> Any:
            for given, part in enumerate(super()._slices(start, end)):
                if given == 1 and not taken:
                    world.let_lease_lapse()
                    taken.append(Outcome.BUSY)
                    taken[0] = read_and_compose(world.ports, ref)
                yield part

    world.source = Overtaken(world.source.rows)
    assert read_source(world.ports, ref) is Outcome.FENCED
    assert taken == [Outcome.COMPLETED]
    assert world.file(ref) == lines(*range(1, 8))


@pytest.mark.parametrize("slices", [0, 1, 3])
def test_a_cancel_ends_the_reading(world: World, slices: int) -> None:
    ref = world.open("key")

    class Cancelled(ListedSource):
        def _slices(self, start: int, end: int) -> Any:
            for given, part in enumerate(super()._slices(start, end)):
                if given == slices:
                    cancel_export(world.ports, ref)
                yield part

    world.source = Cancelled(world.source.rows)
    assert read_source(world.ports, ref) is Outcome.FENCED
    assert world.task(ref).state is State.CANCELLED
    (cancelled,) = world.journal.of(Event.TASK_CANCELLED)
    assert (cancelled["dataset"], cancelled["user"]) == ("orders", "ann")


def test_a_split_that_a_reader_died_in_begins_anew_and_those_before_it_stay(world: World) -> None:
    """By seven rows, two in a slice, in splits of three."""
    ref = world.open("split", rows_max=7)
    world.die_after(1, ref)
    world.source.rows[0] = ("100", "a@example.com")

    class DiesInTheSecond(ListedSource):
        def _slices(self, start: int, end: int) -> Any:
            if start == 3 and self.moment == 3:
                self.fails[1] = Killed()
            return super()._slices(start, end)

    world.source = DiesInTheSecond(world.source.rows)
    world.source.moment = 1
    with pytest.raises(Killed):
        read_source(world.ports, ref)
    world.let_lease_lapse()
    assert (world.task(ref).batches_received, world.task(ref).rows_received) == (3, 5)
    world.source.rows[0], world.source.rows[3] = ("200", "b@example.com"), ("400", "c@example.com")
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    numbers = [line.split(",")[0] for line in world.file(ref)[1:]]
    assert numbers == ["100", "2", "3", "400", "5", "6", "7"]
    assert world.moments(ref) == [(2, 3), (4, 3), (5, 1)]
    assert (world.task(ref).result_rows, world.task(ref).batches_received) == (7, 5)


def test_the_ranges_of_keys_are_fixed_before_the_first_row(world: World) -> None:
    ref = world.open("split")
    world.source.fails["plan"] = SourceUnavailable("away")
    assert read_source(world.ports, ref) is Outcome.RELEASED
    world.let_lease_lapse()
    world.die_after(0, ref)
    world.source.rows += [(str(number), "late@example.com") for number in range(8, 20)]
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert len(world.file(ref)) == 1 + 7
    assert world.source.began_after == [None, None, (3,), (6,)]


def test_of_no_rows_the_one_reading_says_its_moment(world: World) -> None:
    world.source.rows = []
    ref = world.open("split")
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines()
    assert world.moments(ref) == [(1, 0)]


def test_a_key_reading_says_from_which_moments_its_rows_are(world: World) -> None:
    ref = world.open("key")
    world.die_after(2, ref)
    world.die_after(0, ref)
    world.die_after(1, ref)
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))
    assert world.moments(ref) == [(1, 4), (3, 2), (4, 1)]


@pytest.mark.parametrize(
    ("consistency", "moments"),
    [("split", [(1, 2), (2, 1), (3, 2), (4, 1), (5, 1)]), ("key", [(1, 2), (2, 2), (3, 2), (4, 1)])],
)
def test_no_reading_keeps_rows_as_they_were_for_longer_than_it_may(
    world: World, consistency: str, moments: list[tuple[float, int]]
) -> None:
    """A slice takes a minute and a half."""
    ref = world.open(consistency, snapshot_max_s=60)
    world.source.given = lambda: world.clock.advance(90)
    assert read_and_compose(world.ports, ref) is Outcome.COMPLETED
    assert world.file(ref) == lines(*range(1, 8))
    assert [moment for moment in world.moments(ref) if moment[1]] == moments


def test_a_snapshot_that_takes_longer_than_it_may_ends_the_export_and_says_the_way_out(world: World) -> None:
    ref = world.open("snapshot", snapshot_max_s=60)
    world.source.given = lambda: world.clock.advance(25)
    assert read_source(world.ports, ref) is Outcome.FAILED
    assert world.task(ref).last_error_code == "SOURCE_INVALID"
    assert "set consistency: split" in str(world.journal.of(Event.SYSTEM_ERROR))
    assert world.task(ref).batches_received == 3


@pytest.mark.parametrize(
    ("end", "outcome"),
    [("cancel", Outcome.FENCED), ("take over", Outcome.FENCED), ("time is up", Outcome.RELEASED)],
)
def test_a_source_that_does_not_answer_is_interrupted_once_its_reader_may_not_go_on(
    world: World, end: str, outcome: Outcome
) -> None:
    ref, timings = world.open("key"), world.ports.timings
    world.ports = replace(world.ports, source_pool=ThreadedPool(pause_s=0.01))
    interrupted = threading.Event()

    class Silent(ListedSource):
        def interrupt(self) -> None:
            interrupted.set()

        def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> NoReturn:
            if end == "cancel":
                cancel_export(world.ports, ref)
            if end == "take over":
                world.let_lease_lapse()
                acquire(world.ports, PULL, world.task(ref))
            world.clock.advance(timings.heartbeat_s if end == "cancel" else timings.attempt_max_s + 1)
            assert interrupted.wait(20), "nothing ends what waits in the source"
            raise SourceUnavailable(DRIVER_TEXT)

    world.source = Silent([])
    assert read_source(world.ports, ref) is outcome
    assert interrupted.is_set()
