"""A masked value shows what it may, and nothing of what it hides."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sluice.domain.secret import Secret
from sluice.tables.values.masks import (
    HIDDEN,
    MASKS,
    find_masks,
    mask_card,
    mask_email,
    mask_last4,
    mask_name,
    mask_phone,
    masked,
)

VALUES = [
    ("email", "ann@example.com", "a***@example.com"),
    ("email", "al@example.com", "***@example.com"),
    ("email", "a@example.com", "***@example.com"),
    ("email", "张伟国@例子.公司", "张***@例子.公司"),
    ("email", "🦊fox@example.com", "🦊***@example.com"),
    ("email", "a@b@example.co.uk", "a***@example.co.uk"),
    ("email", "ann+shop@mail.example.com", "a***@mail.example.com"),
    ("email", "no address", HIDDEN),
    ("email", "@example.com", HIDDEN),
    ("email", "ann@", HIDDEN),
    ("email", "@", HIDDEN),
    ("email", "", HIDDEN),
    ("email", "reach me @ 13812345678", HIDDEN),
    ("email", "ann@13812345678", HIDDEN),
    ("email", "ann@example.com, or 138 1234 5678", HIDDEN),
    ("email", "ann@example.com\nbob@secret.example", "a***@secret.example"),
    ("phone", "13812345678", "138****5678"),
    ("phone", "+86 138-1234-5678", "861****5678"),
    ("phone", "(020) 7946 0958", "020****0958"),
    ("phone", "555 123 4567", "****4567"),
    ("phone", "12345678", "****5678"),
    ("phone", "1234567", HIDDEN),
    ("phone", "no phone", HIDDEN),
    ("phone", "📞", HIDDEN),
    ("phone", "", HIDDEN),
    ("name", "张伟", "张**"),
    ("name", "欧阳娜娜", "欧**"),
    ("name", "王", "**"),
    ("name", "Ada Lovelace", "A** L**"),
    ("name", "X Æ", "** **"),
    ("name", "🦊 Fox", "** F**"),
    ("name", "  ", HIDDEN),
    ("name", "", HIDDEN),
    ("card", "6222 0200 1234 5678", "**** 5678"),
    ("card", "123456789012", "**** 9012"),
    ("card", "12345678901", HIDDEN),
    ("card", "", HIDDEN),
    ("last4", "AB12345678", "***5678"),
    ("last4", "12345678", "***5678"),
    ("last4", "1234567", HIDDEN),
    ("last4", "身份证号码一二三四", "***一二三四"),
    ("last4", "", HIDDEN),
]


@pytest.mark.parametrize(("mask", "value", "shown"), VALUES)
def test_what_is_shown_of_a_value(mask: str, value: str, shown: str) -> None:
    assert MASKS[mask](value) == shown


def test_every_mask_has_values_here() -> None:
    assert {mask for mask, _, _ in VALUES} == set(MASKS)


def no_key(name: str) -> Secret:
    raise AssertionError(name)


def test_a_null_stays_null_and_a_column_without_a_mask_as_it_is() -> None:
    columns = [["ann@example.com", None, "ann@example.com"], ["a", None, ""]]
    assert [list(one) for one in masked(columns, find_masks(["email", ""], no_key))] == [
        ["a***@example.com", None, "a***@example.com"],
        ["a", None, ""],
    ]
    assert masked(columns, ()) is columns
    assert masked(columns, find_masks(["", ""], no_key)) is columns
    with pytest.raises(ValueError, match="zip"):
        masked(columns, find_masks(["email"], no_key))


def test_equal_values_have_equal_hashes_by_one_key_and_null_has_none() -> None:
    keys = {"a": Secret("key a"), "b": Secret("key b")}
    texts = ["ann@example.com", None, "ann@example.com", "", "张伟", "\ud800"]
    by_a, by_b = masked([texts, texts], find_masks(["hash:a", "hash:b"], keys.__getitem__))
    assert by_a[0] == by_a[2] == hmac.new(b"key a", b"ann@example.com", "sha256").hexdigest()[:32]
    assert (by_a[1], by_b[1]) == (None, None)
    assert len({*by_a, *by_b}) == 2 * 4 + 1


@given(st.text(), st.sampled_from(sorted(MASKS)))
def test_a_mask_gives_a_text_for_any_text(text: str, mask: str) -> None:
    shown = MASKS[mask](text)
    assert "**" in shown
    assert shown != text or not shown.strip("*@. ")


@given(st.text(min_size=1), st.text(min_size=1))
def test_values_that_differ_in_the_hidden_part_alone_are_shown_alike(first: str, second: str) -> None:
    """So nothing of the hidden part, nor how long it is, is in what is shown."""
    assume("@" not in first + second)
    assert mask_email(f"abc{first}@example.com") == mask_email(f"abc{second}@example.com")
    words = "".join(first.split()), "".join(second.split())
    assume(all(words))
    assert mask_name(f"A{words[0]}") == mask_name(f"A{words[1]}")
    assert mask_last4(f"long{first}1234") == mask_last4(f"long{second}1234")


_DIGITS = st.text("0123456789", min_size=4, max_size=40)


@given(_DIGITS, _DIGITS)
def test_digits_in_the_middle_are_hidden(first: str, second: str) -> None:
    assert mask_phone(f"138{first}5678") == mask_phone(f"138{second}5678") == "138****5678"
    assert mask_card(f"6222{first}5678") == mask_card(f"6222{second}5678") == "**** 5678"


@given(st.text("0123456789 -+()", max_size=20))
def test_at_least_four_digits_of_a_phone_are_hidden(text: str) -> None:
    digits, shown = [sum(map(str.isdigit, one)) for one in (text, mask_phone(text))]
    assert shown == 0 or digits - shown >= 4


@given(st.text("ab1@. \n,;", max_size=30))
def test_nothing_but_a_domain_is_shown_behind_an_at(text: str) -> None:
    shown = mask_email(text)
    domain = shown.partition("***")[2].removeprefix("@")
    assert not set(domain) & set("@ \n,;")
    assert not domain.replace(".", "").isdigit()
