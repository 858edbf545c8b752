"""What every sink of rows must do; the tables are real, on a real server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sluice.domain.manifest import Claim, short_sha
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.target import Receipt, TableTarget
from sluice.ports.sink import Delivery, RowsRefused, Sink, SinkError, SinkFenced, SinkUnavailable
from tests.support.cut_socket import CutSocket
from tests.support.database_servers import DatabaseServer

Row = tuple[str | None, ...]
ID = "01JDELIVERY"
COLUMNS = (ColumnSpec("id", ColumnType.NUMBER), ColumnSpec("name"))
CHUNKS: list[list[Row]] = [[("1", "a"), ("2", "b")], [("3", "c")], [("2", "later"), ("4", None)]]
EVIL_NAMES = ['a"b', "a`b", "x; DROP TABLE t; --", "sel ect", "名", "t.id", "a'b\\", "%s", "{0}", "$1", "a\nb"]
PAIR: list[list[Row]] = [[("1", "a")], [("1", "b")]]
EVIL_VALUES = ["'; DROP TABLE t; --", "\\'; --", "$1", "%s", "{0}", "\\.", "\\N", "${x}"]
HARD_TEXTS = ["", "\\", "\t", "\n", "\r\n", "a\tb\nc\\d", "😀", "名", "e\u0301", " a ", "\\t", "\b\f\v", "\x01\x7f"]


def claim_of(sequence: int, rows: Sequence[Row]) -> Claim:
    return Claim(sequence, short_sha(repr(rows).encode()), len(rows), 1)


def delivery_of(
    chunks: Sequence[Sequence[Row]], epoch: int = 1, columns: Sequence[ColumnSpec] = COLUMNS, name: str = ID
) -> Delivery:
    return Delivery(name, epoch, columns, sum(map(len, chunks)), len(chunks))


def load(sink: Sink, sequence: int, rows: Sequence[Row]) -> None:
    sink.load(claim_of(sequence, rows), list(zip(*rows, strict=True)))


def load_all(sink: Sink, chunks: Sequence[Sequence[Row]], delivery: Delivery | None = None) -> Receipt:
    """As the use case does: what is there already is left out."""
    there = sink.begin(delivery or delivery_of(chunks))
    for sequence, rows in enumerate(chunks, 1):
        if sequence not in there:
            load(sink, sequence, rows)
    return sink.finish()


class SinkContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    server: ClassVar[DatabaseServer]
    number_type = "numeric"
    text_type = "text"

    @abstractmethod
    def run(self, statements: str) -> str:
        """Run statements as the owner of the server; give what they print, without a line break at the end."""

    @abstractmethod
    def drop_all(self) -> None:
        """Leave no table."""

    @abstractmethod
    def open(self, target: TableTarget, host: Path | None = None, user: str = "") -> Sink:
        """A sink of the table, over the server's own socket or that of ``cut``; ``user`` has the password ``pw``."""

    @abstractmethod
    def cut(self, folder: Path) -> AbstractContextManager[CutSocket]:
        """A socket before the server's, as the host ``folder`` has it."""

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A name in quotes."""

    @abstractmethod
    def rows(self, table: str = "t", columns: str = "id, name", order: str = "id, name") -> list[Row]:
        """The rows that others see, as texts."""

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Keep all others from the table t."""

    @abstractmethod
    def waiting(self) -> int:
        """How many sessions of sinks wait for that."""

    @abstractmethod
    def end_sessions(self) -> None:
        """Cut off every session of a sink, by the server."""

    @abstractmethod
    def granted(self, mode: str) -> None:
        """Have a user ``loader`` with the rights that the page of outputs lists for the mode, and no others."""

    @abstractmethod
    def tables(self) -> set[str]:
        """The names of the tables that are there, those of the ledger left out."""

    def canonical(self, row: Row) -> Row:
        """A row as it was loaded, of one as the server shows it."""
        return row

    @pytest.fixture(autouse=True)
    def _empty(self, server: DatabaseServer) -> None:
        type(self).server = server
        self.drop_all()

    def made(self, key: str = "PRIMARY KEY") -> None:
        self.run(f"CREATE TABLE t (id {self.number_type} {key}, name {self.text_type})")

    @contextmanager
    def sink(self, mode: Any = "append", table: str = "t", **more: Any) -> Iterator[Sink]:
        key = ("id",) if mode == "upsert" else ()
        with closing(
            self.open(TableTarget(**{"connection": "c", "table": table, "mode": mode, "key": key} | more))
        ) as one:
            yield one

    def test_append_adds_all_rows_once(self) -> None:
        self.made(key="")
        self.run("INSERT INTO t VALUES (0, 'there')")
        with self.sink() as sink:
            assert load_all(sink, CHUNKS) == Receipt(5)
        assert self.rows() == [("0", "there"), ("1", "a"), ("2", "b"), ("2", "later"), ("3", "c"), ("4", None)]

    def test_the_last_row_of_a_key_counts_and_rows_that_are_there_are_changed(self) -> None:
        self.made()
        self.run("INSERT INTO t VALUES (0, 'there'), (1, 'old')")
        with self.sink("upsert") as sink:
            sink.begin(delivery_of(CHUNKS))
            for sequence in (3, 1, 2):  # the order of the manifest counts, not that of the calls
                load(sink, sequence, CHUNKS[sequence - 1])
            assert self.rows() == [("0", "there"), ("1", "old")]
            receipt = sink.finish()
        assert receipt == Receipt(5, receipt.inserted, receipt.updated)
        assert (receipt.inserted, receipt.updated) in {(3, 1), (None, None)}
        assert self.rows() == [("0", "there"), ("1", "a"), ("2", "later"), ("3", "c"), ("4", None)]

    def test_replace_leaves_the_rows_of_the_delivery_alone_and_shows_them_at_the_end(self) -> None:
        self.made(key="")
        self.run("INSERT INTO t VALUES (0, 'there')")
        with self.sink("replace") as sink:
            sink.begin(delivery_of(CHUNKS))
            for sequence, rows in enumerate(CHUNKS, 1):
                load(sink, sequence, rows)
            assert self.rows() == [("0", "there")]
            assert sink.finish() == Receipt(5)
        assert self.rows() == [("1", "a"), ("2", "b"), ("2", "later"), ("3", "c"), ("4", None)]

    @pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
    def test_a_chunk_that_is_loaded_again_changes_nothing(self, mode: str) -> None:
        self.made(key="PRIMARY KEY" if mode == "upsert" else "")
        with self.sink(mode) as sink:
            sink.begin(delivery_of(CHUNKS[:2]))
            for sequence in (1, 1, 2, 1):
                load(sink, sequence, CHUNKS[sequence - 1])
            assert sink.finish() == sink.finish()
            load(sink, 1, CHUNKS[0])
        assert self.rows() == [("1", "a"), ("2", "b"), ("3", "c")]

    @pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
    def test_an_attempt_whose_session_is_cut_at_any_call_is_taken_on_by_the_next(self, mode: str) -> None:
        self.made(key="PRIMARY KEY" if mode == "upsert" else "")
        for epoch, calls in enumerate((0, 1, 2, 3, 4), 1):
            with self.sink(mode) as sink, suppress(SinkError):
                there = sink.begin(delivery_of(CHUNKS, epoch))
                assert there == frozenset(range(1, calls)), "what was loaded before is known"
                for call in range(calls, 4):
                    if call == calls:
                        self.end_sessions()  # the call is not carried out, or its session is gone behind it
                    if call and call <= 3:
                        load(sink, call, CHUNKS[call - 1])
            with self.sink(mode) as sink:
                sink.begin(delivery_of(CHUNKS, epoch))
                if calls < 4 and calls:
                    load(sink, calls, CHUNKS[calls - 1])
        with self.sink(mode) as sink:
            sink.begin(delivery_of(CHUNKS, 6))
            receipt = sink.finish()
        with self.sink(mode) as sink:
            assert sink.begin(delivery_of(CHUNKS, 7)) == {1, 2, 3}
            assert sink.finish() == receipt
        later = [("2", "later")] if mode == "upsert" else [("2", "b"), ("2", "later")]
        assert self.rows() == [("1", "a"), *later, ("3", "c"), ("4", None)]

    @pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
    def test_an_attempt_whose_answers_are_lost_from_any_message_on_is_taken_on_by_the_next(
        self, mode: Any, tmp_path: Path
    ) -> None:
        key = ("id",) if mode == "upsert" else ()
        made = 0
        with self.cut(tmp_path) as cut:
            while made == cut.after:
                made += 1
                cut.after, cut.was_cut = made, False
                target = TableTarget(connection="c", table=f"t{made}", mode=mode, key=key, create="if_missing")
                with closing(self.open(target, tmp_path)) as first:
                    try:
                        load_all(first, PAIR[:1] + CHUNKS[1:2], delivery_of(PAIR[:1] + CHUNKS[1:2], name=f"of {made}"))
                        cut.after = 0  # the end: nothing was cut
                    except SinkUnavailable:
                        assert cut.was_cut
                with closing(self.open(target)) as second:
                    load_all(second, PAIR[:1] + CHUNKS[1:2], delivery_of(PAIR[:1] + CHUNKS[1:2], 2, name=f"of {made}"))
                assert list(map(self.canonical, self.rows(f"t{made}"))) == [("1", "a"), ("3", "c")], made
        assert made > 20
        assert self.tables() == {f"t{number}" for number in range(1, made + 1)}

    @pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
    def test_an_earlier_attempt_loads_nothing_more(self, mode: str) -> None:
        self.made(key="PRIMARY KEY" if mode == "upsert" else "")
        with self.sink(mode) as early, self.sink(mode) as late:
            early.begin(delivery_of(CHUNKS, 1))
            load(early, 1, CHUNKS[0])
            assert late.begin(delivery_of(CHUNKS, 2)) == {1}
            for call in (lambda: load(early, 2, CHUNKS[1]), early.finish, early.abandon):
                with pytest.raises(SinkFenced):
                    call()
            with pytest.raises(SinkFenced):
                early.begin(delivery_of(CHUNKS, 1))
            load(late, 2, CHUNKS[1])
            load(late, 3, CHUNKS[2])
            assert late.finish().rows == 5

    def test_an_earlier_attempt_in_the_midst_of_a_load_is_ended_and_changes_nothing(self) -> None:
        self.made(key="")
        with self.sink() as early, self.sink() as late, ThreadPoolExecutor(1) as thread:
            early.begin(delivery_of(CHUNKS, 1))
            with self.locked():
                loading = thread.submit(load, early, 1, CHUNKS[0])
                while not self.waiting():
                    assert not loading.done()
                assert late.begin(delivery_of(CHUNKS, 2)) == frozenset()
                assert isinstance(loading.exception(), SinkError)
            with pytest.raises(SinkError):
                load(early, 1, CHUNKS[0])
            assert self.rows() == []
            for sequence, rows in enumerate(CHUNKS, 1):
                load(late, sequence, rows)
            assert late.finish().rows == 5
        assert len(self.rows()) == 5

    def test_a_sink_that_is_interrupted_ends_what_waits_and_begins_nothing_more(self) -> None:
        self.made(key="")
        with self.sink() as sink, self.locked(), ThreadPoolExecutor(1) as thread:
            sink.begin(delivery_of(CHUNKS))
            loading = thread.submit(load, sink, 1, CHUNKS[0])
            while not self.waiting():
                assert not loading.done()
            sink.interrupt()
            assert isinstance(loading.exception(), SinkUnavailable)
            with pytest.raises(SinkUnavailable):
                sink.finish()
        assert self.rows() == []

    @pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
    def test_missing_chunks_and_other_rows_are_refused(self, mode: str) -> None:
        self.made(key="PRIMARY KEY" if mode == "upsert" else "")
        with self.sink(mode) as sink:
            sink.begin(delivery_of(CHUNKS))
            load(sink, 1, CHUNKS[0])
            with pytest.raises(SinkError, match="1 chunks of 3 and 2 rows of 5"):
                sink.finish()
            with pytest.raises(SinkError, match="chunk 1 of the delivery was loaded before with other rows"):
                load(sink, 1, CHUNKS[1])
        with self.sink(mode) as sink, pytest.raises(SinkError, match="other rows"):
            sink.begin(delivery_of(CHUNKS[:2], 2))

    def test_a_table_that_went_away_with_rows_of_the_delivery_is_not_made_anew_for_the_rest(self) -> None:
        delivery = delivery_of(CHUNKS)
        with self.sink(create="if_missing") as sink:
            sink.begin(delivery)
            load(sink, 1, CHUNKS[0])
        self.run("DROP TABLE t")
        with self.sink(create="if_missing") as sink, pytest.raises(SinkError, match="is gone"):
            sink.begin(delivery._replace(epoch=delivery.epoch + 1))

    def test_hard_values_arrive_as_they_are(self) -> None:
        self.made(key="")
        chunk: list[Row] = [(str(at), text) for at, text in enumerate([*HARD_TEXTS, *EVIL_VALUES, None])]
        with self.sink() as sink:
            load_all(sink, [chunk])
        assert self.rows(order="id") == chunk

    def test_typed_values_arrive_equal(self) -> None:
        kinds = {name: ColumnType(name) for name in ("number", "date", "datetime", "boolean", "string")}
        columns = (ColumnSpec("id", ColumnType.NUMBER), *(ColumnSpec(name, kind) for name, kind in kinds.items()))
        chunk: list[Row] = [
            ("1", "123456789012345678", "2026-01-02", "2026-01-02 03:04:05.123456", "true", ""),
            ("2", "-12345678901234567890123456789.123456789", "0001-01-01", "2026-12-31 23:59:59", "false", "NULL"),
            ("3", None, None, None, None, None),
        ]
        with self.sink(create="if_missing") as sink:
            load_all(sink, [chunk], delivery_of([chunk], columns=columns))
        found = self.rows(columns="id, number, date, datetime, boolean, string", order="id")
        assert list(map(self.canonical, found)) == chunk

    def test_a_value_that_a_column_would_round_is_refused(self) -> None:
        self.run("CREATE TABLE t (id integer, name decimal(10,2))")
        with self.sink() as sink:
            sink.begin(delivery_of([[("1", "x")] * 3]))
            with pytest.raises(RowsRefused) as refused:
                load(sink, 1, [("1", "1.25"), ("2", "1.255"), ("3", "1")])
            assert (refused.value.rows, refused.value.column) == ((1,), "name")
        assert self.rows() == []

    def test_any_name_is_a_name_of_a_column_and_of_a_table(self) -> None:
        for name in EVIL_NAMES:
            columns = (ColumnSpec("id", ColumnType.NUMBER), ColumnSpec(name))
            table = name.replace(".", "-")
            with self.sink("upsert", table, create="if_missing") as sink:
                load_all(sink, PAIR, delivery_of(PAIR, columns=columns, name=name))
            (row,) = self.rows(self.quoted(table), f"id, {self.quoted(name)}", "1")
            assert self.canonical(row) == ("1", "b")
        assert self.tables() == {name.replace(".", "-") for name in EVIL_NAMES}

    def test_rows_at_fault_are_named_and_nothing_of_their_chunk_is_there(self) -> None:
        self.run("CREATE TABLE t (id integer, name varchar(3))")
        chunk: list[Row] = [(str(at), "abcd" if at in {7, 40} else "abc") for at in range(50)]
        with self.sink() as sink:
            sink.begin(delivery_of([chunk]))
            with pytest.raises(RowsRefused) as refused:
                load(sink, 1, chunk)
            assert (refused.value.rows, refused.value.reason.partition(",")[0]) == (
                (7, 40),
                "a text is longer than its column takes",
            )
            assert "abcd" not in str(refused.value)
            chunk[7] = chunk[40] = ("0", "x")
            load(sink, 1, chunk)
            assert sink.finish().rows == 50

    def test_a_column_or_a_table_that_is_not_there_is_an_error_that_says_what_may_be_done(self) -> None:
        with self.sink() as sink, pytest.raises(SinkError, match="there is no table t of c: make it, or set create"):
            sink.begin(delivery_of(CHUNKS))
        self.run(f"CREATE TABLE t (id integer, names {self.text_type})")
        with self.sink() as sink, pytest.raises(SinkError, match="no column name; did you mean names"):
            sink.begin(delivery_of(CHUNKS))
        with self.sink(schema="evolve") as sink:
            load_all(sink, CHUNKS[:1], delivery_of(CHUNKS[:1], name="another"))
        assert self.rows() == CHUNKS[0]

    def test_a_key_is_among_the_columns_and_has_a_value_in_each_row(self) -> None:
        self.made()
        with (
            self.sink("upsert", key=("idd",)) as sink,
            pytest.raises(SinkError, match=r"no column idd.*mean id"),
        ):
            sink.begin(delivery_of(CHUNKS, name="another"))
        with self.sink("upsert") as sink:
            sink.begin(delivery_of(CHUNKS))
            with pytest.raises(RowsRefused) as refused:
                load(sink, 1, [("1", "a"), (None, "b")])
            assert (refused.value.rows, refused.value.column) == ((1,), "id")

    def test_a_name_that_is_longer_than_the_server_takes_makes_no_table(self) -> None:
        with self.sink(table="t" * 70, create="if_missing") as sink, pytest.raises(SinkError):
            sink.begin(delivery_of(CHUNKS))
        assert self.tables() == set()

    @pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
    def test_a_user_needs_the_rights_that_the_page_lists(self, mode: Any) -> None:
        self.made()
        target = TableTarget(connection="c", table="t", mode=mode, key=("id",) if mode == "upsert" else ())
        self.granted("none")
        with closing(self.open(target, user="loader")) as sink, pytest.raises(SinkError, match="lacks a right"):
            sink.begin(delivery_of(CHUNKS[:1]))
        self.granted(mode)
        with closing(self.open(target, user="loader")) as sink:
            load_all(sink, CHUNKS[:1])
        assert (self.rows(), self.tables()) == (CHUNKS[0], {"t"})

    def test_a_key_without_a_unique_index_is_refused_with_the_statement_that_makes_it(self) -> None:
        self.made(key="")
        with self.sink("upsert") as sink, pytest.raises(SinkError, match=r"CREATE UNIQUE INDEX"):
            sink.begin(delivery_of(CHUNKS))

    @pytest.mark.parametrize("mode", ["replace", "upsert"])
    def test_what_is_abandoned_leaves_nothing(self, mode: str) -> None:
        self.made()
        with self.sink(mode) as sink:
            sink.begin(delivery_of(CHUNKS))
            load(sink, 1, CHUNKS[0])
            assert self.tables() > {"t"}
            sink.abandon()
            sink.abandon()
        assert (self.rows(), self.tables()) == ([], {"t"})
        with self.sink(mode) as sink:
            assert load_all(sink, CHUNKS[:1]).rows == 2
        assert (self.rows(), self.tables()) == (CHUNKS[0], {"t"})
