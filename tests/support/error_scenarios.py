"""One way to each error code, by calls that a sender can make on either face and faults that a store can have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.task_columns import decode_task, encode_task
from sluice.domain.api_key import Scope
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId, input_folder, manifest_key
from sluice.domain.lifecycle import Guard
from sluice.domain.limits import Limits, Timings
from sluice.domain.task import State, Task
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import OutcomeUnknown, StoreFull
from sluice.usecases.sending.cancel_export import delete_export
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks
from tests.support.either_face import GRPC, HTTP, ORDERS, BothApis, EitherApi, Refusal, Wish, end_stream_early, granted
from tests.support.fake_clock import FakeClock

SECRET_CELL = "Hemlig"
"""Every text cell begins with it, and no answer may have it."""
SECRET_WORDS = "bucket-7:/srv/vault/rows.db"
"""What failing stores say, and no answer may repeat."""

DAY_S, WEEK_S = 24 * 3600, 7 * 24 * 3600
NO_TASK = "a" * 26
THREE = (("id", "number"), ("name", "string"), ("more", "string"))

Answer = str | Refusal
Provoke = Callable[[BothApis, EitherApi], Answer]
Service = Callable[[], dict[str, Any]]


def rows_of(first: int, count: int) -> list[list[str]]:
    return [[str(number), f"{SECRET_CELL}-{number}"] for number in range(first, first + count)]


class FullQueue:
    """An admission that has no room."""

    def admit(self, tenant: TenantId) -> None:
        raise SluiceError(ErrorCode.QUEUE_FULL, queued=7, retry_after_s=30)

    def has_room(self, tenant: TenantId) -> bool:
        return False


class FullDisk(ForwardingStore):
    """A store that has no room."""

    def put(self, key: str, data: bytes, **more: object) -> None:
        raise StoreFull(f"{SECRET_WORDS} {key}")


class UnclearPuts(ForwardingStore):
    """A store that never says whether a put happened."""

    def put(self, key: str, data: bytes, **more: object) -> None:
        raise OutcomeUnknown(f"{SECRET_WORDS} {key}")


class ShortResults(ForwardingStore):
    """A store that loses the last byte of every upload."""

    def complete_upload(self, upload: Upload, receipts: Sequence[PartReceipt]) -> None:
        super().complete_upload(upload, receipts)
        metadata = self.head(upload.key).metadata
        self.put(upload.key, self.get(upload.key)[:-1], metadata=metadata)


class BrokenCount:
    """A task store with a bug nobody foresaw in one of its methods."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def count(self, tenant: str, state: State) -> int:
        raise RuntimeError(SECRET_WORDS)


class DamagedRows(BrokenCount):
    """A task store in whose rows another program has written a state."""

    def count(self, tenant: str, state: State) -> int:
        return 0

    def read(self, ref: TaskRef) -> Task | None:
        return (task := self._target.read(ref)) and decode_task({**encode_task(task), "state": "asleep"})


@dataclass(frozen=True)
class Scenario:
    """How a code comes about, in a service that ``service`` shapes, for a caller whose tenant did nothing yet."""

    provoke: Provoke
    service: Service = dict
    faces: tuple[str, ...] = (HTTP, GRPC)
    alone: bool = False
    """Whether the service is of no use to another scenario afterwards."""


def ref_of(face: EitherApi, task_id: str) -> TaskRef:
    return TaskRef(TenantId(face.tenant), TaskId(task_id))


def opened(face: EitherApi, *batches: list[list[str]], wish: Wish = ORDERS) -> str:
    """A task with these batches."""
    task_id = granted(face.open(wish))
    for sequence, rows in enumerate(batches, 1):
        granted(face.put(task_id, sequence, rows))
    return task_id


def completed(faces: BothApis, face: EitherApi) -> str:
    task_id = opened(face, rows_of(1, 2))
    granted(face.close(task_id))
    faces.memory.invoker.join()
    assert face.status(task_id) == "completed"
    return task_id


def failed_link(faces: BothApis, face: EitherApi, task_id: str) -> Answer:
    """What the link of a task answers that failed, which its status has to say, too."""
    faces.memory.invoker.join()
    assert face.status(task_id) == "failed"
    answer = face.link(task_id)
    assert isinstance(answer, Refusal)
    assert face.failure(task_id) == answer.code
    return answer


