"""Judges a run by what senders were told and what the stores hold; shares no code with what it judges."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from sluice.domain.run import ledger_id
from tests.support.simulation.workbook_reader import read_workbook

Rows = tuple[tuple[str, ...], ...]
Ref = tuple[str, str]
"""Tenant and task id."""

LEGAL_STEPS = {
    # open; render again makes a row that is sealed from the start
    (None, "open"),
    (None, "sealed"),
    # open for a reader; asked for again; read, batch by batch; given back; sealed by who read it
    (None, "waiting"),
    ("waiting", "waiting"),
    ("waiting", "reading"),
    ("reading", "reading"),
    ("reading", "waiting"),
    ("reading", "sealed"),
    ("waiting", "failed"),
    ("reading", "failed"),
    ("waiting", "cancelled"),
    ("reading", "cancelled"),
    # a batch; the seal
    ("open", "open"),
    ("open", "sealed"),
    # postponed or rung by the sweeper; an attempt begins
    ("sealed", "sealed"),
    ("sealed", "composing"),
    # heartbeat, take-over, the sweeper's bell; release; finish
    ("composing", "composing"),
    ("composing", "sealed"),
    ("composing", "completed"),
    # failed for good
    ("sealed", "failed"),
    ("composing", "failed"),
    # cancelled, expired
    ("open", "cancelled"),
    ("sealed", "cancelled"),
    ("composing", "cancelled"),
    ("open", "expired"),
    ("completed", "expired"),
    # housekeeping of what has ended
    ("completed", "completed"),
    ("failed", "failed"),
    ("cancelled", "cancelled"),
    ("expired", "expired"),
    # a tombstone's time is over
    ("failed", None),
    ("cancelled", None),
    ("expired", None),
}
ENDED = {"completed", "failed", "cancelled", "expired"}
SEALED_FOR_EVER = ("total_batches", "total_rows", "man_sha", "sheet_rows", "sealed_at")
RESULT = (
    "result_key", "result_size", "result_crc64", "result_sha256", "result_rows", "result_of", "content_sha", "warnings",
)  # fmt: skip
FIXED_FOR_EVER = ("tenant", "task_id", "params_sha", "created_at")

SKEW_MAX_S = 60
"""No actor's clock is further from the true time."""

_RESULT_KEY = re.compile(r"out/v1/[0-9a-f]{2}/([^/]+)/([^/]+)/(\d{4})-([0-9a-f]{16})/[^/]+")
_CHUNK_KEY = re.compile(r"in/v1/[0-9a-f]{2}/([^/]+)/([^/]+)/c/([0-9]{8})-([0-9a-z]+)\.?.*")


class Violation(AssertionError):
    """An invariant of the protocol does not hold."""


class Content(NamedTuple):
    """What a batch holds."""

    rows: Rows
    sheet: int = 0
    """Index of the declared table that they belong to."""


class Committed(NamedTuple):
    """The file a task was completed with."""

    key: str
    data: bytes
    sheets: tuple[Rows, ...]
    """The rows of each table."""


@dataclass(slots=True)
class Facts:
    """What is known of one task besides its row."""

    offered: dict[int, list[Content]] = field(default_factory=dict)
    """Every content a sender ever tried to put under a sequence."""
    acked: dict[int, Content] = field(default_factory=dict)
    claims: dict[int, str] = field(default_factory=dict)
    """The digest of the chunk that each sequence was claimed with."""
    cancelled: bool = False
    """A cancel was acknowledged."""
    deleted: bool = False
    """A delete was asked for."""
    committed: Committed | None = None
    bytes_made: bytes | None = None
    """What the first attempt made, named by the row or not."""
    params: dict[str, Any] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    """The states the row went through."""

    def copy(self) -> Facts:
        """A copy that can be written to on its own."""
        return replace(
            self,
            offered={sequence: list(variants) for sequence, variants in self.offered.items()},
            acked=dict(self.acked),
            claims=dict(self.claims),
            path=list(self.path),
        )


