"""What a user may ask of a dataset becomes what is read, and nothing else does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Condition, Pulled
from sluice.domain.user import User
from sluice.usecases.pulling.make_params import (
    TEXT_MAX,
    VALUES_MAX,
    ChosenColumn,
    DateRange,
    PullRequest,
    call_of,
    make_params,
    may_compare,
)

DATASET = msgspec.convert(
    {
        "dataset": "orders",
        "source": {"connection": "app", "table": "orders", "key": ["id"], "consistency": "key"},
        "columns": [
            {"name": "id", "type": "number", "label": "Order id"},
            {"name": "email", "mask": "email", "unmask_with": "orders:pii"},
            {"name": "card", "mask": "card"},
            {"name": "cost", "type": "number", "permission": "orders:cost"},
        ],
        "permission": "orders:read",
        "rows": {"tenant_id": ":user.tenant", "state": ["open", "paid"], "deleted": 0},
        "filters": {"ids": "id", "date": "created_at", "equals": ["state", "email", "card", "cost"]},
        "limits": {"rows": 77, "ids": 3},
        "expires_s": 600,
    },
    Dataset,
)
KNOWN: dict[str, Any] = {"tenant": "acme", "id": "ann"}


def user(*permissions: str, **attributes: Any) -> User:
    return User(name="ann", permissions=frozenset(permissions), attributes={**KNOWN, **attributes})


def changed(**changes: Any) -> Dataset:
    return msgspec.convert({**msgspec.to_builtins(DATASET), **changes}, Dataset)


def test_what_was_read_back_is_what_was_made_whatever_the_dataset_leaves_out() -> None:
    """Or the same call again would be refused: parameters are compared by the digest of their text."""
    bare = {"dataset": "orders", "source": {"connection": "app", "table": "orders", "key": ["id"]}}
    for dataset in (DATASET, msgspec.convert({**bare, "columns": [{"name": "id"}]}, Dataset)):
        params = made(dataset=dataset)
        assert ExportParams.decode(params.encode()).digest() == params.digest()


def made(asker: User | None = None, dataset: Dataset = DATASET, **asked: Any) -> ExportParams:
    return make_params(dataset, asker or user(), PullRequest(format=ExportFormat.CSV, **asked))


def pulled(asker: User | None = None, dataset: Dataset = DATASET, **asked: Any) -> Pulled:
    found = made(asker, dataset, **asked).pulled
    assert found is not None
    return found


def refused(asker: User | None = None, dataset: Dataset = DATASET, **asked: Any) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        made(asker, dataset, **asked)
    return caught.value


FIXED = (
    Condition("tenant_id", "in", ("acme",)),
    Condition("state", "in", ("open", "paid")),
    Condition("deleted", "in", (0,)),
)


def test_what_is_read_is_what_the_dataset_says() -> None:
    params = made()
    assert [(one.name, one.type.value) for one in params.columns] == [
        ("Order id", "number"),
        ("email", "string"),
        ("card", "string"),
    ]
    assert params.filename == "orders"
    assert params.pulled == Pulled(
        dataset="orders",
        version=DATASET.version(),
        connection="app",
        table="orders",
        key=("id",),
        consistency="key",
        splits=8,
        snapshot_max_s=3600,
        columns=("id", "email", "card"),
        conditions=FIXED,
        fixed=len(FIXED),
        masks=("", "email", "card"),
        user="ann",
        rows_max=77,
        kept_s=600,
        call=call_of("orders", user(), PullRequest(format=ExportFormat.CSV)),
    )


@pytest.mark.parametrize(
    ("permissions", "columns", "masks"),
    [
        ((), ("id", "email", "card"), ("", "email", "card")),
        (("orders:pii",), ("id", "email", "card"), ("", "", "card")),
        (("orders:cost",), ("id", "email", "card", "cost"), ("", "email", "card", "")),
        (("orders:cost", "orders:pii"), ("id", "email", "card", "cost"), ("", "", "card", "")),
        (("orders:pi", "orders:pii2", "ORDERS:PII", "*", ""), ("id", "email", "card"), ("", "email", "card")),
    ],
)
def test_permissions_show_columns_and_take_masks_away(
    permissions: tuple[str, ...], columns: tuple[str, ...], masks: tuple[str, ...]
) -> None:
    found = pulled(user(*permissions))
    assert (found.columns, found.masks) == (columns, masks)


def test_columns_come_in_the_order_and_under_the_labels_that_are_asked_for() -> None:
    params = made(columns=(ChosenColumn("email", "Mail"), ChosenColumn("id")))
    assert [one.name for one in params.columns] == ["Mail", "Order id"]
    assert params.pulled is not None
    assert (params.pulled.columns, params.pulled.masks) == (("email", "id"), ("email", ""))


def test_a_column_that_the_user_may_not_have_is_refused_and_no_list_names_it() -> None:
    error = refused(columns=(ChosenColumn("cost"),))
    assert (error.code, error.facts["column"]) == (ErrorCode.PERMISSION_DENIED, "cost")
    error = refused(columns=(ChosenColumn("x" * 500),))
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.facts == {"field": "columns", "name": "x" * 64, "known": ["card", "email", "id"]}
    assert refused(columns=(ChosenColumn("id"), ChosenColumn("id", "again"))).facts["field"] == "columns"
    hidden = changed(columns=[{"name": "id", "permission": "p"}])
    assert refused(dataset=hidden).code is ErrorCode.PERMISSION_DENIED


def test_rows_are_those_of_the_user_s_attributes_one_or_several() -> None:
    dataset = changed(rows={"shop": ":user.shops", "region": [":user.region", "all"], "owner": ":user.id"})
    found = pulled(user(shops=(3, 4), region="north"), dataset)
    assert found.conditions == (
        Condition("shop", "in", (3, 4)),
        Condition("region", "in", ("north", "all")),
        Condition("owner", "in", ("ann",)),
    )
    assert pulled(user(shops=(), region="north"), dataset).conditions[0] == Condition("shop", "in", ())


def test_an_attribute_that_the_credential_lacks_lets_no_row_through() -> None:
    dataset = changed(rows={"shop": ":user.shops"})
    error = refused(dataset=dataset)
    assert (error.code, error.facts["attribute"]) == (ErrorCode.PERMISSION_DENIED, "shops")
    assert refused(dataset=changed(rows={"shop": ":user."})).code is ErrorCode.PERMISSION_DENIED


def test_what_an_attribute_says_is_a_value_and_never_looked_up_again() -> None:
    dataset = changed(rows={"shop": ":user.shops"})
    found = pulled(user(shops=":user.tenant"), dataset)
    assert found.conditions == (Condition("shop", "in", (":user.tenant",)),)


EVIL = ["paid' OR '1'='1", '"; DROP TABLE orders; --', ":user.tenant", ":user.id", "%", "${secret:crm}", "\\", "$1"]


@pytest.mark.parametrize("evil", EVIL)
def test_what_a_caller_gives_is_a_value(evil: str) -> None:
    found = pulled(filters={"state": evil}, ids=(evil, 7))
    assert found.conditions == (
        *FIXED,
        Condition("id", "in", (evil, 7), "ids"),
        Condition("state", "in", (evil,), "filters.state"),
    )


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=TEXT_MAX))
def test_any_text_is_compared_as_it_is(text: str) -> None:
    assert pulled(filters={"state": (text, "b")}).conditions[-1] == Condition(
        "state", "in", (text, "b"), "filters.state"
    )


def test_a_caller_s_condition_is_one_more_and_replaces_none() -> None:
    found = pulled(filters={"state": "deleted"})
    assert found.conditions == (*FIXED, Condition("state", "in", ("deleted",), "filters.state"))


def test_rows_are_not_chosen_by_values_that_the_user_may_not_see() -> None:
    """Or each could be tried, until the rows say that it is the one."""
    for name, permission in (("email", "orders:pii"), ("cost", "orders:cost")):
        error = refused(filters={name: "x"})
        assert (error.code, error.facts["column"]) == (ErrorCode.PERMISSION_DENIED, name)
        assert pulled(user(permission), filters={name: "x"}).conditions[-1] == Condition(
            name, "in", ("x",), f"filters.{name}"
        )
        assert may_compare(DATASET, user(permission), name)
    assert refused(user("orders:pii", "orders:cost"), filters={"card": "x"}).code is ErrorCode.PERMISSION_DENIED
    by_email = changed(filters={"ids": "email", "date": "cost"})
    assert refused(dataset=by_email, ids=("a@example.com",)).code is ErrorCode.PERMISSION_DENIED
    assert refused(dataset=by_email, date=DateRange("2026-01-01")).code is ErrorCode.PERMISSION_DENIED
    assert may_compare(DATASET, user(), "state")
    assert may_compare(DATASET, user(), "created_at")


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"ids": ()}, "ids"),
    ({"ids": (1, 2, 3, 4)}, "ids"),
    ({"ids": ("a\0b",)}, "ids"),
    ({"ids": ("x" * (TEXT_MAX + 1),)}, "ids"),
    ({"ids": (float("nan"),)}, "ids"),
    ({"ids": (float("inf"),)}, "ids"),
    ({"filters": {"state": ()}}, "filters.state"),
    ({"filters": {"state": ("a", "b", "c", "d")}}, "filters.state"),
    ({"filters": {"state": "a\0"}}, "filters.state"),
    ({"filters": {"tenant_id": "globex"}}, "filters"),
    ({"filters": {"id": 1}}, "filters"),
    ({"date": DateRange("yesterday")}, "date.from"),
    ({"date": DateRange("2026-02-30")}, "date.from"),
    ({"date": DateRange("2026-1-1")}, "date.from"),
    ({"date": DateRange("")}, "date.from"),
    ({"date": DateRange("٢٠٢٦-01-01")}, "date.from"),
    ({"date": DateRange("2026-01-01\n")}, "date.from"),
    ({"date": DateRange(to="2026-01-01' OR 1=1")}, "date.to"),
    ({"date": DateRange(to="9999-12-31")}, "date.to"),
    ({"date": DateRange(to="2026-01-01T10:00:00+99:99x")}, "date.to"),
]


@pytest.mark.parametrize(("asked", "field"), INVALID)
def test_what_is_no_value_is_refused_by_its_place(asked: dict[str, Any], field: str) -> None:
    error = refused(**asked)
    assert (error.code, error.facts["field"]) == (ErrorCode.INVALID_REQUEST, field)


def test_no_more_values_are_asked_for_than_one_statement_of_any_database_takes() -> None:
    many = changed(limits={"ids": VALUES_MAX})
    room = VALUES_MAX - sum(len(condition.values) for condition in FIXED)
    kept = pulled(dataset=many, ids=tuple(range(room))).conditions[-1]
    assert len(kept.values) == room
    error = refused(dataset=many, ids=tuple(range(room)), filters={"state": "open"})
    assert (error.code, error.facts["field"]) == (ErrorCode.INVALID_REQUEST, "filters")


def test_what_the_dataset_does_not_offer_is_refused() -> None:
    bare = changed(filters={})
    assert refused(dataset=bare, ids=(1,)).facts["field"] == "scope"
    assert refused(dataset=bare, date=DateRange("2026-01-01")).facts["field"] == "date"
    assert refused(dataset=bare, filters={"state": "open"}).facts["known"] == []
    assert pulled(dataset=bare).conditions == FIXED


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (DateRange(), []),
        (DateRange("2026-03-01"), [(">=", "2026-03-01")]),
        (DateRange(to="2026-03-31"), [("<", "2026-04-01")]),
        (DateRange("2024-02-29", "2024-02-28"), [(">=", "2024-02-29"), ("<", "2024-02-29")]),
        (DateRange(to="2026-12-31"), [("<", "2027-01-01")]),
        (DateRange("2026-03-01T08:15", "2026-03-01 09:00:30.5Z"), [(">=", "2026-03-01T08:15")]),
        (DateRange("2026-03-01T08:15:00+08:00"), [(">=", "2026-03-01T08:15:00+08:00")]),
    ],
)
def test_a_day_is_meant_whole_and_a_moment_is_left_out(date: DateRange, expected: list[tuple[str, str]]) -> None:
    found = pulled(date=date).conditions[len(FIXED) :]
    if date.to == "2026-03-01 09:00:30.5Z":
        expected = [*expected, ("<", date.to)]
    assert [(one.test, *one.values) for one in found] == expected
    assert {one.column for one in found} <= {"created_at"}


def test_two_columns_of_one_header_are_refused_and_both_are_named() -> None:
    for columns in (
        (ChosenColumn("id", "email"), ChosenColumn("email")),
        (ChosenColumn("email", "x"), ChosenColumn("id", "x")),
        (ChosenColumn("email", "Order id"), ChosenColumn("id")),
    ):
        with pytest.raises(SluiceError) as refused:
            made(columns=columns)
        assert (refused.value.code, refused.value.facts["field"]) == (ErrorCode.INVALID_REQUEST, "columns")
        assert refused.value.facts["columns"] == [one.name for one in columns]
        assert all(one.name in refused.value.said for one in columns)
    assert made(columns=(ChosenColumn("id", "email"), ChosenColumn("email", "id"))).columns
