"""What a row must be for a write to happen: the only place that builds conditions for Tablestore.

The SDK lets a condition on a missing column hold unless it is set otherwise,
and takes a write without a condition as one that always happens. So no other
module builds a condition, and the client takes none that was not built here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.domain.lifecycle import Guard

NO_VALUE = ""
"""No column that a condition asks to be missing ever holds this."""


class RowCondition:
    """A condition with everything in it; ``vendor`` is what the SDK takes."""

    __slots__ = ("vendor",)

    def __init__(self, existence: str, column_condition: Any = None) -> None:
        self.vendor = sdk.Condition(existence, column_condition)


def any_row() -> RowCondition:
    """Hold always, for the log, which decides nothing."""
    return RowCondition(sdk.RowExistenceExpectation.IGNORE)


def some_row() -> RowCondition:
    """Hold when there is a row, whatever is in it."""
    return RowCondition(sdk.RowExistenceExpectation.EXPECT_EXIST)


def no_row() -> RowCondition:
    """Hold when there is no row with this key."""
    return RowCondition(sdk.RowExistenceExpectation.EXPECT_NOT_EXIST)


def guarded(guard: Guard) -> RowCondition:
    """Hold when there is a row, and it is as ``guard`` says."""
    return _row_with(_conditions(guard))


def _conditions(guard: Guard) -> list[Any]:
    expected: dict[str, str | int | None] = {"state": str(guard.state), "rev": guard.rev, "epoch": guard.epoch}
    return [_equal(name, value) for name, value in expected.items() if value is not None]


def at_rev(rev: int) -> RowCondition:
    """Hold when there is a row, and its ``rev`` is this one."""
    return _row_with([_equal("rev", rev)])


def guarded_without(guard: Guard, column: str) -> RowCondition:
    """Hold when there is a row, it is as ``guard`` says, and ``column`` is missing from it."""
    # If the column is there, it does not have the value that no column has.
    missing = sdk.SingleColumnCondition(column, NO_VALUE, sdk.ComparatorType.EQUAL, pass_if_missing=True)
    return _row_with([*_conditions(guard), missing])


def _row_with(conditions: Sequence[Any]) -> RowCondition:
    """Hold when there is a row and every one of ``conditions`` holds."""
    return RowCondition(sdk.RowExistenceExpectation.EXPECT_EXIST, reduce(_both, conditions))


def _both(left: Any, right: Any) -> Any:
    """Hold when both hold. The service takes no AND of three, so three are one AND in another."""
    both = sdk.CompositeColumnCondition(sdk.LogicalOperator.AND)
    both.add_sub_condition(left)
    both.add_sub_condition(right)
    return both


def _equal(column: str, value: str | int) -> Any:
    """Hold when the column is there and has this value."""
    return sdk.SingleColumnCondition(column, value, sdk.ComparatorType.EQUAL, pass_if_missing=False)