class Oracle:
    """Told of every acknowledgement and of every change in the stores; raises ``Violation`` at once.

    ``peek`` gives the bytes under a key, or None; ``now`` the true time.
    ``read_file`` reads the rows of a file of one table. An open task is kept for ``idle_s`` after its last batch.
    """

    def __init__(self, peek: Callable[[str], bytes | None], now: Callable[[], float], *, idle_s: float) -> None:
        self._peek = peek
        self._now = now
        self._idle_s = idle_s
        self.checks_names = True
        self.still: list[tuple[str, str]] = []
        self.loaded: Callable[[str], Rows] = lambda _: ()
        """What the target of deliveries holds of one, by its task."""
        self.moments: dict[float, dict[int, str]] = {}
        """The table's rows at each moment at which a reading began."""
        """The rows of the source that no writer touches."""
        self.read_file = read_csv
        self.tasks: dict[Ref, Facts] = {}
        self.rows: dict[Ref, Any] = {}
        self.steps: set[tuple[str | None, str | None]] = set()
        """Every kind of step that was seen."""

    def believe(self, other: Oracle) -> None:
        """Start from what another oracle knows."""
        self.tasks = {ref: facts.copy() for ref, facts in other.tasks.items()}
        self.rows = dict(other.rows)

    def facts(self, ref: Ref) -> Facts:
        return self.tasks.setdefault((ref[0], ref[1]), Facts())

    # What senders do and hear.

    def offer(self, ref: Ref, sequence: int, content: Content) -> None:
        variants = self.facts(ref).offered.setdefault(sequence, [])
        if content not in variants:
            variants.append(content)

    def acknowledge(self, ref: Ref, sequence: int, content: Content) -> None:
        facts = self.facts(ref)
        if facts.acked.setdefault(sequence, content) != content:
            raise Violation(f"I2 batch {sequence} was acknowledged twice, with different rows or for different tables")
        row = self.rows.get(ref)
        if row is not None and row.state != "open" and sequence > row.total_batches:
            raise Violation(f"I2b batch {sequence} was acknowledged and is not in the manifest")
        if facts.committed is not None:
            self._check_content(ref, facts.committed.sheets)

    def refuse_missing(self, ref: Ref, missing: Iterable[int]) -> None:
        acked = self.facts(ref).acked
        if lost := [sequence for sequence in missing if sequence in acked]:
            raise Violation(f"I2b batches {lost} are said to be missing and were acknowledged")

    def acknowledge_cancel(self, ref: Ref) -> None:
        facts = self.facts(ref)
        if facts.committed is not None:
            raise Violation("I4 a cancel was acknowledged for a completed task")
        facts.cancelled = True

    def download(self, ref: Ref, key: str, data: bytes | None) -> None:
        """A reader followed a link that it was given for ``ref``."""
        facts = self.facts(ref)
        gone = self.rows.get(ref) is None or self.rows[ref].state == "expired"
        if data is None and gone:
            return
        if facts.committed is None or (key, data) != (facts.committed.key, facts.committed.data):
            raise Violation("I3 a link serves something else than the committed file")

    # What happens in the stores.

    def object_written(self, key: str) -> None:
        """A put or a completion is about to write ``key``."""
        if any(facts.committed is not None and facts.committed.key == key for facts in self.tasks.values()):
            raise Violation("I1 a committed object was written again")

    def attempt_completed(self, key: str, data: bytes) -> None:
        """An attempt has made its file; every attempt at the same rows must make the same bytes."""
        result = _RESULT_KEY.fullmatch(key)
        if result is None:
            return
        facts = self.facts((result[1], result[2]))
        if facts.bytes_made not in {None, data}:
            raise Violation("I8 two attempts at one task made different bytes")
        facts.bytes_made = data

    def object_deleted(self, key: str) -> None:
        """``key`` is about to be deleted."""
        if result := _RESULT_KEY.fullmatch(key):
            self._check_result_may_go((result[1], result[2]), key)
        elif chunk := _CHUNK_KEY.fullmatch(key):
            self._check_chunk_may_go((chunk[1], chunk[2]), int(chunk[3]), chunk[4])
        elif key.startswith("out/"):
            self._check_named_by_none(key)

    def _check_result_may_go(self, ref: Ref, key: str) -> None:
        row = self.rows.get(ref)
        if row is not None and row.state == "completed" and row.result_key == key:
            raise Violation("I3 a committed object was deleted")
        self._check_named_by_none(key)

    def _check_named_by_none(self, key: str) -> None:
        if any(row.state == "completed" and row.result_key == key for row in self.rows.values()):
            raise Violation("I3 a committed object was deleted")

    def _check_chunk_may_go(self, ref: Ref, sequence: int, sha: str) -> None:
        row, claimed = self.rows.get(ref), self.facts(ref).claims.get(sequence)
        is_taken_by_another = claimed is not None and claimed != sha
        if is_taken_by_another or (claimed is None and row is not None and row.state != "open"):
            return  # no claim can name it any more
        if row is not None and not row.has_batch(sequence):
            return  # of a reading that was begun anew
        if row is None or row.state in {"cancelled", "expired"} or row.deleted_at or not row.params:
            return
        if row.state == "failed" and row.expires_at <= self._now() + SKEW_MAX_S:
            return
        raise Violation(f"I2 a chunk of a task in state {row.state} was deleted")

    def row_changed(self, ref: Ref, before: Any, after: Any) -> None:
        """One write changed a row; None is no row."""
        self._check_step(before, after)
        if after is None:
            del self.rows[ref]
            self.tasks.pop(ref, None)
            return
        self.rows[ref] = after
        facts = self.facts(ref)
        if before is None:
            facts.params = msgspec.to_builtins(after.params)
        if not facts.path or facts.path[-1] != after.state:
            facts.path.append(str(after.state.value))
        if before is not None and (before.state, after.state) == ("composing", "completed"):
            self._check_commit(ref, facts, after)

    def _check_step(self, before: Any, after: Any) -> None:
        step = (before and str(before.state.value), after and str(after.state.value))
        if step not in LEGAL_STEPS:
            raise Violation(f"I6 illegal step from {step[0]} to {step[1]}")
        self.steps.add(step)
        if before is None or after is None:
            return
        if after.rev != before.rev + 1:
            raise Violation(f"I6 rev went from {before.rev} to {after.rev}")
        self._check_epoch(before, after)
        if step == ("open", "expired") and self._now() + SKEW_MAX_S < before.last_batch_at + self._idle_s:
            raise Violation("I2 a task expired although a batch had just been acknowledged")
        fixed = FIXED_FOR_EVER + (() if before.state in {"open", "reading"} else SEALED_FOR_EVER)
        fixed += () if step == ("composing", "completed") else RESULT
        changed = [name for name in fixed if getattr(before, name) != getattr(after, name)]
        if changed:
            raise Violation(f"I6 {', '.join(changed)} changed from {step[0]} to {step[1]}")
        is_over = after.state in {"cancelled", "expired"} or after.deleted_at
        allowed = [before.params] + [None] * (after.state in ENDED)
        if before.params and is_over:
            allowed.append(before.params.without_columns())
        if after.params not in allowed:
            raise Violation("I6 the parameters changed")

    def _check_epoch(self, before: Any, after: Any) -> None:
        raised = after.epoch - before.epoch
        if raised not in {0, 1} or (raised and after.state not in {"composing", "reading"}):
            raise Violation(f"I6 epoch went from {before.epoch} to {after.epoch} in state {after.state}")
        begun = (before.state, after.state) in {("sealed", "composing"), ("waiting", "reading")}
        if begun and not raised:
            raise Violation("I6 an attempt began without an epoch of its own")
        if (before.owner != after.owner) != bool(raised):
            raise Violation("I6 the owner changed without the epoch, or the epoch without the owner")

    def _check_commit(self, ref: Ref, facts: Facts, row: Any) -> None:
        if facts.cancelled:
            raise Violation("I4 completed after a cancel was acknowledged")
        if facts.committed is not None:
            raise Violation("I1 a second file")
        if not row.params.is_file:
            self._check_without_file(ref, facts, row)
            return
        data = self._peek(row.result_key)
        if data is None:
            raise Violation("I3 the committed key does not exist")
        key = _RESULT_KEY.fullmatch(row.result_key)
        if key is None or (key[1], key[2]) != (ref[0], row.result_of or ref[1]):
            raise Violation(f"I1 {row.result_key} is no result of this task")
        if row.result_of:
            self._check_shared((ref[0], row.result_of), row)
        elif self.checks_names and (int(key[3]), key[4]) != (row.epoch, row.owner):
            raise Violation("I1 finished by an attempt that had been fenced")
        declared = [sheet["name"] for sheet in facts.params.get("sheets", ())]
        sheets = read_sheets(data, declared) if declared else (self.read_file(data),)
        told = (row.result_size, row.result_sha256, row.result_rows)
        if told != (len(data), hashlib.sha256(data).hexdigest(), sum(map(len, sheets))):
            raise Violation(f"I2 the row says {told} of another file")
        if declared and row.sheet_rows != tuple(map(len, sheets)):
            raise Violation(f"I2 the row says {row.sheet_rows} of other tables")
        facts.committed = Committed(row.result_key, data, sheets)
        self._check_content(ref, sheets)

    def _loaded_of(self, ref: Ref, row: Any) -> Rows:
        """What the target holds of a delivery."""
        return self.loaded(ledger_id(ref[1], row.params.source_created_at))

    def _check_without_file(self, ref: Ref, facts: Facts, row: Any) -> None:
        """A run has opened its deliveries; one into a table has all of the rows there, each once."""
        rows = self._loaded_of(ref, row) if row.params.target else ()
        if row.result_key or (row.params.target and row.result_rows != len(rows)):
            raise Violation(f"I2 the row says {row.result_rows} of a table that has {len(rows)} rows")
        facts.committed = Committed("", b"", (rows,))
        if row.params.target:
            self._check_content(ref, (rows,))

    def _check_shared(self, owner: Ref, row: Any) -> None:
        """Another task was completed with a file that ``owner`` was completed with, and that its row keeps for it."""
        committed, kept = self.facts(owner).committed, self.rows.get(owner)
        if committed is None or committed.key != row.result_key or kept is None:
            raise Violation("I1 a shared file is not the one its owner was completed with")
        if kept.shared_with.get(row.task_id, 0) < row.expires_at:
            raise Violation("I3 a shared file is not kept for as long as the task that has it")

    def _check_content(self, ref: Ref, sheets: tuple[Rows, ...]) -> None:
        """Each table is, for each of its sequences in order, the rows that were acknowledged or at least offered."""
        if self.facts(ref).params.get("pulled"):
            self._check_pulled(sheets[0])
            self._check_moments(self.rows[ref], sheets[0])
            return
        row, position = self.rows[ref], [0] * len(sheets)
        source = self.facts((ref[0], self.facts(ref).params.get("source_task", ref[1])))
        if extra := [sequence for sequence in source.acked if sequence > row.total_batches]:
            raise Violation(f"I2b batches {extra} were acknowledged and are not in the file")
        for sequence in range(1, row.total_batches + 1):
            acked = source.acked.get(sequence)
            choices = [acked] if acked is not None else source.offered.get(sequence, [])
            fitting = [choice for choice in choices if _stands(choice, sheets, position)]
            if not fitting:
                raise Violation(f"I2 batch {sequence} is not in the file as it was sent")
            longest = max(fitting, key=lambda choice: len(choice.rows))
            position[longest.sheet] += len(longest.rows)
        if position != list(map(len, sheets)):
            raise Violation(f"I2 the file has {list(map(len, sheets))} rows, the batches have {position}")

    def _check_pulled(self, rows: Rows) -> None:
        """Each row that stays where it is once, every other one at most once, all in the order of their keys."""
        keys = [int(row[0]) for row in rows]
        if keys != sorted(set(keys)):
            raise Violation(f"I2 rows of the source are doubled or out of order: {keys}")
        still = [row for row in rows if int(row[0]) % 10 == 0]
        if still != self.still:
            raise Violation(f"I2 rows of the source are missing or changed: {still}")

    def _check_moments(self, row: Any, rows: Rows) -> None:
        """The rows of each moment that the row names are those of the table at that moment, without a gap."""
        said = [(one.read_at, one.rows) for one in row.readings.past]
        said.append((row.read_at, len(rows) - sum(count for _, count in said)))
        of_one_moment = row.params.pulled.consistency != "key"
        left = list(rows)
        for at, count in said:
            read, left = left[:count], left[count:]
            if not of_one_moment or not read:
                continue
            first, last = int(read[0][0]), int(read[-1][0])
            then = [(str(key), text) for key, text in sorted(self.moments[at].items()) if first <= key <= last]
            if [tuple(one) for one in read] != then:
                raise Violation(f"I2 the rows of moment {at} were others: {then}, and not {read}")
        if left or (row.params.pulled.consistency == "snapshot" and len(said) > 1):
            raise Violation(f"I2 the rows are of other moments than {said}")

    # At the end.

    def committed_files_stand(self) -> None:
        runs = [row.params.run for row in self.rows.values() if row.params and row.params.run]
        if len({(run.job, run.tick) for run in runs}) < len(runs):
            raise Violation("I1 a tick has several runs")
        for ref, row in self.rows.items():
            committed = self.facts(ref).committed
            if row.state != "completed":
                continue
            if committed is None or (row.result_key and self._peek(row.result_key) != committed.data):
                raise Violation("I1 the committed bytes are gone or changed")
            if run := row.params.run:
                self._check_same_rows(ref, run)
                continue
            if row.params.target and committed.sheets != (self._loaded_of(ref, row),):
                raise Violation("I2 the rows of a table have changed")
            self._check_content(ref, committed.sheets)

    def _check_same_rows(self, ref: Ref, run: Any) -> None:
        """Each output of a run is there, and all have the same rows."""
        made = {
            row.params.output: self.facts(one).committed
            for one, row in self.rows.items()
            if row.params and row.params.source_task == ref[1]
        }
        found = [made.get(output.name) for output in run.outputs]
        if None in found or len({one.sheets for one in found if one is not None}) > 1:
            raise Violation(f"I2 the outputs of a run have different rows: {found}")


def _stands(content: Content, sheets: tuple[Rows, ...], position: list[int]) -> bool:
    """Whether the rows come next in their table."""
    first = position[content.sheet]
    return sheets[content.sheet][first : first + len(content.rows)] == content.rows


def read_sheets(data: bytes, declared: list[str]) -> tuple[Rows, ...]:
    """The rows of each declared table below its header."""
    found = read_workbook(data)
    if list(found) != declared or {rows[:1] for rows in found.values()} != {(("sequence", "value"),)}:
        raise Violation(f"I2 the worksheets are {found}")
    return tuple(rows[1:] for rows in found.values())


def read_csv(data: bytes) -> Rows:
    """The rows below the header, by the standard library."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    if not rows or rows[0] != ["sequence", "value"]:
        raise Violation(f"I2 the header is {rows[:1]}")
    return tuple(tuple(row) for row in rows[1:])
