from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[ExportFormat]
    FORMAT_EXCEL: _ClassVar[ExportFormat]
    FORMAT_CSV: _ClassVar[ExportFormat]
    FORMAT_JSONL: _ClassVar[ExportFormat]
    FORMAT_PARQUET: _ClassVar[ExportFormat]

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_STRING: _ClassVar[DataType]
    DATA_TYPE_NUMBER: _ClassVar[DataType]
    DATA_TYPE_DATE: _ClassVar[DataType]
    DATA_TYPE_BOOLEAN: _ClassVar[DataType]
    DATA_TYPE_DATETIME: _ClassVar[DataType]

class TaskStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATUS_UNSPECIFIED: _ClassVar[TaskStatus]
    TASK_STATUS_QUEUED: _ClassVar[TaskStatus]
    TASK_STATUS_PROCESSING: _ClassVar[TaskStatus]
    TASK_STATUS_UPLOADING: _ClassVar[TaskStatus]
    TASK_STATUS_COMPLETED: _ClassVar[TaskStatus]
    TASK_STATUS_FAILED: _ClassVar[TaskStatus]
    TASK_STATUS_CANCELLED: _ClassVar[TaskStatus]
    TASK_STATUS_EXPIRED: _ClassVar[TaskStatus]

class DatasetScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_SCOPE_UNSPECIFIED: _ClassVar[DatasetScope]
    DATASET_SCOPE_ALL: _ClassVar[DatasetScope]
    DATASET_SCOPE_SELECTED: _ClassVar[DatasetScope]
FORMAT_UNSPECIFIED: ExportFormat
FORMAT_EXCEL: ExportFormat
FORMAT_CSV: ExportFormat
FORMAT_JSONL: ExportFormat
FORMAT_PARQUET: ExportFormat
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_STRING: DataType
DATA_TYPE_NUMBER: DataType
DATA_TYPE_DATE: DataType
DATA_TYPE_BOOLEAN: DataType
DATA_TYPE_DATETIME: DataType
TASK_STATUS_UNSPECIFIED: TaskStatus
TASK_STATUS_QUEUED: TaskStatus
TASK_STATUS_PROCESSING: TaskStatus
TASK_STATUS_UPLOADING: TaskStatus
TASK_STATUS_COMPLETED: TaskStatus
TASK_STATUS_FAILED: TaskStatus
TASK_STATUS_CANCELLED: TaskStatus
TASK_STATUS_EXPIRED: TaskStatus
DATASET_SCOPE_UNSPECIFIED: DatasetScope
DATASET_SCOPE_ALL: DatasetScope
DATASET_SCOPE_SELECTED: DatasetScope

class ColumnDefinition(_message.Message):
    __slots__ = ("name", "data_type", "width", "format", "detected")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DETECTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    data_type: DataType
    width: int
    format: str
    detected: bool
    def __init__(self, name: _Optional[str] = ..., data_type: _Optional[_Union[DataType, str]] = ..., width: _Optional[int] = ..., format: _Optional[str] = ..., detected: bool = ...) -> None: ...

