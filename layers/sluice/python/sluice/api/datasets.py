"""What both APIs say of datasets, and record: for whom a call is, what the user may ask, what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from sluice.api.auth import Principal
from sluice.api.service import Service
from sluice.api.users import ATTRIBUTES_HEADER, PERMISSIONS_HEADER, USER_HEADER, user_of_headers
from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.task import State, Task
from sluice.domain.task_errors import ended_error, failure_of
from sluice.domain.user import User
from sluice.tables.formats import FORMATS
from sluice.usecases.pulling.make_params import PullRequest, mask_of, may_compare, visible_columns
from sluice.usecases.pulling.open_pull import Caller, facts_of

USER_NAMES = (USER_HEADER, PERMISSIONS_HEADER, ATTRIBUTES_HEADER)
"""Headers, and names of metadata, in which a key with the scope ``act_for`` says who its user is."""


class DatasetColumnView(Struct, frozen=True):
    name: str
    label: str
    type: str
    masked: bool


class DatasetView(Struct, frozen=True):
    """A dataset as this user may ask for it."""

    name: str
    columns: list[DatasetColumnView]
    selectable: bool
    """Whether rows may be selected by their ids."""
    date: bool
    filters: list[str]
    direct_rows: int
    waited_rows: int
    rows_max: int
    ids_max: int
    """Rows that may be selected by their ids."""
    formats: list[str]
    """Those that this service writes."""


def caller_of(principal: Principal, sent: Mapping[str, Sequence[str]]) -> Caller:
    """For whom a call is; ``sent`` is what came under each of ``USER_NAMES``, its UTF-8 read as Latin-1, as in HTTP.

    Raises UNAUTHENTICATED for a call that names no user, and INVALID_REQUEST.
    """
    for name in USER_NAMES:
        if len(sent[name]) > 1:
            detail = f"{name.title()} is given twice: one of them may be another's"
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field=name)
    named = {name: values[0] for name, values in sent.items() if values}
    user = principal.user or user_of_headers(named, principal.tenant)
    if user is None:
        detail = f"A dataset is for a user: the key names one in {USER_HEADER.title()}."
        raise SluiceError(ErrorCode.UNAUTHENTICATED, detail)
    return Caller(principal.tenant, user)


def begin_asking(
    service: Service, principal: Principal, sent: Mapping[str, Sequence[str]], what: str, dataset: str = ""
) -> Asking:
    """Know for whom a call is, before it is read what it asks for. Raises as ``caller_of``.

    Raises RATE_LIMITED, of which the audit has nothing, for a user that calls faster than users may.
    """
    caller = caller_of(principal, sent)
    service.user_calls.take(f"{caller.tenant}/{caller.user.name}")
    return Asking(service, caller, what, dataset)


@dataclass
class Asking:
    """A call for a dataset, as far as it is known what it asks for."""

    service: Service
    caller: Caller
    what: str
    dataset: str = ""
    """Its name, as it was asked for."""
    asked: PullRequest | None = None
    reason: str | None = None
    """Of a refusal: more than its code says, which the caller is not given."""

    def see_all(self) -> list[DatasetView]:
        """The datasets that the user may see."""
        found, user = self.service.datasets(), self.caller.user
        shown = [view(dataset, user) for _, dataset in sorted(found.items()) if user.may(dataset.permission)]
        self.record("shown", datasets=len(shown), not_shown=len(found) - len(shown))
        return shown

    def find(self) -> Dataset:
        """The dataset that is asked for. Raises DATASET_NOT_FOUND, also for one that the user may not see."""
        dataset = self.service.datasets().get(self.dataset)
        if dataset is None or not self.caller.user.may(dataset.permission):
            self.reason = "there is none" if dataset is None else "permission"
            raise SluiceError(ErrorCode.DATASET_NOT_FOUND)
        return dataset

    def record(self, outcome: str, **more: object) -> None:
        facts = {**facts_of(self.caller, self.dataset, self.asked), **more}
        self.service.ports.journal.record(
            Event.DATASET_ASKED, what=self.what, outcome=outcome, reason=self.reason, **facts
        )


def view(dataset: Dataset, user: User) -> DatasetView:
    """What the user may ask of it."""
    columns = [
        DatasetColumnView(column.name, column.spec().name, column.type.value, bool(mask_of(column, user)))
        for column in visible_columns(dataset, user)
    ]
    filters, tiers = dataset.filters, dataset.tiers
    return DatasetView(
        dataset.dataset,
        columns,
        selectable=filters.ids is not None and may_compare(dataset, user, filters.ids),
        date=filters.date is not None and may_compare(dataset, user, filters.date),
        filters=[name for name in filters.equals if may_compare(dataset, user, name)],
        direct_rows=tiers.direct_rows,
        waited_rows=tiers.waited_rows,
        rows_max=dataset.limits.rows,
        ids_max=dataset.limits.ids,
        formats=[name.value for name, known in FORMATS.items() if known.is_installed],
    )


def check_alive(task: Task) -> None:
    """Raise why an export that was waited for has no file and never will."""
    if task.state is State.FAILED:
        raise failure_of(task)
    if task.state in {State.CANCELLED, State.EXPIRED}:  # by a key of the tenant, or long ago under this key
        raise ended_error(task)
