"""What every task store must do when many change one row at once. ``C…`` are the cases of the test plan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Guard
from sluice.domain.task import State
from sluice.ports.task_store import ClaimedTask, TaskStore
from tests.contracts.at_once import at_once, repeating
from tests.contracts.opens_tasks import OpensTasks
from tests.contracts.task_builder import NOW, a_claim, a_task, params_called


class TaskRaceContract(OpensTasks):
    """Adopt it by a subclass whose name begins with ``Test``."""

    def test_of_a_hundred_creators_one_wins(self, store: TaskStore) -> None:  # C17
        is_mine = at_once(100, lambda index: store.create(a_task(params=params_called(f"creator {index}"))))
        assert is_mine.count(True) == 1
        task = store.read(a_task().ref)
        assert task is not None
        assert task.params == params_called(f"creator {is_mine.index(True)}")

    def test_of_a_hundred_updates_on_one_rev_one_wins(self, store: TaskStore) -> None:  # C18
        task = a_task()
        store.create(task)
        guard = Guard(state=State.OPEN, rev=0)
        is_mine = at_once(100, lambda index: store.update(task.ref, guard, {"owner": f"writer {index}"}))
        assert is_mine.count(True) == 1
        held = store.read(task.ref)
        assert held is not None
        assert (held.rev, held.owner) == (1, f"writer {is_mine.index(True)}")

    def test_of_many_that_acquire_one_epoch_one_wins(self, store: TaskStore) -> None:
        task = a_task(state=State.SEALED)
        store.create(task)
        guard = Guard(state=State.SEALED, epoch=0)
        is_mine = at_once(50, lambda _: store.update(task.ref, guard, {"state": State.COMPOSING, "epoch": 1}))
        assert is_mine.count(True) == 1

    def test_of_many_that_claim_one_sequence_one_wins(self, store: TaskStore) -> None:
        task = a_task()
        store.create(task)
        is_mine = at_once(50, lambda index: store.claim(task.ref, a_claim(1, rows=index), at=NOW, due_at=NOW))
        assert is_mine.count(True) == 1
        assert store.read_claim(task.ref, 1) == a_claim(1, rows=is_mine.index(True))

    def test_every_success_of_fifty_writers_is_counted_once(self, store: TaskStore) -> None:  # C20
        task = a_task()
        store.create(task)

        def write(index: int) -> list[bool]:
            """Claim our own sequences, fight over a few shared ones, and update now and then."""
            ours = [store.claim(task.ref, a_claim(1000 + index * 10 + n, rows=n), at=NOW, due_at=NOW) for n in range(4)]
            shared = [store.claim(task.ref, a_claim(1 + n, rows=7), at=NOW, due_at=NOW) for n in range(2)]
            updated = store.update(task.ref, Guard(state=State.OPEN), {"owner": str(index)})
            return [*ours, *shared, updated]

        successes = sum(sum(outcome) for outcome in at_once(50, write))
        held = _read(store, task.ref)
        assert successes == 50 * 5 + 2
        assert held.task.rev == successes
        assert held.task.batches_received == len(held.claims) == 50 * 4 + 2
        assert held.task.rows_received == 50 * (0 + 1 + 2 + 3) + 2 * 7

    def test_row_and_claims_are_read_as_of_one_moment(self, store: TaskStore) -> None:
        task = a_task()
        store.create(task)
        with repeating(lambda turn: store.claim(task.ref, a_claim(turn + 1, rows=turn), at=NOW, due_at=NOW)):
            for _ in range(100):
                held = _read(store, task.ref)
                assert held.task.batches_received == held.task.rev == len(held.claims)
                assert held.task.rows_received == sum(claim.rows for claim in held.claims.values())

    def test_what_was_acknowledged_is_in_what_was_sealed(self, store: TaskStore) -> None:
        """Batches race the close: whoever seals on an unchanged rev has seen every batch that was said yes to."""
        for turn in range(5):
            task = a_task(str(turn))
            store.create(task)
            begun = Event()

            def send(index: int, ref: TaskRef = task.ref, begun: Event = begun) -> list[int]:
                sequences = range(1 + index * 100, 40 + index * 100)
                acknowledged = []
                for sequence in sequences:
                    if store.claim(ref, a_claim(sequence), at=NOW, due_at=NOW):
                        acknowledged.append(sequence)
                        begun.set()
                return acknowledged

            with ThreadPoolExecutor(4) as pool:
                senders = [pool.submit(send, index) for index in range(4)]
                begun.wait(30)
                sealed = _seal(store, task.ref)
                acknowledged = {sequence for sender in senders for sequence in sender.result()}
            assert acknowledged == set(sealed.claims)
            assert not store.claim(task.ref, a_claim(9999), at=NOW, due_at=NOW)


def _read(store: TaskStore, ref: TaskRef) -> ClaimedTask:
    held = store.read_claims(ref)
    assert held is not None
    return held


def _seal(store: TaskStore, ref: TaskRef) -> ClaimedTask:
    """Close as the use case does: read, and seal what was read, until nothing came in between."""
    while True:
        held = _read(store, ref)
        if store.update(ref, Guard(state=State.OPEN, rev=held.task.rev), {"state": State.SEALED}):
            return held
