"""Where in the order of a key a reading goes on, and ranges of dates, as SQL of MySQL."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from sluice.adapters.databases.mysql_literals import text_bytes
from sluice.adapters.databases.mysql_session import MysqlSession
from sluice.adapters.databases.typed_values import Bound, texts_within
from sluice.adapters.sources.mysql_catalog import MysqlColumn
from sluice.domain.limits import DAY_S
from sluice.domain.pulled import Condition
from sluice.ports.source import SourceError

DATES = frozenset({"date", "datetime", "timestamp"})
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_ZERO = "0000-00-00"
_NEAR_FROM, _NEAR_UNTIL = "1970-01-03", "2200-01-01"
"""No TIMESTAMP is out of them."""
_ZONE_CHANGES_BY_S = 2 * DAY_S
"""More than a clock was ever put back by."""
_LAST_S = 2**31 - 1 - 2 * _ZONE_CHANGES_BY_S
"""Of times behind it not every server knows one a little later."""
_CLOCK_CHANGES_S = [minutes * 60 for minutes in range(-180, 181, 15) if minutes]


def range_of(column: MysqlColumn, condition: Condition, bound: Bound) -> str:
    """The rows at or behind, or before ``bound``, of a column of texts or of one of ``DATES``.

    A TIMESTAMP is compared by what the connection's clock shows, or by its moment where the bound has a zone.
    """
    if column.is_text:
        replaced = f"CAST(REPLACE(CONVERT({column.raw} USING utf8mb4), 'T', ' ') AS BINARY)"
        return texts_within(column.compared, replaced, condition, bound, text_bytes)
    test, said = condition.test, f"TIMESTAMP'{bound.local if bound.time else f'{bound.day} 00:00:00'}'"
    if column.kind != "timestamp":
        return f"{column.raw} {test} {said}"
    near = f"{column.raw} {test} {said} {'-' if test == '>=' else '+'} INTERVAL {_ZONE_CHANGES_BY_S} SECOND"
    if not _NEAR_FROM <= bound.day < _NEAR_UNTIL:  # nor could an interval be added to the last day that there is
        near = "TRUE"
    if bound.zone:
        return f"({near} AND {column.placed} {test} {bound.seconds})"
    return f"({near} AND {column.equalled} {test} {said})"


class KeyPlace(NamedTuple):
    """A value of a column of the key."""

    compared: str
    """What of the column is compared with it."""
    value: str
    begin: str
    """True for all rows that are not before it; an index may use it."""
    end: str
    """The same for all that are not behind it."""


def place_of(session: MysqlSession, column: MysqlColumn, text: str) -> KeyPlace:
    """Read a cursor's text. Raises ``ValueError`` for one that is no value of the column.

    A TIMESTAMP is a number of seconds. Earlier releases kept it as the connection's clock shows it, which is taken
    where it means one moment; ``SourceError`` is raised where it means two.
    """
    if column.kind != "timestamp":
        value = column.literal(text)
        return KeyPlace(column.compared, value, f"{column.compared} >= {value}", f"{column.compared} <= {value}")
    seconds = text if _SECONDS.fullmatch(text) else _seconds_of(session, column, text)
    # An index is searched by what the clock shows, which goes back at times, so it begins earlier, and ends later.
    at = int(Decimal(seconds))
    begin = f"{column.raw} >= FROM_UNIXTIME({at - _ZONE_CHANGES_BY_S})" if at > 2 * _ZONE_CHANGES_BY_S else "TRUE"
    end = f"{column.raw} <= FROM_UNIXTIME({at + _ZONE_CHANGES_BY_S})" if at < _LAST_S else "TRUE"
    return KeyPlace(column.placed, seconds, begin, end)


def _seconds_of(session: MysqlSession, column: MysqlColumn, text: str) -> str:
    if text.startswith(_ZERO):
        return "0"
    shown = column.literal(text)
    seconds = f"UNIX_TIMESTAMP({shown})"
    others = " + ".join(f"(FROM_UNIXTIME({seconds} + ({change})) = {shown})" for change in _CLOCK_CHANGES_S)
    ((found, is_twice),) = session.fetch(f"SELECT {seconds}, {others}")
    if found is None or is_twice != "0":
        raise SourceError(
            f"{column.name} is where an earlier release stopped, in an hour that the connection's clock has twice: "
            "export the table anew"
        )
    return found
