"""How loud each event is and the one sentence that stands for it. The sentences never change with the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sluice.domain.errors import MEANINGS, ErrorCode
from sluice.domain.events import Event, Level


class EventText(NamedTuple):
    """The level and the sentence of an event."""

    level: Level
    message: str


def _debug(message: str) -> EventText:
    return EventText(Level.DEBUG, message)


def _info(message: str) -> EventText:
    return EventText(Level.INFO, message)


def _warn(message: str) -> EventText:
    return EventText(Level.WARN, message)


def _error(message: str) -> EventText:
    return EventText(Level.ERROR, message)


# What happens for each batch, part or status query is DEBUG: at INFO a task tells its life in a dozen lines.
EVENT_TEXTS: dict[Event, EventText] = {
    Event.TASK_CREATED: _info("An export was opened."),
    Event.TASK_STARTED: _info("The first attempt on an export began."),
    Event.TASK_COMPLETED: _info("The file of an export is complete."),
    Event.RESULT_REUSED: _info("An export has the file of an earlier one of the same content."),
    Event.TASK_FAILED: _error("An export failed for good."),
    Event.TASK_CANCELLED: _info("An export was cancelled."),
    Event.TASK_EXPIRED: _info("An export or its file is past its time."),
    Event.TASK_DELETED: _info("An export was deleted."),
    Event.TASK_QUEUED: _info("An export waits for a composer."),
    Event.TASK_DEQUEUED: _info("A waiting export got a composer."),
    Event.CONCURRENCY_LIMIT_REACHED: _warn("As many exports run as may run at once."),
    Event.BATCH_RECEIVED: _debug("A batch arrived."),
    Event.BATCH_PROCESSED: _debug("A batch is stored and acknowledged."),
    Event.BATCH_REPLAYED: _debug("A batch that is stored already arrived again."),
    Event.BATCH_REJECTED: _warn("A batch was refused."),
    Event.RECORDS_WRITTEN: _debug("All rows of a file were written."),
    Event.TASK_SEALED: _info("An export was closed; its rows are fixed."),
    Event.MANIFEST_RECEIVED: _info("A composer was asked to work."),
    Event.MANIFEST_DROPPED: _info("A composer was asked to work and had no need to."),
    Event.ATTEMPT_STARTED: _info("An attempt to compose a file began."),
    Event.ATTEMPT_FENCED: _warn("An attempt found that the export was taken from it."),
    Event.ATTEMPT_RELEASED: _warn("An attempt failed; the export will be tried again."),
    Event.FILE_CREATED: _debug("A file was begun."),
    Event.FILE_WRITTEN: _debug("All bytes of a file were written and uploaded."),
    Event.FILE_FINALIZED: _debug("The parts of a file were joined."),
    Event.FILE_CLOSED: _debug("A file that was begun is closed: whole and verified, or given up."),
    Event.UPLOAD_STARTED: _info("An upload began."),
    Event.UPLOAD_PART: _debug("A part was uploaded."),
    Event.UPLOAD_COMPLETED: _info("An upload is complete and verified."),
    Event.UPLOAD_FAILED: _warn("An upload failed."),
    Event.MEMORY_SNAPSHOT: _debug("Memory was measured."),
    Event.STATUS_QUERIED: _debug("The state of an export was asked for."),
    Event.STATUS_NOT_FOUND: _info("The state of an unknown export was asked for."),
    Event.LINK_ISSUED: _info("A download link was issued."),
    Event.SWEEP_FINISHED: _info("A sweep for lost work ended."),
    Event.VALIDATION_ERROR: _warn("A request was not valid."),
    Event.REQUEST_REFUSED: _warn("A request was refused."),
    Event.CALL_REPEATED: _warn("A call of a store is made again."),
    Event.STREAM_ERROR: _warn("A stream of batches broke off."),
    Event.WRITE_ERROR: _error("Writing a file failed."),
    Event.UPLOAD_ERROR: _warn("A call of an upload failed."),
    Event.SYSTEM_ERROR: _error("Something failed that was not foreseen."),
    Event.SERVICE_STARTED: _info("The service started."),
    Event.SERVICE_STOPPED: _info("The service stopped."),
    Event.AUTHENTICATION_FAILED: _warn("A caller did not prove who it is."),
    Event.AUTHORIZATION_FAILED: _warn("A caller asked for what its key does not allow."),
    Event.SETTING_RENAMED: _warn("A setting is given under its old name, or something private is open to others."),
    Event.FORWARDED_IGNORED: _warn("Headers of a proxy that is not trusted came, and are ignored; said once."),
    Event.DATASET_ASKED: _info("A user asked for rows of a dataset."),
    Event.RUN_LEFT_OUT: _info("A time by a job's schedule has no run, as the schedule says."),
    Event.RUN_NOT_PLANNED: _error("A run of a job that is due cannot be planned; it is tried again."),
    Event.WORKER_STARTED: _info("A composer process started."),
    Event.WORKER_DIED: _error("A composer process ended without an answer."),
    # Counted rather than logged: the limit is there to save work, a line for each refusal would be more of it.
    Event.RATE_LIMIT_REACHED: _debug("A tenant made too many requests in a short time."),
}

_REFUSALS = frozenset({Event.BATCH_REJECTED, Event.REQUEST_REFUSED, Event.VALIDATION_ERROR})


def level_of(event: Event, fields: Mapping[str, object]) -> Level:
    """How loud a line is: a refusal as the table of errors says of its code, any other as its event.

    A sweep that is ``of_interest`` to no reader is DEBUG: there is one every few seconds.
    """
    if event is Event.SWEEP_FINISHED and fields.get("of_interest") is False:
        return Level.DEBUG
    error_code = fields.get("error_code")
    if event in _REFUSALS and isinstance(error_code, str) and error_code in ErrorCode.__members__:
        return MEANINGS[ErrorCode(error_code)].level
    return EVENT_TEXTS[event].level
