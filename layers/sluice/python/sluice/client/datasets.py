"""Tables that the service reads itself, for the users of an application."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from sluice.client.answers import Answer
from sluice.client.calls import Calls
from sluice.client.connections import check_url
from sluice.client.errors import UNEXPECTED_ANSWER, SluiceApiError
from sluice.client.status import Status
from sluice.client.watched import WatchedExport

Value: TypeAlias = str | int | float
Column: TypeAlias = str | Mapping[str, str]
"""The name of a column of the dataset, or ``name`` and ``label``, which is its header in the file."""
_SEPARATORS = frozenset(" ,")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetColumn:
    """A column that the user may have."""

    name: str
    label: str
    type: str
    masked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset as the user may ask for it."""

    name: str
    columns: Sequence[DatasetColumn] = ()
    selectable: bool = False
    """Whether rows may be selected by their ids."""
    date: bool = False
    filters: Sequence[str] = ()
    formats: Sequence[str] = ()
    rows_max: int = 0
    ids_max: int = 0

    @classmethod
    def of(cls, answer: Answer) -> Dataset:
        """Read an answer; members that this version does not know are left out. Raises UNEXPECTED_ANSWER."""
        plain = {"name": str, "selectable": bool, "date": bool, "rows_max": int, "ids_max": int}
        known: dict[str, Any] = {name: answer.read(name, kind) for name, kind in plain.items() if name in answer}
        for name in ("filters", "formats"):
            known[name] = [str(one) for one in answer.read(name, list)] if name in answer else []
        columns = [DatasetColumn(**one.read_fields(DatasetColumn)) for one in answer.objects("columns")]
        return cls(**{"name": answer.text("name"), **known}, columns=columns)


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows, as texts, as a file of them would have them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | None]] = field(repr=False)


class DatasetExport(WatchedExport):
    """An export of a dataset, by its watch address: who has that needs no credential. Thread-safe."""

    def __init__(self, calls: Calls, task_id: str, watch_url: str, opened_as: Status) -> None:
        super().__init__(calls, task_id, watch_url)
        self.watch_url = watch_url
        """May be given to a browser: shows this export and its file, and nothing else."""
        self.opened_as = opened_as
        """As the service answered."""

    @classmethod
    def of(cls, calls: Calls, answer: Answer) -> DatasetExport:
        """Raises UNEXPECTED_ANSWER where the service offers no watch addresses, without which no file is found."""
        address: str | None = answer.read("watch_url", str | None)
        if address is None:
            detail = "the service offers no watch addresses (security.watch_secret, server.public_url)"
            raise SluiceApiError(UNEXPECTED_ANSWER, detail, who="operator")
        try:
            check_url(address)
        except ValueError:
            raise SluiceApiError(UNEXPECTED_ANSWER, "the export's watch address is not one of the web") from None
        return cls(calls, answer.text("task_id"), address, Status.of(answer))


