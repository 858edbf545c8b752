"""The JSON that goes in and out besides the task, and what lists take: one definition for all readers of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import inspect

from sluice.api.http.bodies.kinds import kinds_at, values_of
from sluice.api.http.errors import invalid_request
from sluice.api.task_view import TaskView
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.task import State
from sluice.tables.readers.json import exact_json
from sluice.tables.readers.lines import UTF8_BOM
from sluice.tables.values.cell_checks import check_counts
from sluice.usecases.reading.read_task import PAGE_MAX, SEARCHED_MAX
from sluice.usecases.sending.close_export import CloseRequest

Struct = TypeVar("Struct", bound=msgspec.Struct)


class ColumnBody(ColumnSpec, frozen=True, forbid_unknown_fields=True):
    """A declared column. `width` is in characters, 0 for automatic.

    `format` is an Excel number format, or for booleans a pair such as `yes/no`. `detected` says that the type was
    seen in the first rows of a table that declares none: a later value that its cell would show otherwise than it
    was sent stays text, and is counted.
    """

    @classmethod
    def specs(cls, columns: tuple[ColumnBody | str, ...]) -> tuple[ColumnSpec, ...]:
        """A name alone is a column of texts."""
        return tuple(ColumnSpec(column) if isinstance(column, str) else column.to_spec() for column in columns)

    def to_spec(self) -> ColumnSpec:
        return ColumnSpec(**msgspec.structs.asdict(self))


class SheetBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several tables of a workbook, with columns of its own.

    Batches name it by `name`; its worksheet has the closest legal name.
    """

    name: str
    columns: tuple[ColumnBody | str, ...]

    def to_spec(self) -> TableSpec:
        return TableSpec(self.name, ColumnBody.specs(self.columns))


class OpenBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The export to open: one table of `columns`, or a workbook of several `sheets`. A name alone is a column of texts.

    `expected_rows` gives the push its share of the progress, and every close is refused while other rows are stored:
    leave it out where it is only a guess.
    """

    format: ExportFormat
    filename: str = ""
    columns: tuple[ColumnBody | str, ...] = ()
    sheets: tuple[SheetBody, ...] = ()
    options: ExportOptions = ExportOptions()
    expected_rows: int | None = None

    def to_params(self) -> ExportParams:
        return ExportParams(
            format=self.format,
            filename=self.filename,
            columns=ColumnBody.specs(self.columns),
            sheets=tuple(sheet.to_spec() for sheet in self.sheets),
            options=self.options,
            expected_rows=self.expected_rows,
        )


class CloseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sender counted; what is given is checked. `sheets` has the rows of declared sheets by name."""

    batches: int | None = None
    rows: int | None = None
    sheets: dict[str, int] = {}

    def to_request(self) -> CloseRequest:
        return CloseRequest(self.batches, self.rows, self.sheets)


class RenderBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What should differ from the source task. `options`, where given, replace all options of the source."""

    format: ExportFormat | None = None
    filename: str | None = None
    options: ExportOptions | None = None


class BatchReceiptView(msgspec.Struct, frozen=True):
    """The acknowledgement of a batch. `sha256` is the first half of the digest of its rows as they are stored.

    Equal rows have it equal however they were sent; it is not the digest of the request's body.
    """

    sequence: int
    rows: int
    sha256: str
    replayed: bool


class StoredBatches(msgspec.Struct, frozen=True):
    """Which batches are stored: ranges of sequences, both ends included, in order. The others are still to be sent."""

    state: str
    batches: int
    rows: int
    stored: list[tuple[int, int]]


class OpenedView(TaskView, frozen=True, kw_only=True):
    """The export. `stored` has the ranges of sequences that are stored already, both ends included, in order.

    `watch_url` may be given to a browser: who has it may look at this export and fetch its file, without a key and
    from a page of any site, and nothing else; null where the service offers none.
    """

    stored: list[tuple[int, int]]
    watch_url: str | None


class LinkView(msgspec.Struct, frozen=True):
    """A download link. Anyone who has it may read the file until `expires_at`."""

    url: str
    expires_at: str


class TaskListView(msgspec.Struct, frozen=True):
    """A page of tasks, newest first. `cursor` asks for the next page; null at the end.

    `damaged` has the ids of tasks whose record cannot be read: an operator must act, see TASK_DAMAGED.
    """

    tasks: list[TaskView]
    cursor: str | None
    damaged: list[str] = []


class PreviewView(msgspec.Struct, frozen=True):
    """The first rows, as texts, as a file of them would have them."""

    columns: list[str]
    rows: list[tuple[str | None, ...]]


class ProblemView(msgspec.Struct, frozen=True):
    """Why a request was refused (RFC 9457). Facts such as `row`, `column` or `missing` stand beside these."""

    type: str
    title: str
    status: int
    detail: str
    code: ErrorCode
    who: str
    """client, platform or operator: who has to act."""
    retryable: bool
    request_id: str


def read_open(body: bytes, limits: Limits) -> ExportParams:
    """Read what to open. Raises as ``read_model``, and for more columns or sheets than a task may have.

    They are counted before they are made: 8 MB hold millions of columns.
    """

    def check(value: object) -> None:
        if isinstance(value, dict):
            sheets = value.get("sheets")
            declared = [value, *(sheets if isinstance(sheets, list) else ())]
            columns = [one.get("columns") for one in declared if isinstance(one, dict)]
            counts = [len(one) if isinstance(one, list) else 0 for one in columns]
            check_counts(counts[1:], limits)
            check_counts(counts[:1], limits)

    return read_model(body, OpenBody, check=check).to_params()


def read_model(body: bytes, model: type[Struct], *, check: Callable[[object], object] | None = None) -> Struct:
    """Read a JSON body, strictly. Raises INVALID_REQUEST with ``field``, INVALID_TEXT and UNSUPPORTED_FORMAT.

    ``check`` sees what was parsed before it becomes the model.
    """
    value = exact_json(body.removeprefix(UTF8_BOM))
    if check is not None:
        check(value)
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise SluiceError(ErrorCode.INVALID_TEXT, "A text has half a surrogate pair.") from None
    try:
        return msgspec.convert(_with_objects(value, model), model)
    except msgspec.ValidationError as error:
        raise _refused(str(error), model) from None


def _with_objects(value: object, model: type[msgspec.Struct]) -> object:
    """``value`` with an object for each empty array where only an object may stand: PHP encodes both alike."""
    if value == []:
        return {}
    info = inspect.type_info(model)
    if not isinstance(value, dict) or not isinstance(info, inspect.StructType):
        return value
    objects = {field.encode_name for field in info.fields if _is_object(field.type)}
    return {name: {} if name in objects and member == [] else member for name, member in value.items()}


def _is_object(kind: inspect.Type) -> bool:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return any(isinstance(one, (inspect.StructType, inspect.DictType)) for one in kinds)


def _refused(message: str, model: type[msgspec.Struct]) -> SluiceError:
    """Say which field is wrong and what it may be; the value that was sent is not repeated."""
    said, _, path = message.partition(" - at `$")
    field = path.strip("`.")
    if field == "format":
        return SluiceError(ErrorCode.UNSUPPORTED_FORMAT, formats=[known.value for known in ExportFormat])
    if said.startswith("Invalid enum value"):
        said = f"Not one of the values it may have: {values_of(kinds_at(model, field))}"
    return invalid_request(f"{field or 'The request'}: {said.replace('`', '')[:400]}", field=field)


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    state: Annotated[State | msgspec.UnsetType, msgspec.Meta(description="Only exports in this state.")] = msgspec.UNSET
    request_id: Annotated[
        str,
        msgspec.Meta(
            max_length=128,
            description="Only the exports that the request with this id opened (`X-Request-Id`, `request_id` of the "
            f"export). A page looks through {SEARCHED_MAX:,} exports, so it may be empty: look on while there is a "
            "`cursor`.",
        ),
    ] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX, description="How many exports a page has at most.")] = 50
    cursor: Annotated[str, msgspec.Meta(description="The `cursor` of the page before.")] = ""