def reuse_key(_: BothApis, face: EitherApi) -> Answer:
    granted(face.open(Wish(key="order-7")))
    return face.open(Wish(key="order-7", columns=(("other", "string"),)))


def ask_after_delete(faces: BothApis, face: EitherApi) -> Answer:
    task_id = completed(faces, face)
    delete_export(faces.memory.ports, ref_of(face, task_id))
    return face.status(task_id)


def open_key_of_deleted(faces: BothApis, face: EitherApi) -> Answer:
    task_id = granted(face.open(Wish(key="order-7")))
    granted(face.close(task_id))
    faces.memory.invoker.join()
    delete_export(faces.memory.ports, ref_of(face, task_id))
    return face.open(Wish(key="order-7"))


def put_second_version(_: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, [["1", f"{SECRET_CELL}-a"]])
    return face.put(task_id, 1, [["1", f"{SECRET_CELL}-b"]])


def put_after_close(faces: BothApis, face: EitherApi) -> Answer:
    return face.put(completed(faces, face), 2, rows_of(3, 1))


def close_with_gaps(_: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, rows_of(1, 1))
    granted(face.put(task_id, 3, rows_of(3, 1)))
    return face.close(task_id, batches=4)


def close_otherwise(_: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, rows_of(1, 2))
    granted(face.close(task_id, batches=1, rows=2))
    return face.close(task_id, batches=1, rows=7)


def link_after_retention(faces: BothApis, face: EitherApi) -> Answer:
    task_id = completed(faces, face)
    _advance(faces, WEEK_S)
    return face.link(task_id)


def put_into_abandoned(faces: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, rows_of(1, 1))
    _advance(faces, DAY_S)
    sweep_tasks(faces.memory.ports)
    return face.put(task_id, 2, rows_of(2, 1))


def _advance(faces: BothApis, seconds: float) -> None:
    clock = faces.memory.clock
    assert isinstance(clock, FakeClock)
    clock.advance(seconds)


def link_after_cancel(_: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, rows_of(1, 1))
    granted(face.cancel(task_id))
    return face.link(task_id)


def lose_chunk(faces: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, rows_of(1, 2))
    faces.memory.store.delete([_chunk_of(faces, face, task_id)])
    granted(face.close(task_id))
    return failed_link(faces, face, task_id)


def outgrow_the_file(faces: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, rows_of(1, 9))
    granted(face.close(task_id))
    return failed_link(faces, face, task_id)


def rot_chunk(faces: BothApis, face: EitherApi) -> Answer:
    task_id = opened(face, rows_of(1, 2))
    faces.memory.store.put(_chunk_of(faces, face, task_id), b"rotten")
    granted(face.close(task_id))
    return failed_link(faces, face, task_id)


def _chunk_of(faces: BothApis, face: EitherApi, task_id: str) -> str:
    (chunk,) = faces.memory.store.list(input_folder(ref_of(face, task_id)) + "c/")
    return chunk.key


def forge_manifest(faces: BothApis, face: EitherApi) -> Answer:
    """Both stores agree on a manifest with one row more than its chunks have."""
    memory = faces.memory
    task_id = opened(face, rows_of(1, 2))
    granted(face.close(task_id))  # the composer is paused
    row = memory.row(task_id, face.tenant)
    manifest = json.loads(memory.store.get(manifest_key(row.ref, row.man_sha)))
    forged = json.dumps({**manifest, "rows": manifest["rows"] + 1}).encode()
    sha = hashlib.sha256(forged).hexdigest()[:32]
    assert memory.tasks.update(row.ref, Guard(state=State.SEALED, epoch=row.epoch), {"man_sha": sha})
    memory.ports.objects.put(manifest_key(row.ref, sha), forged)
    return failed_link(faces, face, task_id)


def fail_every_attempt(faces: BothApis, face: EitherApi) -> Answer:
    """The only attempt does not verify and is given back; the next bell gives up."""
    task_id = opened(face, rows_of(1, 2))
    granted(face.close(task_id))
    faces.memory.invoker.join()
    assert face.status(task_id) == "sealed"
    assert face.link(task_id)[0] == "NOT_READY"
    granted(face.close(task_id))  # a repeated close rings again
    return failed_link(faces, face, task_id)