class FormatOptions(_message.Message):
    __slots__ = ("csv_delimiter", "csv_encoding", "excel_sheet_name", "excel_start_row", "compression_enabled", "null_value", "on_invalid", "timezone", "csv_bom", "line_ending", "quote_all", "formula_guard", "on_unencodable", "header", "compact", "on_too_long", "on_sheet_full", "header_color", "banding", "right_to_left", "freeze_header", "autofilter", "style", "workbook_rows_max", "index_sheet", "document_title", "document_created", "csv_dialect", "reuse", "about_sheet")
    CSV_DELIMITER_FIELD_NUMBER: _ClassVar[int]
    CSV_ENCODING_FIELD_NUMBER: _ClassVar[int]
    EXCEL_SHEET_NAME_FIELD_NUMBER: _ClassVar[int]
    EXCEL_START_ROW_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_ENABLED_FIELD_NUMBER: _ClassVar[int]
    NULL_VALUE_FIELD_NUMBER: _ClassVar[int]
    ON_INVALID_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    CSV_BOM_FIELD_NUMBER: _ClassVar[int]
    LINE_ENDING_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ALL_FIELD_NUMBER: _ClassVar[int]
    FORMULA_GUARD_FIELD_NUMBER: _ClassVar[int]
    ON_UNENCODABLE_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    COMPACT_FIELD_NUMBER: _ClassVar[int]
    ON_TOO_LONG_FIELD_NUMBER: _ClassVar[int]
    ON_SHEET_FULL_FIELD_NUMBER: _ClassVar[int]
    HEADER_COLOR_FIELD_NUMBER: _ClassVar[int]
    BANDING_FIELD_NUMBER: _ClassVar[int]
    RIGHT_TO_LEFT_FIELD_NUMBER: _ClassVar[int]
    FREEZE_HEADER_FIELD_NUMBER: _ClassVar[int]
    AUTOFILTER_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    WORKBOOK_ROWS_MAX_FIELD_NUMBER: _ClassVar[int]
    INDEX_SHEET_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TITLE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_CREATED_FIELD_NUMBER: _ClassVar[int]
    CSV_DIALECT_FIELD_NUMBER: _ClassVar[int]
    REUSE_FIELD_NUMBER: _ClassVar[int]
    ABOUT_SHEET_FIELD_NUMBER: _ClassVar[int]
    csv_delimiter: str
    csv_encoding: str
    excel_sheet_name: str
    excel_start_row: int
    compression_enabled: bool
    null_value: str
    on_invalid: str
    timezone: str
    csv_bom: bool
    line_ending: str
    quote_all: bool
    formula_guard: str
    on_unencodable: str
    header: bool
    compact: bool
    on_too_long: str
    on_sheet_full: str
    header_color: str
    banding: bool
    right_to_left: bool
    freeze_header: bool
    autofilter: bool
    style: str
    workbook_rows_max: int
    index_sheet: bool
    document_title: str
    document_created: str
    csv_dialect: str
    reuse: bool
    about_sheet: bool
    def __init__(self, csv_delimiter: _Optional[str] = ..., csv_encoding: _Optional[str] = ..., excel_sheet_name: _Optional[str] = ..., excel_start_row: _Optional[int] = ..., compression_enabled: bool = ..., null_value: _Optional[str] = ..., on_invalid: _Optional[str] = ..., timezone: _Optional[str] = ..., csv_bom: bool = ..., line_ending: _Optional[str] = ..., quote_all: bool = ..., formula_guard: _Optional[str] = ..., on_unencodable: _Optional[str] = ..., header: bool = ..., compact: bool = ..., on_too_long: _Optional[str] = ..., on_sheet_full: _Optional[str] = ..., header_color: _Optional[str] = ..., banding: bool = ..., right_to_left: bool = ..., freeze_header: bool = ..., autofilter: bool = ..., style: _Optional[str] = ..., workbook_rows_max: _Optional[int] = ..., index_sheet: bool = ..., document_title: _Optional[str] = ..., document_created: _Optional[str] = ..., csv_dialect: _Optional[str] = ..., reuse: bool = ..., about_sheet: bool = ...) -> None: ...

class SheetDefinition(_message.Message):
    __slots__ = ("name", "columns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    name: str
    columns: _containers.RepeatedCompositeFieldContainer[ColumnDefinition]
    def __init__(self, name: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[ColumnDefinition, _Mapping]]] = ...) -> None: ...

class ExportMetadata(_message.Message):
    __slots__ = ("request_id", "format", "filename", "columns", "options", "expected_records", "ack_batches", "wait", "early_response", "wait_timeout_s", "sheets", "totals_follow")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_RECORDS_FIELD_NUMBER: _ClassVar[int]
    ACK_BATCHES_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    EARLY_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    SHEETS_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FOLLOW_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    format: ExportFormat
    filename: str
    columns: _containers.RepeatedCompositeFieldContainer[ColumnDefinition]
    options: FormatOptions
    expected_records: int
    ack_batches: bool
    wait: bool
    early_response: bool
    wait_timeout_s: int
    sheets: _containers.RepeatedCompositeFieldContainer[SheetDefinition]
    totals_follow: bool
    def __init__(self, request_id: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., filename: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[ColumnDefinition, _Mapping]]] = ..., options: _Optional[_Union[FormatOptions, _Mapping]] = ..., expected_records: _Optional[int] = ..., ack_batches: bool = ..., wait: bool = ..., early_response: bool = ..., wait_timeout_s: _Optional[int] = ..., sheets: _Optional[_Iterable[_Union[SheetDefinition, _Mapping]]] = ..., totals_follow: bool = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class DataBatch(_message.Message):
    __slots__ = ("records", "batch_sequence", "sha256", "sheet")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SHEET_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    batch_sequence: int
    sha256: str
    sheet: str
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ..., batch_sequence: _Optional[int] = ..., sha256: _Optional[str] = ..., sheet: _Optional[str] = ...) -> None: ...

