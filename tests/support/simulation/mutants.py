"""Wrong designs, each one change away from ours: what a harness that finds nothing must be able to find.

M1 to M13 have the numbers of the protocol page; M7 is the column form's
counterpart of its variant. N1 and up are about what is particular to this code.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import msgspec

from sluice.adapters.memory.tasks import MemoryTasks
from sluice.adapters.retrying import RetryingTasks
from sluice.domain import lifecycle, shared_result
from sluice.domain.attempts import Progress, WorkKind
from sluice.domain.keys import TaskId, TaskRef, output_folder
from sluice.domain.lifecycle import Guard, Transition
from sluice.domain.limits import Limits, Timings
from sluice.domain.manifest import Claim, Manifest, short_sha
from sluice.domain.reading import Reading
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.ports.retry import CHANGES, Retry
from sluice.ports.store_errors import OutcomeUnknown
from sluice.ports.task_store import ClaimedTask
from sluice.tables import chunk_codec
from sluice.tables.batch import Batch
from sluice.usecases import apply_transition as applying
from sluice.usecases import lease
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.composing import compose_export, read_chunks, reuse_result, write_result
from sluice.usecases.composing.write_result import ComposeLease
from sluice.usecases.pulling import read_source
from sluice.usecases.sending import cancel_export, close_export, put_batch
from sluice.usecases.sending.put_batch import BatchReceipt
from sluice.usecases.upkeep import collect_garbage, sweep_tasks
from tests.support.simulation.chaos import SHEETS_MIX, Chaos, run_chaos
from tests.support.simulation.oracle import Violation
from tests.support.simulation.scenarios import (
    DELETE_SHARED,
    IDLE,
    OUTLIVE_FAILED,
    SHARE,
    TAKE_OVER_SNAPSHOT,
    Scenario,
    run_scenario,
)
from tests.support.simulation.simulation import Simulation, Stores
from tests.support.simulation.watched_stores import WatchedTasks

Patch = Callable[[], AbstractContextManager[None]]
Hunt = Callable[[int, Stores], Simulation]


class Mutant(NamedTuple):
    """``patch`` breaks the code, ``stores`` the stores; ``hunt`` is where the damage shows, first as ``symptom``."""

    name: str
    symptom: str
    hunt: Hunt
    patch: Patch = nullcontext
    stores: Stores = Stores()

    def first_kill(self, seeds: int) -> tuple[int, str] | None:
        """The first seed that shows the damage and what it shows; None: the mutant lives."""
        with self.patch():
            for seed in range(seeds):
                try:
                    self.hunt(seed, self.stores)
                except Violation as violation:
                    return seed, str(violation)
        return None


@contextmanager
def replaced(module: ModuleType | type, name: str, value: object) -> Iterator[None]:
    old = vars(module)[name]
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, old)


def update(ports: Ports, ref: TaskRef, step: Transition) -> bool:
    """Take a step by one call, whatever comes of it."""
    return ports.tasks.update(ref, step.guard, TaskFields(**step.fields, state=step.target))


def one_key() -> AbstractContextManager[None]:
    def fixed(ref: TaskRef, *, epoch: int, nonce: str, extension: str) -> str:
        return f"{output_folder(ref)}0001-{16 * '0'}/export.{extension}"

    return replaced(write_result, "result_key", fixed)


class FinishesWithoutEpoch(WatchedTasks):
    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        if fields.get("state") is State.COMPLETED and guard.state is State.COMPOSING:
            guard = Guard(state=guard.state)
        return super().update(ref, guard, fields)


class FinishesWithoutState(WatchedTasks):
    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        row = self.read(ref)
        if fields.get("state") is State.COMPLETED and guard.state is State.COMPOSING and row is not None:
            guard = Guard(state=row.state, epoch=guard.epoch)
        return super().update(ref, guard, fields)


def deletes_its_file_when_in_doubt() -> AbstractContextManager[None]:
    def hasty(ports: Ports, ref: TaskRef, step: Transition) -> bool:
        try:
            return update(ports, ref, step)
        except OutcomeUnknown:
            if step.target is State.COMPLETED:
                ports.objects.delete([step.fields["result_key"]])
            return False

    return replaced(lease, "apply_transition", hasty)


def collects_every_unnamed_file() -> AbstractContextManager[None]:
    sweep_task = sweep_tasks.sweep_task

    def greedy(ports: Ports, ref: TaskRef, memory: sweep_tasks.SweepMemory) -> sweep_tasks.Swept:
        task = ports.tasks.read(ref)
        if task is not None:
            keys = [item.key for item in ports.objects.list(output_folder(ref))]
            ports.objects.delete([key for key in keys if key != task.result_key])
        return sweep_task(ports, ref, memory)

    return replaced(sweep_tasks, "sweep_task", greedy)


class ClaimsWhateverTheState(WatchedTasks):
    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        row = self.read(ref)
        if row is None or row.state is State.OPEN:
            return super().claim(ref, claim, at=at, due_at=due_at, reading=reading)
        self._tasks[ref] = msgspec.structs.replace(row, state=State.OPEN)
        claimed = MemoryTasks.claim(self, ref, claim, at=at, due_at=row.due_at, reading=reading)
        self._tasks[ref] = msgspec.structs.replace(self._tasks[ref], state=row.state)
        return claimed


def closes_in_spite_of_extra_batches() -> AbstractContextManager[None]:
    check_totals = close_export.check_totals

    def blind(held: ClaimedTask, request: close_export.CloseRequest, limits: Limits) -> Manifest:
        last = request.batches if request.batches is not None else max(held.claims, default=0)
        claims = {sequence: claim for sequence, claim in held.claims.items() if sequence <= last}
        return check_totals(held._replace(claims=claims), request, limits)

    return replaced(close_export, "check_totals", blind)


def puts_the_manifest_before_the_seal() -> AbstractContextManager[None]:
    seal = close_export._seal

    def late(ports: Ports, task: Task, manifest: Manifest, *, is_unchecked: bool) -> bool:
        close_export.put_manifest(ports, task.ref, manifest)
        row = ports.tasks.read(task.ref)
        return row is not None and row.state is State.OPEN and seal(ports, row, manifest, is_unchecked=is_unchecked)

    return replaced(close_export, "_seal", late)


def _key_of_sequence(ref: TaskRef, sequence: int, sha: str) -> str:
    del sha
    return f"in/v1/00/{ref.tenant}/{ref.task_id}/c/{sequence:08d}-chunk"


@contextmanager
def names_chunks_by_sequence() -> Iterator[None]:
    with (
        replaced(put_batch, "chunk_key", _key_of_sequence),
        replaced(read_chunks, "chunk_key", _key_of_sequence),
    ):
        yield


@contextmanager
def names_and_believes_by_sequence() -> Iterator[None]:
    def gullible(body: bytes, claim: Claim, *, size_max: int) -> Batch:
        canonical = zlib.decompress(body, -15)
        rows = msgspec.msgpack.decode(canonical)[1]
        found = Claim(claim.sequence, short_sha(canonical), rows, len(canonical))
        return chunk_codec.decode_chunk(body, found, size_max=len(canonical) + size_max)

    with (
        names_chunks_by_sequence(),
        replaced(read_chunks, "decode_chunk", gullible),
        replaced(put_batch, "_remove_unclaimed", lambda ports, ref, claim: None),
    ):
        yield


class SealsWithoutRev(WatchedTasks):
    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        if guard.state is State.OPEN and fields.get("state") is State.SEALED:
            guard = Guard(state=guard.state)
        return super().update(ref, guard, fields)


class ClaimsTakenSequences(WatchedTasks):
    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        row, claims = self.read(ref), self._claims.get(ref, {})
        old = claims.get(claim.sequence)
        if row is not None and row.state is State.OPEN and old is not None:
            claims[claim.sequence] = claim
            return True
        return super().claim(ref, claim, at=at, due_at=due_at, reading=reading)


def acknowledges_any_claim() -> AbstractContextManager[None]:
    def careless(ports: Ports, ref: TaskRef, claim: Claim) -> bool:
        return ports.tasks.read_claim(ref, claim.sequence) is not None

    return replaced(put_batch, "_is_taken", careless)


def takes_silence_for_a_claim() -> AbstractContextManager[None]:
    def hopeful(ports: Ports, ref: TaskRef, claim: Claim, *, created_at: float) -> BatchReceipt:
        try:
            now = ports.clock.now()
            ports.tasks.claim(ref, claim, at=now, due_at=now + ports.timings.idle_s)
        except OutcomeUnknown:
            return BatchReceipt(claim.sequence, claim.rows, claim.sha, replayed=False)
        return claim_for_sure(ports, ref, claim, created_at=created_at)

    claim_for_sure = put_batch._claim
    return replaced(put_batch, "_claim", hopeful)


def takes_silence_for_a_cancel() -> AbstractContextManager[None]:
    def hopeful(ports: Ports, ref: TaskRef, step: Transition) -> bool:
        try:
            return update(ports, ref, step)
        except OutcomeUnknown:
            return True

    return replaced(cancel_export, "apply_transition", hopeful)


def takes_silence_for_a_seal() -> AbstractContextManager[None]:
    def hopeful(ports: Ports, ref: TaskRef, step: Transition) -> bool:
        try:
            return update(ports, ref, step)
        except OutcomeUnknown:
            return True

    return replaced(close_export, "apply_transition", hopeful)


class AcquiresWithoutEpoch(WatchedTasks):
    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        if "epoch" in fields:
            guard = Guard(state=guard.state)
        return super().update(ref, guard, fields)


def takes_over_under_the_same_epoch() -> AbstractContextManager[None]:
    def lazy(ports: Ports, ref: TaskRef, step: Transition) -> bool:
        if step.guard.state is State.COMPOSING and "epoch" in step.fields and step.guard.epoch is not None:
            step = replace(step, fields=TaskFields(**{**step.fields, "epoch": step.guard.epoch}))
        return apply_transition(ports, ref, step)

    return replaced(lease, "apply_transition", lazy)


def forgets_who_needs_chunks() -> AbstractContextManager[None]:
    return replaced(collect_garbage, "keeps_chunks", lambda task, now: False)


def never_forgets_chunks() -> AbstractContextManager[None]:
    keeps_chunks = collect_garbage.keeps_chunks
    return replaced(collect_garbage, "keeps_chunks", lambda task, now: keeps_chunks(task, 0))


def forgets_who_shares() -> AbstractContextManager[None]:
    return replaced(collect_garbage, "is_needed", lambda task, now: False)


def shares_without_keeping() -> AbstractContextManager[None]:
    return replaced(reuse_result, "apply_transition", lambda ports, ref, step: True)


def gives_back_for_all() -> AbstractContextManager[None]:
    give_back = shared_result.give_back

    def generous(source: Task, task_id: TaskId, *, now: float) -> Transition:
        step = give_back(source, task_id, now=now)
        return replace(step, fields=TaskFields(**{**step.fields, "shared_with": {}}))

    return replaced(collect_garbage, "give_back", generous)


class ExpiresWithoutRev(WatchedTasks):
    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        if guard.state is State.OPEN and fields.get("state") is State.EXPIRED:
            guard = Guard(state=guard.state)
        return super().update(ref, guard, fields)


def ignores_the_sheet_of_a_taken_sequence() -> AbstractContextManager[None]:
    is_taken = put_batch._is_taken

    def blind(ports: Ports, ref: TaskRef, claim: Claim) -> bool:
        held = ports.tasks.read_claim(ref, claim.sequence)
        return is_taken(ports, ref, claim if held is None else msgspec.structs.replace(claim, sheet=held.sheet))

    return replaced(put_batch, "_is_taken", blind)


def lists_chunks_by_sequence_alone() -> AbstractContextManager[None]:
    def seal(ref: TaskRef, claims: Iterable[Claim], *, source_task: str = "") -> Manifest:
        chunks = tuple(sorted(claims, key=lambda claim: claim.sequence))
        rows = sum(chunk.rows for chunk in chunks)
        return Manifest(ref.tenant, ref.task_id, source_task or ref.task_id, rows, chunks)

    return replaced(Manifest, "seal", staticmethod(seal))


@contextmanager
def unfenced(module: ModuleType, step: str, *columns: str) -> Iterator[None]:
    """A step whose guard does not compare ``columns``, and no table that would ask for them."""
    fenced: Callable[..., Transition] = vars(module)[step]

    def open_to_all(*args: Any, **facts: Any) -> Transition:
        taken = fenced(*args, **facts)
        return replace(taken, guard=msgspec.structs.replace(taken.guard, **dict.fromkeys(columns)))

    with replaced(module, step, open_to_all), replaced(applying, "check", lambda _: None):
        yield


def takes_anothers_attempt_for_its_own() -> AbstractContextManager[None]:
    acquire = lifecycle.acquire

    def vain(kind: WorkKind[Progress], task: Task, *, owner: str, now: float, timings: Timings) -> Transition:
        step = acquire(kind, task, owner=owner, now=now, timings=timings)
        return replace(step, is_mine=lambda row: row.epoch == task.epoch + 1)

    return replaced(lifecycle, "acquire", vain)


def gives_back_before_the_row_leaves_it_out() -> AbstractContextManager[None]:
    def hasty(ports: Ports, ref: TaskRef, step: Transition) -> bool:
        task = ports.tasks.read(ref)
        if task is not None and "first_sequence" in step.fields:
            left_out = msgspec.structs.replace(task, first_sequence=step.fields["first_sequence"])
            collect_garbage.collect_left_out(ports, left_out)
        return apply_transition(ports, ref, step)

    return replaced(read_source, "apply_transition", hasty)


def gives_back_nothing() -> AbstractContextManager[None]:
    return replaced(collect_garbage, "_left_out", lambda ports, task: iter(()))


PLAIN = Chaos("plain")
CANCEL = Chaos("cancel", cancel=True)
RACING = Chaos("racing", batches=2, extra=True)
CONFLICT = Chaos("conflict", conflict=True)
SUPERVISED = Chaos("supervised", supervise=True)
SHARED = Chaos("shared", batches=1, twins=3)


def in_chaos(mix: Chaos) -> Hunt:
    """Look for the damage in random schedules."""
    return lambda seed, stores: run_chaos(seed, mix, stores=stores)


def in_script(scenario: Scenario) -> Hunt:
    """Look for the damage in one scripted run."""
    return lambda seed, stores: run_scenario(scenario, stores=stores)


MUTANTS = (
    Mutant("M1 one key for all attempts", "I1", in_chaos(SUPERVISED), one_key, Stores(checks_names=False)),
    Mutant("M2 finishes without epoch", "I1", in_chaos(SUPERVISED), nullcontext, Stores(FinishesWithoutEpoch)),
    Mutant("M3 finishes without state", "I6", in_chaos(CANCEL), nullcontext, Stores(FinishesWithoutState)),
    Mutant("M4 deletes its file when in doubt", "I3", in_chaos(PLAIN), deletes_its_file_when_in_doubt),
    Mutant("M6 collects every unnamed file", "I3", in_chaos(SUPERVISED), collects_every_unnamed_file),
    Mutant("M7 claims whatever the state", "I2b", in_chaos(RACING), nullcontext, Stores(ClaimsWhateverTheState)),
    Mutant("M8 closes in spite of extra batches", "I2b", in_chaos(RACING), closes_in_spite_of_extra_batches),
    Mutant("M9 puts the manifest before the seal", "I2b", in_chaos(RACING), puts_the_manifest_before_the_seal),
    Mutant("M10 names chunks by sequence, unchecked", "I2", in_chaos(CONFLICT), names_and_believes_by_sequence),
    Mutant("M11 names chunks by sequence", "I5", in_chaos(CONFLICT), names_chunks_by_sequence),
    Mutant("M12 has no sweeper", "I5", in_chaos(PLAIN._replace(sweeping=False))),
    Mutant("M13 seals without rev", "I2b", in_chaos(RACING), nullcontext, Stores(SealsWithoutRev)),
    Mutant("N1 claims taken sequences", "I2", in_chaos(CONFLICT), nullcontext, Stores(ClaimsTakenSequences)),
    Mutant("N2 acknowledges any claim", "I2", in_chaos(CONFLICT), acknowledges_any_claim),
    Mutant("N3 takes silence for a claim", "I2b", in_chaos(PLAIN), takes_silence_for_a_claim),
    Mutant("N4 takes silence for a cancel", "I4", in_chaos(CANCEL), takes_silence_for_a_cancel),
    Mutant("N5 acquires without epoch", "I6", in_chaos(SUPERVISED), nullcontext, Stores(AcquiresWithoutEpoch)),
    Mutant("N6 takes over under the same epoch", "I6", in_chaos(PLAIN), takes_over_under_the_same_epoch),
    Mutant("N7 forgets who needs chunks", "I2", in_chaos(PLAIN), forgets_who_needs_chunks),
    Mutant("N8 expires without rev", "I2", in_script(IDLE), nullcontext, Stores(ExpiresWithoutRev)),
    Mutant("N9 keeps the chunks of failed tasks for ever", "I7", in_script(OUTLIVE_FAILED), never_forgets_chunks),
    Mutant("N10 ignores the sheet", "I2", in_chaos(SHEETS_MIX), ignores_the_sheet_of_a_taken_sequence),
    Mutant("N11 lists chunks by sequence alone", "I5", in_chaos(SHEETS_MIX), lists_chunks_by_sequence_alone),
    Mutant("N12 a seal whose step has no rev", "I2b", in_chaos(RACING), partial(unfenced, close_export, "seal", "rev")),
    Mutant(
        "N13 a completion whose step has no epoch",
        "I1",
        in_chaos(SUPERVISED),
        partial(unfenced, compose_export, "complete", "epoch"),
    ),
    Mutant(
        "N14 an acquisition whose step has no epoch",
        "I6",
        in_chaos(SUPERVISED),
        partial(unfenced, lifecycle, "acquire", "epoch"),
    ),
    Mutant("N15 takes another's attempt for its own", "I1", in_chaos(PLAIN), takes_anothers_attempt_for_its_own),
    Mutant(
        "N16 an idle expiry whose step has no rev",
        "I2",
        in_script(IDLE),
        partial(unfenced, sweep_tasks, "expire_idle", "rev"),
    ),
    Mutant("N18 forgets who shares a file", "I3", in_script(DELETE_SHARED), forgets_who_shares),
    Mutant("N19 shares a file without keeping it", "I3", in_script(SHARE), shares_without_keeping),
    Mutant("N20 gives a file back for all", "I3", in_script(DELETE_SHARED), gives_back_for_all),
    Mutant(
        "N21 a share whose step has no rev", "I3", in_chaos(SHARED), partial(unfenced, reuse_result, "share", "rev")
    ),
    Mutant(
        "N22 gives back before the row leaves it out",
        "I2",
        in_script(TAKE_OVER_SNAPSHOT),
        gives_back_before_the_row_leaves_it_out,
    ),
    Mutant("N23 gives back nothing of a former reading", "I7", in_script(TAKE_OVER_SNAPSHOT), gives_back_nothing),
    Mutant("N17 takes silence for a seal", "a close was acknowledged", in_chaos(PLAIN), takes_silence_for_a_seal),
)
"""Those that break no invariant, and only waste work, are below: their tests count what they waste."""


def refuses_a_lost_completion() -> AbstractContextManager[None]:
    """M5: NoSuchUpload is a failure, whatever lies under the key."""
    return replaced(write_result, "_is_ours", lambda ports, upload, attempt: False)


def believes_the_last_answer() -> AbstractContextManager[None]:
    """A change is repeated, and what comes last is its outcome: a no that only says that the first try won."""

    def settle(ports: Ports, attempt: Callable[[], bool | None], read_back: Callable[[bool], bool | None]) -> bool:
        return Retry(CHANGES, ports.clock, ports.randomness).call(attempt) or bool(read_back(False))

    return replaced(applying, "settle", settle)


def repeats_conditional_changes_in_the_adapter() -> AbstractContextManager[None]:
    """The same mistake, further out, where no use case sees that an answer was lost."""

    def update(self: RetryingTasks, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        return self._retry.call(lambda: self._tasks.update(ref, guard, fields))

    return replaced(RetryingTasks, "update", update)


def goes_on_when_it_is_fenced() -> AbstractContextManager[None]:
    """A heartbeat that is not ours any more is taken for one that got no answer."""
    heartbeat = lease.heartbeat

    def stubborn(ports: Ports, held: ComposeLease) -> None:
        try:
            heartbeat(ports, held)
        except lease.Fenced:
            held.beat_at = ports.clock.monotonic()

    return replaced(lease, "heartbeat", stubborn)
