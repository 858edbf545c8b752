"""Lets a service make the file: open, put, close, wait, download, each step repeatable."""

from __future__ import annotations

import gzip
import hashlib
import http.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from sluice.adapters.directory.atomic_file import whole_file
from sluice.cli.export.local_export import Exported, check_name, rows_counted_from
from sluice.cli.export.progress import Progress
from sluice.cli.export.server_calls import Call, ServerCalls, ServerError, told_transient
from sluice.cli.export.table_input import TableInput
from sluice.cli.formatting import counted, size
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.params import ExportParams
from sluice.tables.batch import Batch

OPEN_PATIENCE_S = 10.0
"""A wrong address should not take minutes to be noticed."""
WAIT_S = 20
BLOCK_BYTES = 1 << 18
ENDED = frozenset({"completed", "failed", "cancelled", "expired"})
JSON = {"Content-Type": "application/json"}


def export_remotely(
    table: TableInput,
    params: ExportParams,
    *,
    output: Path,
    progress: Progress,
    calls: ServerCalls,
    idempotency_key: str | None,
) -> Exported:
    """Send the rows and fetch the file.

    Under a given key a run goes on where another one broke off, if the input
    is the same. Without one, a run that fails before the file is whole
    cancels what it began.
    """
    key = idempotency_key or calls.randomness.bytes(16).hex()
    opened = calls.json(
        Call("POST", "/v1/exports", _order(params), {**JSON, "Idempotency-Key": key}), patience_s=OPEN_PATIENCE_S
    )
    path = f"/v1/exports/{opened['task_id']}"
    with _cancelled_on_failure(calls, path, wanted=idempotency_key is None):
        check_name(output, _send(calls, path, table=table, progress=progress)["filename"])
        task = _await(calls, path, progress)
    _raise_failure(task)
    try:
        _download(calls, path, task=task, output=output, progress=progress)
    except ServerError as error:
        raise ServerError(f"{error}; the service keeps the whole file as task {task['task_id']}") from None
    warnings = {str(warning["kind"]): int(warning["count"]) for warning in task["warnings"]}
    size_bytes, sha256 = task["file_size_bytes"], task["checksum_sha256"]
    return Exported(task["rows_written"], size_bytes, sha256, warnings, task["task_id"], str(output))


def _order(params: ExportParams) -> bytes:
    columns = [
        {"name": column.name, "type": column.type, "width": column.width, "format": column.format}
        for column in params.columns
    ]
    return msgspec.json.encode(
        {"format": params.format, "filename": params.filename, "columns": columns, "options": params.options}
    )


@contextmanager
def _cancelled_on_failure(calls: ServerCalls, path: str, *, wanted: bool) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if wanted:
            _cancel_quietly(calls, path)
        raise


def _cancel_quietly(calls: ServerCalls, path: str) -> None:
    """The task expires by itself if this fails; the error that led here is the one to show."""
    with suppress(SluiceError, ServerError):
        calls.json(Call("DELETE", path), patience_s=0)


def _send(calls: ServerCalls, path: str, *, table: TableInput, progress: Progress) -> dict[str, Any]:
    progress.stage("sending", table.size)
    sequence = rows = 0
    for sequence, batch in enumerate(table.batches(), start=1):
        with rows_counted_from(rows):
            calls.json(_batch_call(path, sequence, batch))
        rows += batch.rows
        progress.reach(table.position(), counted(rows, "row"))
    return calls.json(Call("POST", f"{path}/close", msgspec.json.encode({"batches": sequence, "rows": rows}), JSON))


def _batch_call(path: str, sequence: int, batch: Batch) -> Call:
    try:
        rows = msgspec.json.encode(batch.to_rows())
    except UnicodeEncodeError:
        raise SluiceError(ErrorCode.INVALID_TEXT, batch=sequence) from None
    body = gzip.compress(rows, compresslevel=1, mtime=0)
    headers = {**JSON, "Content-Encoding": "gzip", "X-Content-SHA256": hashlib.sha256(body).hexdigest()}
    return Call("PUT", f"{path}/batches/{sequence}", body, headers)


def _await(calls: ServerCalls, path: str, progress: Progress) -> dict[str, Any]:
    progress.stage("writing", 100)
    while True:
        task = calls.json(Call("GET", f"{path}?wait={WAIT_S}"))
        progress.reach(task["progress_percent"], counted(task["rows_written"], "row"))
        if task["state"] in ENDED:
            return task
        if task["state"] == "open":
            raise ServerError("the task is open again after it was closed")
        calls.clock.sleep(0.1)


def _raise_failure(task: dict[str, Any]) -> None:
    if task["state"] == "completed":
        return
    error = task.get("error") or {}
    code = error.get("code", ErrorCode.EXPIRED.value)
    known = ErrorCode(code) if code in ErrorCode.__members__ else ErrorCode.INTERNAL
    raise SluiceError(known, error.get("message"), task=task["task_id"])


def _download(calls: ServerCalls, path: str, *, task: dict[str, Any], output: Path, progress: Progress) -> None:
    """Fetch the file, going on after a break, and give it its name once it has the right checksum."""
    progress.stage("downloading", task["file_size_bytes"])
    with whole_file(output) as file:
        calls.repeat(lambda: _fetch(calls, path, file, task=task, progress=progress))
        if _sha256(file) != task["checksum_sha256"]:
            raise SluiceError(ErrorCode.RESULT_VERIFY_FAILED, "the download is not what was written")


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _fetch(calls: ServerCalls, path: str, file: IO[bytes], *, task: dict[str, Any], progress: Progress) -> None:
    """Append what is missing, through a fresh link."""
    link = calls.json(Call("GET", f"{path}/file?redirect=false"))
    offset = file.seek(0, 2)
    if offset == task["file_size_bytes"]:
        return
    with calls.open_file(link["url"], offset) as answer:
        if offset and getattr(answer, "status", 200) != 206:  # noqa: PLR2004 - Partial Content
            file.seek(0)
            file.truncate()
        try:
            while block := answer.read(BLOCK_BYTES):
                file.write(block)
                progress.reach(file.tell(), size(file.tell()))
        except (OSError, http.client.HTTPException) as error:
            raise told_transient(ServerError(f"the download broke off: {error}")) from None
    if file.tell() < task["file_size_bytes"]:
        raise told_transient(ServerError("the download ended early"))
