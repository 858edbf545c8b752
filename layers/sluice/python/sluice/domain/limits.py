"""Every number that bounds something, with where it comes from."""

from __future__ import annotations

import msgspec

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S


INPUT_FACTOR = 3
"""Rows are at most this many times as large as a sender writes them as in their chunk: quotes, brackets, escapes."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what a task may hold. A value, so that a test can shrink it."""

    batches_max: int = 10_000
    """Claims are columns of one Tablestore row, which should have at most 10,000."""
    batch_bytes_max: int = 4 * MIB
    """Canonical bytes of one batch; part of the composer's memory bound."""
    batch_rows_max: int = 50_000
    """Rows in one batch; a row costs memory even when its cells are empty."""
    rows_max: int = 100_000_000
    """Rows in one task."""
    result_bytes_max: int = 64 * GIB
    """Bytes of one file: a small upload of what a format writes long could become one of any size. 0: no bound."""
    columns_max: int = 16_384
    """Columns of a worksheet (Excel specifications and limits)."""
    sheet_rows_max: int = 1_048_576
    """Rows of a worksheet, header included (Excel specifications and limits)."""
    sheets_max: int = 100
    """Tables that one task declares; each costs the composer memory for the whole file."""
    all_columns_max: int = 65_536
    """Columns of all tables of one task; each costs the composer memory for the whole file."""
    worksheets_max: int = 1_000
    """Worksheets that the rows of a file fill; more come only of a table that starts far down."""
    workbook_rows_least: int = 10_000
    """The least that ``workbook_rows_max`` may say, so that a file is not a heap of tiny workbooks."""
    zip32_bytes_max: int = 0xFFFFFFFF - 4 * MIB
    """Bytes of an archive's member before it needs ZIP64, with room for what deflate adds to what it cannot shrink."""
    cell_units_max: int = 32_767
    """UTF-16 units of text in a worksheet's cell (Excel specifications and limits)."""
    column_name_chars_max: int = 255
    """Characters of a column name."""
    params_bytes_max: int = 1_900_000
    """Bytes of a task's parameters as JSON, mostly its columns; a value of a Tablestore row has at most 2 MB."""
    idempotency_key_bytes_max: int = 255
    """Bytes of an idempotency key."""
    filename_bytes_max: int = 150
    """UTF-8 bytes of a delivered file name, so that every file system takes it."""
    missing_listed_max: int = 100
    """How many missing batches an answer lists."""
    part_bytes_min: int = 1 * MIB
    """The smallest part we upload; OSS takes no part under 100 KB but the last."""
    parts_max: int = 9_000
    """Parts of one upload we plan for; OSS takes 10,000."""
    parallel_parts: int = 3
    """Parts of one file uploaded at the same time; each is in memory."""
    prefetched_chunks: int = 2
    """Chunks of one file read ahead; each is in memory."""
    open_tasks_max: int = 1_000
    """Tasks of one tenant that are open at a time; no export is rendered again while more wait for a composer."""
    renders_max: int = 16
    """Kept tasks over the chunks of one, beside itself: each is a file for which nothing was sent."""
    tenant_composing_max: int = 0
    """Tasks of one tenant that are composed at a time; 0 for no share of its own."""

    @property
    def input_bytes_max(self) -> int:
        """Bytes of a batch, or of one row, as its sender writes it."""
        return INPUT_FACTOR * self.batch_bytes_max

    def __post_init__(self) -> None:
        if self.part_bytes_min < 1 or self.parts_max < 1:
            raise ValueError("part limits start at 1")
        if self.parallel_parts < 1 or self.prefetched_chunks < 1:
            raise ValueError("one part is uploaded and one chunk is read at a time, at least")
        if self.sheet_rows_max <= 1:
            raise ValueError("a worksheet holds a header and at least one row")


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long the protocol waits. None of these is a condition of safety, only of speed."""

    lease_s: float = 45
    """A composer that has not been heard of for this long may be taken over."""
    skew_s: float = 10
    """How far two machines' clocks may differ."""
    heartbeat_s: float = 10
    """A composer extends its lease this often."""
    trigger_grace_s: float = 90
    """How long after the seal the sweeper waits for the trigger to have worked."""
    attempt_max_s: float = 30 * MINUTE_S
    """An attempt of which nothing moves for longer is given back: whatever holds it up may not hold up the next one."""
    attempt_total_s: float = 0
    """How long an attempt may take however well it goes, where the platform stops it then; 0: no bound."""
    attempts_max: int = 6
    """Attempts before a task fails for good (measured: 5 % of calls failing leaves 0.12 % of tasks)."""
    outage_s: float = DAY_S
    """How long after its seal a task is tried again whenever a store was away or refused us: people have to act."""
    backoff_s: float = 15
    """Wait after the first failed attempt; doubles each time."""
    backoff_max_s: float = 10 * MINUTE_S
    """The longest wait between attempts."""
    idle_s: float = DAY_S
    """An open task without a new batch for this long expires."""
    open_max_s: float = 2 * DAY_S
    """A task still open after this expires, however lately a batch came: stored batches do not last for ever."""
    retention_s: float = 7 * DAY_S
    """How long a result, and the chunks it came from, are kept."""
    link_s: float = 15 * MINUTE_S
    """Life of a download link."""
    gc_delays_s: tuple[float, ...] = (HOUR_S, DAY_S)
    """Garbage is collected again this long after a task ended: a late part may land after an abort."""
    answer_s: float = HOUR_S
    """How long a call for a dataset waits for its file at most, whatever its tier says."""
    tombstone_s: float = 30 * DAY_S
    """A finished task's id is remembered this long, so that a late retry cannot open it again."""

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_s < self.lease_s:
            raise ValueError("heartbeat_s is above 0 and below lease_s")
