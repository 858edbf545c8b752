"""The names of everything that is worth a log line, and how loud lines are."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Level(IntEnum):
    """Severity, with the numbers that logging tools use."""

    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


class Event(StrEnum):
    """Stable for dashboards and alerts; never renamed."""

    TASK_CREATED = "TaskCreated"
    TASK_STARTED = "TaskStarted"
    TASK_COMPLETED = "TaskCompleted"
    TASK_FAILED = "TaskFailed"
    TASK_CANCELLED = "TaskCancelled"
    TASK_EXPIRED = "TaskExpired"
    TASK_DELETED = "TaskDeleted"
    TASK_QUEUED = "TaskQueued"
    TASK_DEQUEUED = "TaskDequeued"
    CONCURRENCY_LIMIT_REACHED = "ConcurrencyLimitReached"
    BATCH_RECEIVED = "BatchReceived"
    BATCH_PROCESSED = "BatchProcessed"
    BATCH_REPLAYED = "BatchReplayed"
    BATCH_REJECTED = "BatchRejected"
    RECORDS_WRITTEN = "RecordsWritten"
    TASK_SEALED = "TaskSealed"
    MANIFEST_RECEIVED = "ManifestReceived"
    MANIFEST_DROPPED = "ManifestDropped"
    ATTEMPT_STARTED = "AttemptStarted"
    ATTEMPT_FENCED = "AttemptFenced"
    ATTEMPT_RELEASED = "AttemptReleased"
    FILE_CREATED = "FileCreated"
    FILE_WRITTEN = "FileWritten"
    FILE_FINALIZED = "FileFinalized"
    FILE_CLOSED = "FileClosed"
    UPLOAD_STARTED = "OSSUploadStarted"
    UPLOAD_PART = "OSSPartUploaded"
    UPLOAD_COMPLETED = "OSSUploadCompleted"
    UPLOAD_FAILED = "OSSUploadFailed"
    MEMORY_SNAPSHOT = "MemorySnapshot"
    STATUS_QUERIED = "StatusQueried"
    STATUS_NOT_FOUND = "StatusNotFound"
    LINK_ISSUED = "LinkIssued"
    SWEEP_FINISHED = "SweepFinished"
    VALIDATION_ERROR = "ValidationError"
    STREAM_ERROR = "StreamError"
    WRITE_ERROR = "WriteError"
    UPLOAD_ERROR = "UploadError"
    SYSTEM_ERROR = "SystemError"
    # Beyond the commissioned list: what was refused or done again, who started, who was let in.
    RESULT_REUSED = "ResultReused"
    REQUEST_REFUSED = "RequestRefused"
    CALL_REPEATED = "CallRepeated"
    SERVICE_STARTED = "ServiceStarted"
    SERVICE_STOPPED = "ServiceStopped"
    FORWARDED_IGNORED = "ForwardedHeaderIgnored"
    SETTING_RENAMED = "SettingRenamed"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    AUTHORIZATION_FAILED = "AuthorizationFailed"
    RATE_LIMIT_REACHED = "RateLimitReached"
    DATASET_ASKED = "DatasetAsked"
    RUN_LEFT_OUT = "RunLeftOut"
    RUN_NOT_PLANNED = "RunNotPlanned"
    WORKER_STARTED = "WorkerStarted"
    WORKER_DIED = "WorkerDied"
