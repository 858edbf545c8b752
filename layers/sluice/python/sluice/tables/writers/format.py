"""What a file format is: everything the service asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from sluice.domain.errors import SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.values.nulled_cells import as_written


class Format(ABC):
    """One file format. There is one object of each, without state, for all threads.

    Importing it is cheap: what only ``write`` needs is imported by ``write``,
    since a relay checks batches and never writes.
    """

    name: ExportFormat

    @property
    def is_installed(self) -> bool:
        """Whether its files can be written here; False where an optional extra is missing."""
        return True

    @abstractmethod
    def extension(self, options: ExportOptions, rows: int, /) -> str:
        """Without the leading dot, for a file of so many rows: ``xlsx``, ``csv``, ``csv.gz``, ``zip``."""

    @abstractmethod
    def media_type(self, options: ExportOptions, rows: int, /) -> str:
        """The Content-Type of such a file."""

    @abstractmethod
    def check_table(self, params: ExportParams, limits: Limits, /) -> None:
        """Refuse columns and options the format cannot honour; called when a task is opened.

        Raises TOO_MANY_COLUMNS, UNSUPPORTED_ENCODING, UNSUPPORTED_FORMAT, or
        INVALID_REQUEST with the fact ``field``.
        """

    def check_rows(self, params: ExportParams, rows: Sequence[int], limits: Limits, /) -> None:
        """Refuse a number of rows, per declared table, that the file cannot hold; called when a task is closed.

        Raises TOO_MANY_ROWS. Unless a format says otherwise, its files hold any number.
        """
        del params, rows, limits

    @abstractmethod
    def check_batch(
        self, batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions, limits: Limits, /
    ) -> None:
        """Refuse values the file cannot hold; ``check_sent`` calls it.

        Raises INVALID_VALUE, INVALID_TEXT or CELL_TOO_LONG with the facts ``row``
        (from 1 within the batch) and ``column`` (its name).
        """

    def check_sent(
        self, batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions, limits: Limits, /
    ) -> None:
        """As ``check_batch``, for a batch as it was sent, of which ``write`` may get invalid values as nulls.

        Called for every batch before it is stored. A batch that may be written as it was sent may be written with
        nulls in it too; so what becomes null is looked for only where that may make a difference.
        """
        try:
            self.check_batch(batch, columns, options, limits)
        except SluiceError:
            if options.on_invalid != "null":
                raise
        else:
            return
        self.check_batch(as_written(batch, columns, options), columns, options, limits)

    @abstractmethod
    def write(self, batches: Iterable[Batch], plan: FilePlan, tally: Tally, /) -> Iterator[bytes]:
        """Yield the file in blocks, reading batches only as they are needed.

        The same rows give the same bytes, however they are cut into batches.
        Raises ROW_COUNT_MISMATCH unless exactly ``plan.rows`` rows came. May
        raise ``Replan``: then the file is written again from its first row.
        """

    @abstractmethod
    def size_bound(self, plan: FilePlan, /) -> int:
        """No file of this plan has more bytes."""

    @abstractmethod
    def memory_bound(self, plan: FilePlan, batch_bytes: int, /) -> int:
        """``write`` takes no more bytes of memory for batches of at most ``batch_bytes`` canonical bytes.

        The batch itself, decoded, and what the process had before the first row are not counted.
        """

    @property
    def extensions(self) -> tuple[str, str]:
        """Of a plain file and of a compressed one, which are the same where compression is the format's own affair."""
        return self.extension(ExportOptions(), 0), self.extension(ExportOptions(compression_enabled=True), 0)
