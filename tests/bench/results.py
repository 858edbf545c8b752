"""What one run of the benchmarks measured, as it is kept in `results.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One subject that wrote one table, once in every round."""

    subject: str
    rows: int
    columns: int
    seconds: list[float]
    file_bytes: int
    grown_bytes: int
    """Peak resident memory above what was resident when the clock started: the most of all rounds."""

    @property
    def best_s(self) -> float:
        return min(self.seconds)

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.best_s


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """Batches of 1,000 rows, pushed to a relay on one core until the last was acknowledged: the best round."""

    face: str
    senders: int
    rows_per_s: float
    rows_per_cpu_s: float
    """Rows per second of the relay's processor time, which a busy machine disturbs less."""
    p50_ms: float
    p99_ms: float


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """From close to link, in a service of its own."""

    rows: int
    xlsx_s: float
    csv_s: float
    peak_bytes: int
    """Of the composers' processes, the most."""


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """The peak memory of a whole composer process that wrote one XLSX."""

    home: str
    """``embedded``, or ``cloud``: the function, with both SDKs loaded, over stand-ins of the services."""
    rows: int
    peak_bytes: int
    seconds: float
    note: str = ""
    """What differs from the deployed function; empty when nothing does."""


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Exports of mixed formats, opened, pushed and closed at the same time, while somebody asks how they are."""

    exports: int
    rows_each: int
    seconds: float
    """From the first open to the last link."""
    finished_s: dict[str, list[float]]
    """Seconds from open to link, by format."""
    jain: float
    """Jain's index of what the exports got, in rows per second from open to link: 1 when all got the same."""
    queries: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rows_per_s(self) -> float:
        return self.exports * self.rows_each / self.seconds

    @property
    def all_finished_s(self) -> list[float]:
        return sorted(moment for moments in self.finished_s.values() for moment in moments)


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a start costs a deployed function, before its first call."""

    function: str
    import_ms: float
    without_bytecode_ms: float
    peak_bytes: int
    modules: int


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A table that a program sent to a service or wrote itself, once in every round, in a process of its own."""

    subject: str
    rows: int
    link_ms: int
    """There and back, that the link to the service took; 0 on the machine itself."""
    pushed_s: list[float]
    """Until the subject had given all rows away; our clients, until all were acknowledged."""
    finished_s: list[float]
    """Until the file was there."""
    cpu_s: list[float]
    """Of the subject's process, without what making the rows took."""
    service_cpu_s: list[float]
    """Of the service and its composers."""
    peak_bytes: int
    """What PHP's allocator had at most, the block of rows included; 0 for other languages. The most of all rounds."""
    grown_bytes: int
    """As for a writer."""

    @property
    def best_cpu_s(self) -> float:
        return min(self.cpu_s)

    @property
    def all_cpu_s(self) -> float:
        """Of both sides, in the round in which that was least."""
        return min(mine + theirs for mine, theirs in zip(self.cpu_s, self.service_cpu_s, strict=True))


class PulledFile(msgspec.Struct, frozen=True, kw_only=True):
    """A table of a database that a program made a file of, once in every round."""

    subject: str
    rows: int
    seconds: list[float]
    cpu_s: list[float]
    """Of the program, from its start; not of the database."""
    peak_bytes: int
    """Of its largest process: the most of all rounds."""

    @property
    def best_cpu_s(self) -> float:
        return min(self.cpu_s)

    @property
    def rows_per_s(self) -> float:
        return self.rows / min(self.seconds)


class Clicked(msgspec.Struct, frozen=True, kw_only=True):
    """From a user's call to the last byte of the file, of one call after the other."""

    rows: int
    seconds: list[float]

    @property
    def p50_s(self) -> float:
        return sorted(self.seconds)[len(self.seconds) // 2]


class Paged(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one page of a table, behind all pages before it."""

    page: int
    rows: int
    buffers: int
    """Blocks that the server looked at."""
    buffers_by_offset: int
    """Where the pages before are skipped by OFFSET."""
    seconds: list[float]
    """From connecting to the first rows, of several tries."""


class PullRun(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured of pulls, side by side."""

    load: float
    """Of the machine over the minute before the start."""
    reference: Written
    """XlsxWriter, with rows in memory."""
    reference_cpu_s: list[float]
    files: list[PulledFile]
    """The largest number of rows that all made first."""
    clicks: Clicked
    pages: list[Paged]


class Stepped(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of a pipeline over rows in memory."""

    subject: str
    rows: int
    """Of one round."""
    kept_share: float
    """Of rows that a filter does not drop."""
    cpu_s: list[float]

    @property
    def rows_per_cpu_s(self) -> float:
        return self.rows / min(self.cpu_s)


class Results(msgspec.Struct, kw_only=True):
    """One run. A section that did not run is empty."""

    date: str
    machine: str
    command: str
    load: float
    """Of the machine over the minute before the start."""
    seconds: float = 0
    rounds: int = 1
    writers: list[Written] = []
    by_rows: list[Written] = []
    by_columns: list[Written] = []
    relay: list[Pushed] = []
    links: list[Linked] = []
    memory: list[Composed] = []
    crowds: list[Crowd] = []
    starts: list[Started] = []
    senders: list[Sent] = []
    pull: list[PullRun] = []
    pipelines: list[Stepped] = []
    versions: dict[str, str] = {}
    """Of what the senders and their rivals were, by name."""
    apart: dict[str, str] = {}
    """What the page says of the run of a section that was recorded by itself, by section."""

    @property
    def all_by_rows(self) -> list[Written]:
        """Every number of rows that writers wrote."""
        return sorted([*self.writers, *self.by_rows], key=lambda one: one.rows) if self.by_rows else []


def load_results(path: Path) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save_results(results: Results, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(_rounded(results)), indent=1) + b"\n")


def _rounded(value: object) -> object:
    """Six digits are more than any of the figures means."""
    plain = msgspec.to_builtins(value)
    if isinstance(plain, dict):
        return {key: _rounded(item) for key, item in plain.items()}
    if isinstance(plain, list):
        return [_rounded(item) for item in plain]
    return float(f"{plain:.6g}") if isinstance(plain, float) else plain