def open_twice(_: BothApis, face: EitherApi) -> Answer:
    granted(face.open())
    return face.open()


def render_twice(faces: BothApis, face: EitherApi) -> Answer:
    task_id = completed(faces, face)
    granted(face.render(task_id, "xlsx"))
    return face.render(task_id, "jsonl")


def ask_twice(_: BothApis, face: EitherApi) -> Answer:
    task_id = granted(face.open())
    return face.status(task_id)


def close_full_sheet(_: BothApis, face: EitherApi) -> Answer:
    wish = Wish(kind="xlsx", options={"on_sheet_full": "error"})
    return face.close(opened(face, rows_of(1, 2), wish=wish))


def of_options(**options: object) -> Provoke:
    return lambda _, face: face.open(Wish(options=options))


def of_batch(rows: list[list[str]], *, sequence: int = 1, sha256: str = "", wish: Wish = ORDERS) -> Provoke:
    """Put one batch into a new task."""
    return lambda _, face: face.put(granted(face.open(wish)), sequence, rows, sha256=sha256)


def of_totals(*batches: list[list[str]], wish: Wish = ORDERS, **totals: int) -> Provoke:
    """Close a task of these batches with these totals."""
    return lambda _, face: face.close(opened(face, *batches, wish=wish), **totals)


def small() -> dict[str, Any]:
    limits = Limits(
        batches_max=3,
        batch_bytes_max=100,
        batch_rows_max=3,
        rows_max=3,
        columns_max=2,
        sheet_rows_max=2,
        cell_units_max=10,
        open_tasks_max=1,
    )
    return {"limits": limits}


def rendered_once() -> dict[str, Any]:
    return {"limits": Limits(renders_max=1)}


def narrow() -> dict[str, Any]:
    return {"limits": Limits(result_bytes_max=20)}


def timed() -> dict[str, Any]:
    return {"clock": FakeClock()}


def paused() -> dict[str, Any]:
    return {"paused": True}


def losing_bytes() -> dict[str, Any]:
    return {"objects": ShortResults, "timings": Timings(attempts_max=1)}


def unclear() -> dict[str, Any]:
    return {"objects": UnclearPuts}


def no_room() -> dict[str, Any]:
    return {"objects": FullDisk}


def full() -> dict[str, Any]:
    return {"admission": FullQueue()}


def slow() -> dict[str, Any]:
    return {"clock": FakeClock(), "rate_per_s": 0.5, "rate_burst": 1}


def damaged() -> dict[str, Any]:
    return {"tasks": DamagedRows}


def broken() -> dict[str, Any]:
    return {"tasks": BrokenCount}


