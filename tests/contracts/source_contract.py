"""What every source of rows must do; the tables are real, in a real database."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import pytest

from sluice.domain.pulled import Condition, Consistency, Cursor, Value
from sluice.domain.schema import ColumnType
from sluice.ports.source import ConditionError, Source, SourceError, SourceUnavailable
from sluice.usecases.pulling.make_params import VALUES_MAX
from tests.support.source_rows import EVIL_TEXTS, rows_of, slices_of

ROWS = [(str(number), f"name {number}") for number in range(1, 11)]
EVIL_NAMES = ['a"b', "a`b", "x; DROP TABLE t; --", "sel ect", "名", "t.id", "a'b\\", "%s", "{0}", "$1", "a\nb"]
HARD_TEXTS = [
    "",
    "\\N",
    "N",
    "\\",
    "\\\\N",
    "\t",
    "\n",
    "\r\n",
    "a\tb\nc\\d",
    "\b\f\v",
    "😀",
    "名",
    "e\u0301",
    " a ",
    "\\t",
]
LARGE = 9_007_199_254_740_993
"""No number of 8 bytes with a fraction is it."""
COMPARED: list[
    tuple[str, Value, list[str] | None]
] = [  # column, value, the ids of the rows that it finds; None where it is refused
    *(("i", value, ["1"]) for value in (7, "7", "07", "7.0", "+7", 7.0, "7e0", "70e-1")),
    *(("i", value, ["3"]) for value in (LARGE, str(LARGE), f"{LARGE}.0")),
    *(("i", value, []) for value in (0, "-7", 2**62)),
    *(("i", value, None) for value in (" 7", "7 ", "7.5", 1.5, "", "x", "0x7", "7_0", "true", "YWI=", 2**70)),
    *(("r", value, ["1"]) for value in (7, "7", "07", "7.0", "+7", 7.0, "7e0")),
    *(("r", value, ["2"]) for value in (0.1, "0.1", "0.10", "1e-1")),
    *(("r", value, None) for value in (" 7", "", "x", "0x7", "true", "1e999")),
    *(("n", value, ["1"]) for value in (7, "7", "07", "7.00", 7.0, "7e0")),
    *(("n", value, ["2"]) for value in (0.25, "0.25", "0.250", "25e-2")),
    *(("n", value, None) for value in (" 7", "", "x", "7,0", "true")),
    ("x", 7, ["1"]),
    ("x", "7", ["1"]),
    ("x", "07", ["2"]),
    ("x", "7.0", ["3"]),
    ("x", LARGE, ["4"]),
    ("x", 8, []),
    ("x", " 7", []),
    ("x", "true", []),
    *(("x", value, None) for value in (7.0, 1.5)),
    ("b", "YWI=", ["1"]),
    ("b", "NzA3", ["2"]),
    ("b", "YWE=", []),
    *(("b", value, None) for value in (7, 1234, 1.5, "ab", "%%%%")),
]
LOOKS = 200
"""How often a server is asked for its sessions at most."""
ENDS_IN_S = 60
"""A fraction of the time that a statement may take."""


class SourceContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    large_text = "TEXT"
    """The type of texts of a megabyte."""

    @abstractmethod
    def run(self, statements: str) -> object:
        """Run statements of SQL in the database."""

    @abstractmethod
    def source(
        self,
        columns: Sequence[str] = ("id", "name"),
        key: tuple[str, ...] = ("id",),
        table: str = "t",
        conditions: Sequence[Condition] = (),
        consistency: Consistency = "snapshot",
        *,
        where: str = "",
    ) -> Source:
        """Make the source of a table of the database."""

    @abstractmethod
    def small_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a slice have three rows at most."""

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A name in SQL."""

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Another session keeps all others from the table ``t``."""

    @abstractmethod
    def sessions(self, *, waiting: bool = False) -> int:
        """How many sessions of ours the server has; only those that wait for a lock."""

    def text(self, value: str) -> str:
        """A text in SQL."""
        return "'" + value.replace("'", "''") + "'"

    bytes_type = "BLOB"

    def bytes(self, value: str) -> str:
        """The bytes of a text in SQL."""
        return f"X'{value.encode().hex()}'"

    @pytest.fixture(autouse=True)
    def _tables(self) -> None:
        """Each test begins without tables."""
        self.drop_all()

    @abstractmethod
    def drop_all(self) -> None:
        """Remove all tables."""

    def made(self, *rows: Sequence[object], columns: str = "id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(100)") -> None:
        """A table ``t`` with these rows."""
        statements = [f"CREATE TABLE t ({columns})"]
        values = ", ".join(f"({', '.join(map(self.shown, row))})" for row in rows)
        if rows:
            statements.append(f"INSERT INTO t VALUES {values}")
        self.run(";\n".join(statements) + ";")

    def shown(self, value: object) -> str:
        return "NULL" if value is None else self.text(value) if isinstance(value, str) else str(value)

    def test_every_row_comes_once_in_the_order_of_the_key_and_from_any_cursor_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.small_slices(monkeypatch)
        self.made(*ROWS[::-1])
        for consistency in ("snapshot", "key"):
            slices = slices_of(self.source(consistency=consistency))
            assert rows_of(slices) == ROWS
            assert [part.rows for part in slices] == [3, 3, 3, 1]
            for place, part in enumerate(slices, 1):
                assert rows_of(slices_of(self.source(), part.cursor)) == rows_of(slices[place:])

    def test_an_empty_table_has_no_slice(self) -> None:
        self.made()
        assert slices_of(self.source()) == []
        assert self.source().count(5) == 0

    def test_ties_in_a_part_of_the_key_leave_no_row_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.small_slices(monkeypatch)
        keys = [(a, b) for a in range(3) for b in (-10, 2, 9, 10)]
        self.made(
            *((a, b, at) for at, (a, b) in enumerate(keys)),
            columns="a INT NOT NULL, b INT NOT NULL, n INT, PRIMARY KEY (b, a)",
        )
        reading = self.source(["n"], ("a", "b"))
        slices = slices_of(reading)
        assert rows_of(slices) == [(str(at),) for at in range(len(keys))]
        for place, part in enumerate(slices, 1):
            assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])

    infinities: tuple[str, ...] = ()
    """In SQL, the numbers without an end; none where no table has them."""

    def test_a_reading_goes_on_behind_a_number_without_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.small_slices(monkeypatch)
        ends = list(self.infinities) or ["-1.7e308", "1.7e308"]
        keys = [ends[0], "-1", "0.1", "2", ends[1]]
        values = ", ".join(f"({key}, {at})" for at, key in enumerate(sorted(keys * 2, key=keys.index)))
        self.run(f"CREATE TABLE t (k DOUBLE PRECISION, n INT, PRIMARY KEY (k, n)); INSERT INTO t VALUES {values};")
        for key in (("k", "n"), ("n", "k")):
            reading = self.source(["n"], key)
            slices = slices_of(reading)
            assert rows_of(slices) == [(str(at),) for at in range(10)]
            for place, part in enumerate(slices, 1):
                assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])

    def test_keys_that_are_texts_are_in_the_order_of_their_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.small_slices(monkeypatch)
        keys = ["b", "A", "c", "Z", "äx", "ö", "10", "9", "'", "\\", "\\n", "名", "😀", "", "%", "a b"]
        self.made(*((key, at) for at, key in enumerate(keys)), columns="k VARCHAR(20) NOT NULL PRIMARY KEY, n INT")
        reading = self.source(["k"], ("k",))
        slices = slices_of(reading)
        assert [key for (key,) in rows_of(slices)] == sorted(keys, key=str.encode)
        for place, part in enumerate(slices, 1):
            assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])

    def test_a_snapshot_is_of_one_moment_and_its_writers_go_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.small_slices(monkeypatch)
        self.made(*ROWS)
        reading = self.source()
        with reading.reading() as slices:
            found = rows_of([next(slices)])
            self.run(
                "DELETE FROM t WHERE id IN (2, 8); UPDATE t SET id = id + 100 WHERE id IN (3, 9);"
                "UPDATE t SET name = 'other'; INSERT INTO t VALUES (50, 'new');"
            )
            found += rows_of(list(slices))
        assert found == ROWS
        assert len(rows_of(slices_of(reading))) == len(ROWS) - 1

    def test_by_key_each_row_that_stays_comes_once_whatever_others_do_between_readings(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.small_slices(monkeypatch)
        self.made(*ROWS)
        reading = self.source(consistency="key")
        seen: list[int] = []
        cursor: Cursor | None = None
        for turn in range(20):
            with reading.reading(cursor) as slices:
                part = next(slices, None)
            if part is None:
                break
            seen += [int(str(row[0])) for row in zip(*part.columns, strict=True)]
            cursor = part.cursor
            self.run(
                f"DELETE FROM t WHERE id = {8 if turn == 0 else 1}; INSERT INTO t VALUES ({-turn - 1}, 'new');"
                "UPDATE t SET id = -100 WHERE id = 9;"
            )
        assert len(seen) == len(set(seen))
        assert set(range(1, 8)) | {10} <= set(seen)
        assert 8 not in seen

    def by_splits(self, reading: Source, splits: int) -> list[list[tuple[str | None, ...]]]:
        """The rows of each range; the first row of no range is in another."""
        bounds = reading.plan(splits, 1)
        starts = [None, *bounds[:-1]]
        return [rows_of(slices_of(reading, after, until)) for after, until in zip(starts, bounds, strict=True)]

    @pytest.mark.parametrize(
        ("splits", "sizes"), [(1, [10]), (2, [5, 5]), (3, [4, 4, 2]), (4, [3, 3, 3, 1]), (64, [1] * 10)]
    )
    def test_ranges_of_keys_hold_every_row_once_about_as_many_each(
        self, splits: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.small_slices(monkeypatch)
        self.made(*ROWS[::-1])
        found = self.by_splits(self.source(consistency="split"), splits)
        assert [row for part in found for row in part] == ROWS
        assert [len(part) for part in found] == sizes

    def test_a_range_has_at_least_so_many_rows_and_no_rows_have_no_range(self) -> None:
        self.made(*ROWS)
        assert [len(self.source().plan(8, least)) for least in (1, 3, 6, 10, 100)] == [5, 4, 2, 1, 1]
        self.run("DELETE FROM t;")
        assert self.source().plan(8, 1) == ()

    def test_ranges_of_keys_of_several_columns_and_of_texts_end_with_their_last_row(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.small_slices(monkeypatch)
        texts = ["b", "A", "c", "Z", "äx", "'", "\\n", "名", "", "%"]
        keys = [(number, text) for number in (-10, 2) for text in texts]
        self.made(
            *((text, number, at) for at, (number, text) in enumerate(keys)),
            columns="k VARCHAR(20) NOT NULL, a INT NOT NULL, n INT, PRIMARY KEY (k, a)",
        )
        reading = self.source(["n"], ("a", "k"), conditions=[Condition("k", "in", tuple(texts[:7]))])
        expected = sorted((a, k.encode(), str(at)) for at, (a, k) in enumerate(keys) if k in texts[:7])
        for splits in (1, 2, 3, 5, 14):
            found = self.by_splits(reading, splits)
            assert [row for part in found for row in part] == [(at,) for _, _, at in expected]
            assert len(found) == splits

    def test_the_rows_of_a_split_are_of_one_moment_and_those_of_the_next_of_another(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.small_slices(monkeypatch)
        self.made(*ROWS)
        reading = self.source(consistency="split")
        first, last = reading.plan(2, 1)
        with reading.reading(None, first) as slices:
            found = rows_of([next(slices)])
            self.run("UPDATE t SET name = 'other'; DELETE FROM t WHERE id IN (4, 9); INSERT INTO t VALUES (50, 'new');")
            found += rows_of(list(slices))
        assert found == ROWS[:5]
        assert rows_of(slices_of(reading, first, last)) == [(str(number), "other") for number in (6, 7, 8, 10)]

    @pytest.mark.parametrize("consistency", ["snapshot", "split", "key"])
    def test_a_reading_says_of_which_moment_it_is(self, consistency: Consistency) -> None:
        self.made(*ROWS)
        moments = [time.time()]
        for _ in range(2):
            with self.source(consistency=consistency).reading() as slices:
                moments.append(slices.read_at)
                assert len(rows_of(list(slices))) == 10
            moments.append(time.time())
        for earlier, later in pairwise(moments):
            assert earlier <= later + 0.002, "a clock in milliseconds is rounded"

    def fits(self, *conditions: tuple[Any, ...]) -> list[str | None]:
        """The ids of the rows that fit; they are counted alike, and found from any cursor on."""
        reading = self.source(["id"], conditions=[Condition(*condition) for condition in conditions])
        slices = slices_of(reading)
        found = [row[0] for row in rows_of(slices)]
        assert reading.count(100_000) == len(found)
        assert reading.count(1) == min(1, len(found))
        for place, part in enumerate(slices, 1):
            assert rows_of(slices_of(reading, part.cursor)) == rows_of(slices[place:])
        return found

    def test_only_rows_that_fit_all_conditions_are_counted_and_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.small_slices(monkeypatch)
        rows = [(number, "AB"[number % 2], number / 2, f"2026-11-{number:02}") for number in range(1, 11)]
        columns = "id BIGINT NOT NULL PRIMARY KEY, city VARCHAR(20), amount DECIMAL(10, 2), d DATE"
        self.made(*rows, (11, None, None, None), columns=columns)
        assert self.fits() == [str(number) for number in range(1, 12)]
        assert self.fits(("city", "in", ("B",)), ("id", ">=", (5,)), ("id", "<", ("9",))) == ["5", "7"]
        assert self.fits(("id", "in", ("2", 3, "3", 99))) == ["2", "3"]
        assert self.fits(("d", ">=", ("2026-11-09",))) == ["9", "10"]
        assert self.fits(("amount", "in", (0.5, "1.0"))) == ["1", "2"]
        assert self.fits(("city", "in", ())) == []
        with pytest.raises(SourceError, match="has no column citi"):
            self.fits(("citi", "in", ("A",)))

    def test_a_value_is_compared_by_the_type_of_its_column_or_refused_with_its_place(self) -> None:
        columns = f"i BIGINT, r DOUBLE PRECISION, n DECIMAL(20, 2), x VARCHAR(40), b {self.bytes_type}"
        self.run(
            f"CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, {columns});"
            f"INSERT INTO t VALUES (1, 7, 7, 7, '7', {self.bytes('ab')}), (2, 8, 0.1, 0.25, '07', {self.bytes('707')}),"
            f"(3, {LARGE}, 2, 2, '7.0', NULL), (4, NULL, NULL, NULL, '{LARGE}', NULL);"
        )
        fine: dict[str, Value] = {"i": 7, "r": 7, "n": 7, "x": "7", "b": "YWI="}
        wrong = []
        for column, value, expected in COMPARED:
            source = self.source(["id"], conditions=[Condition(column, "in", (fine[column], value), "ids")])
            alone = self.source(["id"], conditions=[Condition(column, "in", (value,), "ids")])
            try:
                found: object = [number for (number,) in rows_of(slices_of(alone))]
                assert alone.count(9) == len(rows_of(slices_of(alone)))
            except ConditionError:
                with pytest.raises(ConditionError) as refused:
                    source.count(9)
                assert (refused.value.column, refused.value.field, refused.value.index) == (column, "ids", 1)
                found = None
            if found != expected:
                wrong.append((column, value, expected, found))
        assert wrong == []

    def test_one_wrong_value_of_many_is_named(self) -> None:
        self.made(*ROWS)
        values: list[int | str] = list(range(3_000))
        for at, value in ((1_777, "x"), (2_999, 1 << 64)):
            condition = Condition("id", "in", (*values[:at], value, *values[at + 1 :]), "ids")
            with pytest.raises(ConditionError) as refused:
                self.source(conditions=[condition]).count(1)
            assert (refused.value.field, refused.value.index) == ("ids", at)

    @pytest.mark.parametrize("evil", EVIL_TEXTS)
    def test_a_text_of_a_condition_is_a_text_and_nothing_else(self, evil: str) -> None:
        self.made((1, "A"), (2, evil), (3, None))
        assert self.fits(("name", "in", (evil,))) == ["2"]
        assert self.fits(("name", "in", ("x", evil))) == ["2"]
        assert self.fits(("name", ">=", (evil,)), ("name", "in", (evil,))) == ["2"]
        assert self.fits() == ["1", "2", "3"]

    @pytest.mark.slow
    def test_many_ids_are_found_by_the_key(self) -> None:
        self.made(*((number, None) for number in range(50)))
        assert len(self.fits(("id", "in", tuple(range(0, 2 * VALUES_MAX, 2))))) == 25

    described: Sequence[tuple[str, str, ColumnType]]
    """Of a column each: its type as it is made, as the source calls it, and what its values are."""

    def test_columns_are_described_as_their_values_are_read(self) -> None:
        made = ", ".join(f"c{at} {declared}" for at, (declared, _, _) in enumerate(self.described))
        self.run(f"CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, n DECIMAL(9, 2) NOT NULL, {made});")
        found = self.source(columns=()).describe()
        assert [column.name for column in found[:2]] == ["id", "n"]
        assert [(column.kind, column.is_nullable) for column in found[:2]] == [(ColumnType.NUMBER, False)] * 2
        expected = [(f"c{at}", kind, called, True) for at, (_, called, kind) in enumerate(self.described)]
        assert found[2:] == tuple(expected)
        chosen = self.source(["c1", "id"]).describe()
        assert chosen == (found[3], found[0])
        with pytest.raises(SourceError, match="has no column c99"):
            self.source(["c99"]).describe()

    def test_counting_goes_no_further_than_it_is_asked_to(self) -> None:
        self.made(*ROWS)
        assert [self.source().count(limit) for limit in (1, 9, 10, 11)] == [1, 9, 10, 10]

    def test_texts_are_exact(self) -> None:
        self.made(*enumerate([*HARD_TEXTS, None]))
        assert [name for (name,) in rows_of(slices_of(self.source(["name"])))] == [*HARD_TEXTS, None]

    @pytest.mark.parametrize("name", EVIL_NAMES)
    def test_any_name_is_a_name_and_nothing_else(self, name: str) -> None:
        quoted = self.quoted(name)
        self.run(f"CREATE TABLE {quoted} ({quoted} INT NOT NULL PRIMARY KEY, v VARCHAR(9));")
        self.run(f"INSERT INTO {quoted} VALUES (1, 'x');")
        source = self.source([name, "v"], (name,), name, [Condition(name, "in", (1,))])
        assert rows_of(slices_of(source)) == [("1", "x")]
        assert source.count(5) == 1

    def test_a_slice_ends_where_it_is_large(self) -> None:
        columns = f"id INT NOT NULL PRIMARY KEY, name {self.large_text}"
        self.made(*((number, "x" * 700_000) for number in range(10)), columns=columns)
        slices = slices_of(self.source())
        assert len(slices) > 1
        assert sum(part.rows for part in slices) == 10
        assert max(part.rows for part in slices) <= 5

    @pytest.mark.parametrize(
        ("columns", "how", "said"),
        [
            ("id BIGINT NOT NULL PRIMARY KEY", {"table": "u"}, "there is no table u"),
            (
                "id BIGINT NOT NULL PRIMARY KEY, name INT",
                {"columns": ["id", "nam"]},
                "has no column nam; it has id, name",
            ),
            ("id BIGINT NOT NULL PRIMARY KEY, name INT", {"key": ("no",)}, "has no column no"),
            ("id BIGINT NOT NULL PRIMARY KEY, name INT NOT NULL", {"key": ("name",)}, "no unique index of table t"),
            ("id BIGINT NOT NULL, name INT", {}, "no unique index of table t"),
            ("id BIGINT NOT NULL, name INT NOT NULL, PRIMARY KEY (id, name)", {}, "no unique index of table t"),
        ],
    )
    def test_a_table_that_is_not_as_it_is_defined_is_refused_before_its_first_row(
        self, columns: str, how: dict[str, Any], said: str
    ) -> None:
        self.made(columns=columns)
        for ask in (slices_of, lambda source: source.count(1)):
            with pytest.raises(SourceError, match=said):
                ask(self.source(**how))

    def test_a_key_without_a_value_and_a_view_are_refused(self) -> None:
        self.made((1, 1), (None, 2), columns="id INT UNIQUE, name INT")
        with pytest.raises(SourceError, match="without a value in its key id"):
            slices_of(self.source())
        self.run("DELETE FROM t WHERE id IS NULL; CREATE VIEW v AS SELECT * FROM t;")
        assert rows_of(slices_of(self.source())) == [("1", "1")]
        with pytest.raises(SourceError, match=r"view|no unique index"):
            slices_of(self.source(table="v"))

    def test_slices_are_taken_from_any_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.small_slices(monkeypatch)
        self.made(*ROWS)
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            opened = self.source().reading()
            slices = first.submit(opened.__enter__).result()
            found = [second.submit(next, slices).result(), *first.submit(list, slices).result()]
            second.submit(opened.__exit__, None, None, None).result()
        assert rows_of(found) == ROWS

    @pytest.mark.parametrize("ask", [slices_of, lambda source: source.count(5)])
    def test_what_waits_for_a_lock_is_interrupted_from_another_thread_and_the_server_ends_it_too(
        self, ask: Callable[[Source], object]
    ) -> None:
        self.made(*ROWS)
        source = self.source()
        with self.locked(), ThreadPoolExecutor(1) as reader:
            asked = reader.submit(ask, source)
            assert any(self.sessions(waiting=True) for _ in range(LOOKS))
            source.interrupt()
            with pytest.raises(SourceUnavailable):
                asked.result(ENDS_IN_S)
            assert any(not self.sessions() for _ in range(LOOKS)), "the server's session ended before the lock"
            source.interrupt()
        with pytest.raises(SourceUnavailable):
            ask(source)
        assert rows_of(slices_of(self.source())) == ROWS

    def test_a_reading_that_ends_early_leaves_the_next_one_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.small_slices(monkeypatch)
        self.made(*ROWS)
        reading = self.source()
        for _ in range(3):
            with reading.reading() as slices:
                next(slices)
        with pytest.raises(ZeroDivisionError), reading.reading() as slices:
            raise ZeroDivisionError
        assert rows_of(slices_of(reading)) == ROWS
