"""Open an export of a dataset for a user: what may be asked, how much it is, who asked, before a row is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from sluice.domain.dataset import Dataset, Tiers
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.limits import MIB
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Pulled
from sluice.domain.task import State, Task
from sluice.domain.user import User
from sluice.ports.bundle import Ports
from sluice.ports.log_context import client_of_call
from sluice.ports.source import ConditionError, SourceError, SourceUnavailable
from sluice.tables.batch import is_text
from sluice.tables.values.masks import find_masks, masked
from sluice.usecases.pulling.count_pulls import PreviewCounts, check_hour
from sluice.usecases.pulling.make_params import PullRequest, is_again, is_time, make_params
from sluice.usecases.sending.open_export import Opened, OpenRequest, check_params, choose_task_id, open_export

PREVIEW_ROWS_MAX = 100
PREVIEW_BYTES_MAX = 2 * MIB
"""Of a preview, which is one message: of all values, each with what it takes beside its text."""
_CELL_BYTES = 8
SHOWN_MAX = 64
"""Characters of a name that a caller gives, in the audit."""


NAMES_MAX = 32
"""Of those too."""


class Caller(NamedTuple):
    """Whose export it is."""

    tenant: TenantId
    user: User


class Asked(NamedTuple):
    """An export of a dataset that was opened, and for how long its caller may wait for the file."""

    opened: Opened
    wait_s: float
    """0: the file comes in the background."""


def open_pull(
    ports: Ports, caller: Caller, dataset: Dataset, asked: PullRequest, request: OpenRequest, *, in_background: bool
) -> Asked:
    """Open the export, whose rows are read next. ``request.params`` count for nothing: they are made from ``asked``.

    How long its file is waited for depends on how many rows there are, of
    which no more are counted than that takes. Repeatable under a key, for the
    same user, whatever has become of the dataset meanwhile: what was opened
    goes on as it began. Raises RATE_LIMITED, SOURCE_UNAVAILABLE, SOURCE_INVALID and what
    ``make_params`` and ``open_export`` raise. What is opened is recorded here,
    a refusal where it is answered.
    """
    existing = _under(ports, caller, request.idempotency_key)
    params = existing.params if existing is not None else None
    if params is None or not is_again(params, dataset, caller.user, asked):
        params = make_params(dataset, caller.user, asked)
    if existing is None:
        check_hour(ports, caller.tenant, caller.user, dataset)
    answer_s = ports.timings.answer_s
    wait_s = 0.0 if in_background else min(answer_s, _wait_s(ports, dataset, _pulled(params), existing))
    opened = open_export(ports, caller.tenant, request._replace(params=params))
    ports.journal.record(
        Event.DATASET_ASKED,
        task_id=opened.task.task_id,
        what="export",
        outcome="replayed" if opened.replayed else "opened",
        **facts_of(caller, dataset.dataset, asked),
        **_columns_of(_pulled(params)),
    )
    return Asked(opened, wait_s)


def _under(ports: Ports, caller: Caller, key: str | None) -> Task | None:
    """The export that was opened under the key. Raises INVALID_REQUEST for a key that is no key."""
    if key is None:
        return None
    return ports.tasks.read(TaskRef(caller.tenant, choose_task_id(ports, caller.tenant, key, user=caller.user.name)))


def preview_pull(
    ports: Ports, counts: PreviewCounts, caller: Caller, dataset: Dataset, asked: PullRequest, rows: int
) -> tuple[list[str], list[tuple[str | None, ...]]]:
    """The headers and first rows that an export would have, as texts; nothing is stored.

    Raises as ``open_pull``, and INVALID_REQUEST for rows of more than ``PREVIEW_BYTES_MAX``.
    """
    params = check_params(make_params(dataset, caller.user, asked), ports.limits)
    counts.take(caller.tenant, caller.user, dataset, now=ports.clock.monotonic())
    found = _first_rows(ports, _pulled(params), rows)
    ports.journal.record(
        Event.DATASET_ASKED,
        what="preview",
        outcome="shown",
        rows=len(found),
        **facts_of(caller, dataset.dataset, asked),
        **_columns_of(_pulled(params)),
    )
    return [column.name for column in params.columns], found


def _first_rows(ports: Ports, pulled: Pulled, rows: int) -> list[tuple[str | None, ...]]:
    with source_errors(ports, pulled), ports.open_source(pulled).reading() as slices:
        masks = find_masks(pulled.masks, ports.find_key)
        shown = (row for part in slices for row in zip(*masked(part.columns, masks), strict=True))
        return rows_shown(shown, pulled.columns, rows)


def rows_shown(
    shown: Iterable[tuple[str | None, ...]], columns: Sequence[str], rows: int
) -> list[tuple[str | None, ...]]:
    """The first rows for a preview. Raises INVALID_REQUEST for more than ``PREVIEW_BYTES_MAX``, and INVALID_TEXT."""
    found: list[tuple[str | None, ...]] = []
    size = 0
    for row in islice(shown, rows):
        found.append(row)
        size += _size_shown(columns, len(found), row)
        if size > PREVIEW_BYTES_MAX:  # no further row is read, however long they are
            detail = f"{len(found)} rows take more than the {PREVIEW_BYTES_MAX} bytes of a preview"
            detail = f"{detail}: ask for fewer columns, or rows"
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field="rows", row=len(found))
    return found


def _size_shown(columns: Sequence[str], number: int, row: Sequence[str | None]) -> int:
    """The bytes of a row in a preview. Raises INVALID_TEXT for a value that no answer can have."""
    size = 0
    for name, cell in zip(columns, row, strict=True):
        if cell is not None and not is_text(cell):
            raise SluiceError(ErrorCode.INVALID_TEXT, row=number, column=name)
        size += _CELL_BYTES + len((cell or "").encode())
    return size


def _pulled(params: ExportParams) -> Pulled:
    assert params.pulled is not None  # as it was made
    return params.pulled


def _wait_s(ports: Ports, dataset: Dataset, pulled: Pulled, existing: Task | None) -> float:
    """How long the file is waited for. The rows of one that is there are known, and the table may be another by now."""
    tiers = dataset.tiers
    most = max(tiers.direct_rows, tiers.waited_rows)
    if not most:
        return 0
    if existing is not None and existing.state is State.COMPLETED:
        return _tier_s(tiers, existing.result_rows)
    try:
        with source_errors(ports, pulled):
            rows = ports.open_source(pulled).count(most + 1)
    except SluiceError as error:
        if error.code is not ErrorCode.SOURCE_UNAVAILABLE:
            raise
        return 0  # it takes its time: the file comes in the background, where it is tried again
    return _tier_s(tiers, rows)


def _tier_s(tiers: Tiers, rows: int) -> float:
    if rows <= tiers.direct_rows:
        return tiers.direct_timeout_s
    return tiers.waited_timeout_s if rows <= tiers.waited_rows else 0


@contextmanager
def source_errors(ports: Ports, pulled: Pulled) -> Iterator[None]:
    """Say what a caller may know of an error of a source; its operator finds the rest in the log."""
    try:
        yield
    except ConditionError as error:
        detail = f"What {error.column} is compared with is no value of that column: it takes {error.expected}."
        place = {"field": error.field, "index": error.index} if error.field else {"field": error.column}
        raise SluiceError(ErrorCode.INVALID_REQUEST, detail, **place) from error
    except SourceError as error:
        ports.journal.record(Event.SYSTEM_ERROR, dataset=pulled.dataset, reason=str(error))
        code = ErrorCode.SOURCE_UNAVAILABLE if isinstance(error, SourceUnavailable) else ErrorCode.SOURCE_INVALID
        raise SluiceError(code, dataset=pulled.dataset) from error


def facts_of(caller: Caller, dataset: str, asked: PullRequest | None = None) -> dict[str, object]:
    """What an audit has to say of a call: who, from where, of what, by which conditions; no value that is compared.

    ``asked`` None: of a call that asks for no rows, or whose body could not be read.
    """
    facts: dict[str, object] = {
        "tenant": caller.tenant,
        "user": caller.user.name,
        "dataset": dataset[:SHOWN_MAX],
        "client": client_of_call(),
    }
    if asked is None:
        return facts
    return {
        **facts,
        "format": asked.format.value,
        "columns_asked": _shown_names([one.name for one in asked.columns]),
        "filters": _shown_names(sorted(asked.filters)),
        "ids": None if asked.ids is None else len(asked.ids),
        "date_from": _shown_time(asked.date.from_),
        "date_to": _shown_time(asked.date.to),
    }


def _columns_of(pulled: Pulled) -> dict[str, object]:
    """What the rows have, by the names of the dataset, and which of it is masked."""
    masked_ones = [name for name, mask in zip(pulled.columns, pulled.masks, strict=True) if mask]
    return {"columns": list(pulled.columns), "masked": masked_ones or None}


def _shown_names(names: Sequence[str]) -> list[str] | None:
    """Names that a caller gives, as far as a line may be long: none of them need be a name of the dataset."""
    shown = [name[:SHOWN_MAX] for name in names[:NAMES_MAX]]
    return [*shown, f"… {len(names)} names"] if len(names) > NAMES_MAX else shown or None


def _shown_time(text: str | None) -> str | None:
    return text if text is None or is_time(text) else "no day and no moment"
