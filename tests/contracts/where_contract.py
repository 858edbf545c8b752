"""What every source must do whose rows have to fit a condition in the source's own SQL."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from sluice.app.where import WhereValue, render_where
from sluice.app.where_rules import WhereDialect, WhereError
from sluice.ports.source import SourceError
from tests.contracts.source_contract import SourceContract
from tests.support.source_rows import EVIL_TEXTS, rows_of, slices_of

NEXT_DAY = datetime(2026, 12, 2, tzinfo=UTC)
PARAMETERS: dict[str, WhereValue] = {
    "least": 20,
    "share": 0.5,
    "city": "O'Hara",
    "on": True,
    "nothing": None,
    "run.window_start": datetime(2026, 12, 1, tzinfo=UTC),
    "run.window_end": NEXT_DAY,
}
FOUND = [  # a condition, the ids of its rows
    ("amount >= :least and amount < 40", "23"),
    ("amount >= - :least or 1 = 2", "1234"),
    ("amount * :share = 10 - - :share * 0", "2"),
    ("city = :city", "1"),
    ("city = 'O''Hara' or city is null", "14"),
    ("at >= :run.window_start and at < :run.window_end", "23"),
    ("city in ('Bonn', :city) and not amount = 10", "2"),
    ("not (amount = 10 or amount = 20)", "34"),
    ("amount = 10 or amount = 20 and city = 'none'", "1"),
    ("(amount = 10 or amount = 20) and city = 'none'", ""),
    ("city like 'B%' or city not like '%''%' and amount between 30 and 31", "23"),
    ("case when amount > 25 then 1 else 0 end = 1", "34"),
    ("upper(coalesce(city, 'none')) in ('BONN', 'NONE')", "24"),
    ("cast(amount as char(9)) = '10' or round(amount / 3.0) = 7", "12"),
    ("amount % 20 = 10 and :on", "13"),
    ("amount > :nothing", ""),
    ("replace(city, 'n', '') = 'Bo' and length(city) = 4", "2"),
    ("id <> 1 AND Amount != 40", "23"),
]
INJECTIONS = [
    "1 = 1) or (1 = 1",
    "id = 1; drop table t",
    "id = 1 -- ",
    "id = 1 /*! or 1 = 1 */",
    "id = 1 # or 1",
    "id = 1 union select 1, 'x'",
    "id in (select id from t)",
    "exists (select 1 from t)",
    "id = 1 or pg_sleep(9) is null",
    "id = 1 or sleep(9)",
    "id = 1 or benchmark(1000000000, md5('x'))",
    "load_file('/etc/passwd') is not null",
    "pg_read_file('/etc/passwd') is not null",
    "query_to_xml('delete from t', true, true, '') is not null",
    "load_extension('x') is null",
    "set_config('x.y', 'z', false) is null",
    "nextval('s') = 1",
    "get_lock('x', 9) = 1",
    "pg_catalog.lower(city) = 'x'",
    "\"lower\"(city) = 'x'",
    "city = 'x\\' or 1 = 1 -- '",
    "city = 'x\\'' or 1 = 1 -- '",
    "city = E'x\\' or 1 = 1 -- '",
    "city = $$x$$",
    "city = 'x' limit 1",
    "id = 1 into outfile '/tmp/x'",
    "id = 1 for update",
    "@a := 1",
    "id = @@version",
    "id = 1 order by 1",
    "row(id) = row(1)",
    "count(*) = 1",
    "id = ?",
    "id = $1",
    "city::regclass = 1",
    "cast(city as regclass) = 1",
    "t.id = 1 or public.t.id = 1",
    "now() > at",
    "current_timestamp > at",
    "random() > 0.5",
    "id in ()",
    "interval '1 day'' or 1 = 1' day = id",
    "extract('x' from at) = 1",
    "id operator(pg_catalog.=) 1",
    "city collate nocase = 'x'",
    "(id, 1) = (1, 1)",
    "array[1] = array[1]",
    "id = 1 \x00 or 1 = 1",
    "(" * 5_000 + "id" + ")" * 5_000,
    "id + 1",
    "'x'",
    "",
]


class WhereContract(SourceContract):
    """Adopt it by a subclass whose name begins with ``Test``."""

    dialect: ClassVar[WhereDialect]
    moment_column: ClassVar[str] = "TIMESTAMP NULL"
    also_found: ClassVar[list[tuple[str, str]]]
    """What this server alone understands."""

    def chosen(self, text: str, parameters: dict[str, WhereValue]) -> str:
        """The ids of the rows that fit; counting and planning have to agree."""
        where = render_where(text, self.dialect, parameters, ("id", "city", "amount", "at"))
        source = self.source(["id"], where=where)
        ids = [str(number) for (number,) in rows_of(slices_of(source))]
        assert source.count(9) == len(ids)
        assert [str(key) for (key,) in source.plan(1, 1)] == ids[-1:]
        return "".join(ids)

    def test_rows_have_to_fit_a_condition_in_the_servers_own_sql(self) -> None:
        columns = f"id BIGINT NOT NULL PRIMARY KEY, city VARCHAR(40), amount INT, at {self.moment_column}"
        self.made(
            (1, "O'Hara", 10, "2026-11-30 23:59:59"),
            (2, "Bonn", 20, "2026-12-01 00:00:00"),
            (3, "Linz", 30, "2026-12-01 23:59:59"),
            (4, None, 40, "2026-12-02 00:00:00"),
            columns=columns,
        )
        found = [(text, self.chosen(text, PARAMETERS)) for text, _ in FOUND]
        assert found == FOUND, [a for a in found if a not in FOUND]
        found = [(text, self.chosen(text, PARAMETERS)) for text, _ in self.also_found]
        assert found == self.also_found, [a for a in found if a not in self.also_found]

    def test_no_text_of_a_condition_or_of_a_parameter_leaves_its_place(self) -> None:
        self.made(*enumerate(["A", *EVIL_TEXTS]), columns="id BIGINT NOT NULL PRIMARY KEY, city VARCHAR(40)")
        for number, evil in enumerate(EVIL_TEXTS, 1):
            assert self.chosen("city = :evil and city in ('x', :evil)", {"evil": evil}) == str(number)
            assert self.chosen(f"city = {self.evil_literal(evil)}", {}) == str(number)
        for text in INJECTIONS:
            with suppress(WhereError, SourceError):
                assert self.chosen(text, {}) in {"", "1"}, text
        assert self.source(["id"]).count(99) == len(EVIL_TEXTS) + 1

    def evil_literal(self, text: str) -> str:
        """As who knows the server writes it."""
        return "'" + text.replace("'", "''") + "'"

    def test_a_condition_that_the_server_cannot_follow_is_an_error_of_the_table(self) -> None:
        self.made((1, "A"))
        for where in ("t.nothing = 1", "(t.id"):
            source = self.source(where=where)
            for ask in (slices_of, lambda source: source.count(1)):
                with pytest.raises(SourceError, match=r"table t of|connection crm"):
                    ask(source)