SCENARIOS: dict[str, Scenario] = {
    "IDEMPOTENCY_KEY_REUSED": Scenario(reuse_key),
    "TASK_NOT_FOUND": Scenario(lambda _, face: face.status(NO_TASK)),
    "TASK_NOT_FOUND/no id": Scenario(lambda _, face: face.link("no-id")),
    "TASK_DELETED": Scenario(ask_after_delete),
    "TASK_DELETED/its key": Scenario(open_key_of_deleted),
    "SEQ_OUT_OF_RANGE": Scenario(of_batch(rows_of(1, 1), sequence=0)),
    "SEQ_OUT_OF_RANGE/negative": Scenario(of_batch(rows_of(1, 1), sequence=-1)),
    "SEQ_OUT_OF_RANGE/large": Scenario(of_batch(rows_of(1, 1), sequence=2**31)),
    "ROW_WIDTH_MISMATCH": Scenario(of_batch([*rows_of(1, 1), [SECRET_CELL]])),
    "INVALID_VALUE": Scenario(of_batch([*rows_of(1, 1), [SECRET_CELL, SECRET_CELL]])),
    "INVALID_TEXT": Scenario(of_batch([*rows_of(1, 1), ["2", f"{SECRET_CELL}\0"]])),
    "INVALID_TEXT/encoding": Scenario(
        of_batch([*rows_of(1, 2), ["3", f"{SECRET_CELL} 价"]], wish=Wish(options={"csv_encoding": "windows-1252"}))
    ),
    "CELL_TOO_LONG": Scenario(of_batch([["1", "short"], ["2", SECRET_CELL * 2]], wish=Wish(kind="xlsx")), small),
    "BATCH_TOO_LARGE": Scenario(of_batch([["1", SECRET_CELL * 20]]), small),
    "BATCH_TOO_LARGE/rows": Scenario(of_batch(rows_of(1, 4)), small),
    "TOO_MANY_BATCHES": Scenario(of_batch(rows_of(1, 1), sequence=4), small),
    "TOO_MANY_BATCHES/totals": Scenario(of_totals(rows_of(1, 1), batches=4), small),
    "TOO_MANY_ROWS": Scenario(of_totals(rows_of(1, 2), rows_of(3, 2)), small),
    "TOO_MANY_ROWS/sheet": Scenario(close_full_sheet, small),
    "TOO_MANY_COLUMNS": Scenario(lambda _, face: face.open(Wish(columns=THREE)), small),
    "UNSUPPORTED_FORMAT": Scenario(lambda _, face: face.open(Wish(kind="pdf"))),
    "UNSUPPORTED_ENCODING": Scenario(of_options(csv_encoding="ebcdic")),
    "CHECKSUM_MISMATCH": Scenario(of_batch(rows_of(1, 1), sha256="0" * 64)),
    "BATCH_CONFLICT": Scenario(put_second_version),
    "TASK_CLOSED": Scenario(put_after_close),
    "BATCHES_MISSING": Scenario(close_with_gaps),
    "BATCHES_EXTRA": Scenario(of_totals(rows_of(1, 1), rows_of(2, 1), rows_of(3, 1), batches=1)),
    "TOTALS_MISMATCH": Scenario(of_totals(rows_of(1, 2), rows=5)),
    "TOTALS_MISMATCH/expected": Scenario(of_totals(rows_of(1, 2), wish=Wish(expected=3))),
    "TOTALS_MISSING": Scenario(lambda _, face: end_stream_early(face, rows_of(1, 2)), faces=(GRPC,)),
    "ALREADY_CLOSED": Scenario(close_otherwise),
    "ALREADY_COMPLETED": Scenario(lambda faces, face: face.cancel(completed(faces, face))),
    "NOT_READY": Scenario(lambda _, face: face.link(granted(face.open()))),
    "NOT_READY/render": Scenario(lambda _, face: face.render(granted(face.open()), "xlsx")),
    "EXPIRED": Scenario(link_after_retention, timed),
    "EXPIRED/idle": Scenario(put_into_abandoned, timed),
    "CANCELLED": Scenario(link_after_cancel),
    "CHUNK_MISSING": Scenario(lose_chunk),
    "CHUNK_CORRUPT": Scenario(rot_chunk),
    "ROW_COUNT_MISMATCH": Scenario(forge_manifest, paused, alone=True),
    "TASK_DAMAGED": Scenario(lambda _, face: face.status(granted(face.open())), damaged),
    "RESULT_TOO_LARGE": Scenario(outgrow_the_file, narrow),
    "ATTEMPTS_EXHAUSTED": Scenario(fail_every_attempt, losing_bytes),
    "STORE_UNAVAILABLE": Scenario(of_batch(rows_of(1, 1)), unclear),
    "STORAGE_FULL": Scenario(of_batch(rows_of(1, 1)), no_room),
    "QUEUE_FULL": Scenario(lambda _, face: face.open(), full),
    "QUOTA_EXCEEDED": Scenario(open_twice, small),
    "QUOTA_EXCEEDED/renders": Scenario(render_twice, rendered_once),
    "RATE_LIMITED": Scenario(ask_twice, slow),
    "UNAUTHENTICATED": Scenario(lambda faces, face: faces.face(face.name, tenant=face.tenant, scope=None).open()),
    "PERMISSION_DENIED": Scenario(
        lambda faces, face: faces.face(face.name, tenant=face.tenant, scope=Scope.READ).open()
    ),
    "INVALID_REQUEST": Scenario(lambda _, face: face.open(Wish(columns=()))),
    "INVALID_REQUEST/option": Scenario(of_options(on_invalid="shrug")),
    "INVALID_REQUEST/limit": Scenario(lambda _, face: face.list(limit=-1)),
    "INVALID_REQUEST/cursor": Scenario(lambda _, face: face.list(cursor="nonsense")),
    "INTERNAL": Scenario(lambda _, face: face.open(), broken),
}
"""By code; where a code has several ways, the others have a word after a slash."""