class CloseTotals(_message.Message):
    __slots__ = ("batches", "records", "sheet_records")
    class SheetRecordsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    SHEET_RECORDS_FIELD_NUMBER: _ClassVar[int]
    batches: int
    records: int
    sheet_records: _containers.ScalarMap[str, int]
    def __init__(self, batches: _Optional[int] = ..., records: _Optional[int] = ..., sheet_records: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("metadata", "batch", "close")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    metadata: ExportMetadata
    batch: DataBatch
    close: CloseTotals
    def __init__(self, metadata: _Optional[_Union[ExportMetadata, _Mapping]] = ..., batch: _Optional[_Union[DataBatch, _Mapping]] = ..., close: _Optional[_Union[CloseTotals, _Mapping]] = ...) -> None: ...

class BatchAck(_message.Message):
    __slots__ = ("batch_sequence", "records", "sha256", "replayed")
    BATCH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    batch_sequence: int
    records: int
    sha256: str
    replayed: bool
    def __init__(self, batch_sequence: _Optional[int] = ..., records: _Optional[int] = ..., sha256: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("task_id", "status", "oss_url", "file_size_bytes", "record_count", "progress_percent", "checksum_sha256", "error_message", "error_code", "start_time", "completion_time", "batch_ack", "replayed", "held_sequences", "crc64", "warnings", "unchecked_end")
    class WarningsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OSS_URL_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECORD_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_SHA256_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TIME_FIELD_NUMBER: _ClassVar[int]
    BATCH_ACK_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    HELD_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    CRC64_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_END_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    status: TaskStatus
    oss_url: str
    file_size_bytes: int
    record_count: int
    progress_percent: float
    checksum_sha256: str
    error_message: str
    error_code: str
    start_time: int
    completion_time: int
    batch_ack: BatchAck
    replayed: bool
    held_sequences: _containers.RepeatedScalarFieldContainer[int]
    crc64: str
    warnings: _containers.ScalarMap[str, int]
    unchecked_end: bool
    def __init__(self, task_id: _Optional[str] = ..., status: _Optional[_Union[TaskStatus, str]] = ..., oss_url: _Optional[str] = ..., file_size_bytes: _Optional[int] = ..., record_count: _Optional[int] = ..., progress_percent: _Optional[float] = ..., checksum_sha256: _Optional[str] = ..., error_message: _Optional[str] = ..., error_code: _Optional[str] = ..., start_time: _Optional[int] = ..., completion_time: _Optional[int] = ..., batch_ack: _Optional[_Union[BatchAck, _Mapping]] = ..., replayed: bool = ..., held_sequences: _Optional[_Iterable[int]] = ..., crc64: _Optional[str] = ..., warnings: _Optional[_Mapping[str, int]] = ..., unchecked_end: bool = ...) -> None: ...

class TaskStatusRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class TaskStatusResponse(_message.Message):
    __slots__ = ("task_id", "status", "format", "filename", "records_processed", "progress_percent", "oss_url", "file_size_bytes", "error_message", "error_code", "start_time", "completion_time", "estimated_time_remaining", "state", "records_received", "batches_received", "checksum_sha256", "crc64", "expires_at", "warnings", "sheets", "attempts", "attempt_error_code", "attempt_error_message", "stored", "open_until", "request_id", "consistency", "moments")
    class WarningsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    RECORDS_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    OSS_URL_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TIME_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_TIME_REMAINING_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_SHA256_FIELD_NUMBER: _ClassVar[int]
    CRC64_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SHEETS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    OPEN_UNTIL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    MOMENTS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    status: TaskStatus
    format: ExportFormat
    filename: str
    records_processed: int
    progress_percent: float
    oss_url: str
    file_size_bytes: int
    error_message: str
    error_code: str
    start_time: int
    completion_time: int
    estimated_time_remaining: int
    state: str
    records_received: int
    batches_received: int
    checksum_sha256: str
    crc64: str
    expires_at: int
    warnings: _containers.ScalarMap[str, int]
    sheets: _containers.RepeatedCompositeFieldContainer[SheetStatus]
    attempts: int
    attempt_error_code: str
    attempt_error_message: str
    stored: _containers.RepeatedCompositeFieldContainer[SequenceRange]
    open_until: int
    request_id: str
    consistency: str
    moments: _containers.RepeatedCompositeFieldContainer[ReadMoment]
    def __init__(self, task_id: _Optional[str] = ..., status: _Optional[_Union[TaskStatus, str]] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., filename: _Optional[str] = ..., records_processed: _Optional[int] = ..., progress_percent: _Optional[float] = ..., oss_url: _Optional[str] = ..., file_size_bytes: _Optional[int] = ..., error_message: _Optional[str] = ..., error_code: _Optional[str] = ..., start_time: _Optional[int] = ..., completion_time: _Optional[int] = ..., estimated_time_remaining: _Optional[int] = ..., state: _Optional[str] = ..., records_received: _Optional[int] = ..., batches_received: _Optional[int] = ..., checksum_sha256: _Optional[str] = ..., crc64: _Optional[str] = ..., expires_at: _Optional[int] = ..., warnings: _Optional[_Mapping[str, int]] = ..., sheets: _Optional[_Iterable[_Union[SheetStatus, _Mapping]]] = ..., attempts: _Optional[int] = ..., attempt_error_code: _Optional[str] = ..., attempt_error_message: _Optional[str] = ..., stored: _Optional[_Iterable[_Union[SequenceRange, _Mapping]]] = ..., open_until: _Optional[int] = ..., request_id: _Optional[str] = ..., consistency: _Optional[str] = ..., moments: _Optional[_Iterable[_Union[ReadMoment, _Mapping]]] = ...) -> None: ...

class ReadMoment(_message.Message):
    __slots__ = ("at", "records")
    AT_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    at: float
    records: int
    def __init__(self, at: _Optional[float] = ..., records: _Optional[int] = ...) -> None: ...

class SequenceRange(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class SheetStatus(_message.Message):
    __slots__ = ("name", "records")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    records: int
    def __init__(self, name: _Optional[str] = ..., records: _Optional[int] = ...) -> None: ...

class PutBatchRequest(_message.Message):
    __slots__ = ("task_id", "batch")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    batch: DataBatch
    def __init__(self, task_id: _Optional[str] = ..., batch: _Optional[_Union[DataBatch, _Mapping]] = ...) -> None: ...

class CloseExportRequest(_message.Message):
    __slots__ = ("task_id", "totals")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    totals: CloseTotals
    def __init__(self, task_id: _Optional[str] = ..., totals: _Optional[_Union[CloseTotals, _Mapping]] = ...) -> None: ...

class RenderExportRequest(_message.Message):
    __slots__ = ("task_id", "format", "filename", "options", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    format: ExportFormat
    filename: str
    options: FormatOptions
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., filename: _Optional[str] = ..., options: _Optional[_Union[FormatOptions, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DownloadLink(_message.Message):
    __slots__ = ("url", "expires_at")
    URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    url: str
    expires_at: int
    def __init__(self, url: _Optional[str] = ..., expires_at: _Optional[int] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("state", "limit", "cursor", "request_id")
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    state: str
    limit: int
    cursor: str
    request_id: str
    def __init__(self, state: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "cursor", "damaged")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskStatusResponse]
    cursor: str
    damaged: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskStatusResponse, _Mapping]]] = ..., cursor: _Optional[str] = ..., damaged: _Optional[_Iterable[str]] = ...) -> None: ...

class DatasetQuery(_message.Message):
    __slots__ = ("dataset", "format", "filename", "scope", "ids", "columns", "date_from", "date_to", "filters", "options")
    class FiltersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: DatasetValues
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[DatasetValues, _Mapping]] = ...) -> None: ...
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DATE_FROM_FIELD_NUMBER: _ClassVar[int]
    DATE_TO_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    format: ExportFormat
    filename: str
    scope: DatasetScope
    ids: _containers.RepeatedScalarFieldContainer[str]
    columns: _containers.RepeatedCompositeFieldContainer[DatasetColumnChoice]
    date_from: str
    date_to: str
    filters: _containers.MessageMap[str, DatasetValues]
    options: FormatOptions
    def __init__(self, dataset: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., filename: _Optional[str] = ..., scope: _Optional[_Union[DatasetScope, str]] = ..., ids: _Optional[_Iterable[str]] = ..., columns: _Optional[_Iterable[_Union[DatasetColumnChoice, _Mapping]]] = ..., date_from: _Optional[str] = ..., date_to: _Optional[str] = ..., filters: _Optional[_Mapping[str, DatasetValues]] = ..., options: _Optional[_Union[FormatOptions, _Mapping]] = ...) -> None: ...