class Datasets:
    """What one user may ask of the datasets. Thread-safe; every call may be repeated."""

    def __init__(self, calls: Calls, user: Mapping[str, str]) -> None:
        self._calls = calls
        self._user = user

    def __repr__(self) -> str:
        return "Datasets()"

    def list(self) -> Sequence[Dataset]:
        """Those that the user may see."""
        answer = self._calls.json("GET", "/v1/datasets", headers=self._user)
        return [Dataset.of(one) for one in answer.objects("datasets")]

    def show(self, name: str) -> Dataset:
        """What the user may ask of one. Raises DATASET_NOT_FOUND, also for one that the user may not see."""
        return Dataset.of(self._calls.json("GET", _path(name), headers=self._user))

    def preview(self, name: str, *, rows: int = 20, **asked: Any) -> Preview:
        """The first rows that an export would have; ``asked`` as for ``export``."""
        path = f"{_path(name)}/preview?rows={rows}"
        answer = self._calls.json("POST", path, _body(format="jsonl", **asked), headers=self._user)
        return Preview([str(one) for one in answer.read("columns", list)], answer.read("rows", list))

    def export(
        self,
        name: str,
        *,
        format: str,  # noqa: A002 - the API's name
        filename: str = "",
        columns: Iterable[Column] = (),
        ids: Iterable[Value] | None = None,
        date_from: str | None = None,
        date_to: str | None = None,
        filters: Mapping[str, Value | Sequence[Value]] | None = None,
        options: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> DatasetExport:
        """Have a file made of the rows that the user may have: ``wait`` for it, and ``save_to`` a path.

        ``ids`` selects rows one by one; None is all. The same call under the
        same key is the same export. Rows are read by the service, however
        many there are; this program holds none of them.
        """
        body = _body(
            format=format,
            filename=filename,
            columns=columns,
            ids=ids,
            date_from=date_from,
            date_to=date_to,
            filters=filters,
            options=options,
        )
        headers = {**self._user, **self._calls.key_header(idempotency_key)}
        path = f"{_path(name)}/exports"
        answer = self._calls.json("POST", path, {**body, "prefer": "background"}, headers=headers)
        return DatasetExport.of(self._calls, answer)

    def exports(self, name: str) -> Sequence[DatasetExport]:
        """The user's newest exports of a dataset."""
        answer = self._calls.json("GET", f"{_path(name)}/exports", headers=self._user)
        return [DatasetExport.of(self._calls, one) for one in answer.objects("exports")]

    def save(
        self,
        name: str,
        path: str | Path,
        *,
        on_progress: Callable[[Status], object] = lambda _: None,
        **asked: Any,
    ) -> Status:
        """``export``, ``wait`` and ``save_to`` in one."""
        export = self.export(name, **asked)
        export.wait(on_progress=on_progress)
        return export.save_to(path)


def user_headers(
    user: str | None, permissions: Iterable[str] = (), attributes: Mapping[str, object] | None = None
) -> dict[str, str]:
    """The headers in which a key with the scope ``act_for`` names its user; none where the token is a user's own.

    Raises ``ValueError`` for what no header can say.
    """
    may = list(permissions)
    if user is None:
        if may or attributes:
            raise ValueError("permissions and attributes are those of a user who is named")
        return {}
    if not user or not user.isprintable() or user.strip() != user:
        raise ValueError("a user's name is printable text without blanks at its ends, which HTTP takes away")
    if any(not one.isprintable() or not one or _SEPARATORS & set(one) for one in may):
        raise ValueError("a permission is printable text without blanks and commas")
    said = {"Sluice-User": user, "Sluice-User-Permissions": " ".join(may)}
    if attributes:
        said["Sluice-User-Attributes"] = json.dumps(dict(attributes))
    return {name: text.encode().decode("latin-1") for name, text in said.items()}  # http.client sends it as Latin-1


def _path(name: str) -> str:
    return f"/v1/datasets/{quote(name, safe='')}"


def _body(
    *,
    format: str,  # noqa: A002 - the API's name
    filename: str = "",
    columns: Iterable[Column] = (),
    ids: Iterable[Value] | None = None,
    date_from: str | None = None,
    date_to: str | None = None,
    filters: Mapping[str, Value | Sequence[Value]] | None = None,
    options: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """What is asked for, as JSON; what is left out has the service's default."""
    days = {"from": date_from, "to": date_to}
    said: dict[str, object] = {
        "filename": filename,
        "columns": [one if isinstance(one, str) else dict(one) for one in columns],
        "date": {name: day for name, day in days.items() if day is not None},
        "filters": {name: _values(given) for name, given in (filters or {}).items()},
        "options": dict(options or {}),
    }
    selected = {} if ids is None else {"scope": "selected", "ids": list(ids)}
    return {"format": format, **{name: value for name, value in said.items() if value}, **selected}


def _values(given: Value | Sequence[Value]) -> object:
    return given if isinstance(given, str | int | float) else list(given)