class DatasetColumnChoice(_message.Message):
    __slots__ = ("name", "label")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

class DatasetValues(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportDatasetRequest(_message.Message):
    __slots__ = ("query", "request_id", "wait")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    query: DatasetQuery
    request_id: str
    wait: bool
    def __init__(self, query: _Optional[_Union[DatasetQuery, _Mapping]] = ..., request_id: _Optional[str] = ..., wait: bool = ...) -> None: ...

class DatasetExport(_message.Message):
    __slots__ = ("export", "watch_url", "replayed")
    EXPORT_FIELD_NUMBER: _ClassVar[int]
    WATCH_URL_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    export: TaskStatusResponse
    watch_url: str
    replayed: bool
    def __init__(self, export: _Optional[_Union[TaskStatusResponse, _Mapping]] = ..., watch_url: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class PreviewDatasetRequest(_message.Message):
    __slots__ = ("query", "rows")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    query: DatasetQuery
    rows: int
    def __init__(self, query: _Optional[_Union[DatasetQuery, _Mapping]] = ..., rows: _Optional[int] = ...) -> None: ...

class DatasetPreview(_message.Message):
    __slots__ = ("columns", "rows")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    rows: _containers.RepeatedCompositeFieldContainer[DatasetRow]
    def __init__(self, columns: _Optional[_Iterable[str]] = ..., rows: _Optional[_Iterable[_Union[DatasetRow, _Mapping]]] = ...) -> None: ...

class DatasetRow(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[DatasetCell]
    def __init__(self, cells: _Optional[_Iterable[_Union[DatasetCell, _Mapping]]] = ...) -> None: ...

class DatasetCell(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets",)
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[DatasetDescription]
    def __init__(self, datasets: _Optional[_Iterable[_Union[DatasetDescription, _Mapping]]] = ...) -> None: ...

class DatasetRequest(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    def __init__(self, dataset: _Optional[str] = ...) -> None: ...

class DatasetDescription(_message.Message):
    __slots__ = ("name", "columns", "selectable", "date", "filters", "direct_rows", "waited_rows", "rows_max", "ids_max", "formats")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SELECTABLE_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    DIRECT_ROWS_FIELD_NUMBER: _ClassVar[int]
    WAITED_ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_MAX_FIELD_NUMBER: _ClassVar[int]
    IDS_MAX_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    name: str
    columns: _containers.RepeatedCompositeFieldContainer[DatasetColumn]
    selectable: bool
    date: bool
    filters: _containers.RepeatedScalarFieldContainer[str]
    direct_rows: int
    waited_rows: int
    rows_max: int
    ids_max: int
    formats: _containers.RepeatedScalarFieldContainer[ExportFormat]
    def __init__(self, name: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[DatasetColumn, _Mapping]]] = ..., selectable: bool = ..., date: bool = ..., filters: _Optional[_Iterable[str]] = ..., direct_rows: _Optional[int] = ..., waited_rows: _Optional[int] = ..., rows_max: _Optional[int] = ..., ids_max: _Optional[int] = ..., formats: _Optional[_Iterable[_Union[ExportFormat, str]]] = ...) -> None: ...

class DatasetColumn(_message.Message):
    __slots__ = ("name", "label", "data_type", "masked")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    data_type: DataType
    masked: bool
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., data_type: _Optional[_Union[DataType, str]] = ..., masked: bool = ...) -> None: ...

class ListDatasetExportsResponse(_message.Message):
    __slots__ = ("exports",)
    EXPORTS_FIELD_NUMBER: _ClassVar[int]
    exports: _containers.RepeatedCompositeFieldContainer[DatasetExport]
    def __init__(self, exports: _Optional[_Iterable[_Union[DatasetExport, _Mapping]]] = ...) -> None: ...
