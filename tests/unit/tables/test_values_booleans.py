"""The rules for boolean columns."""

from __future__ import annotations

import pytest

from sluice.tables.values.booleans import boolean_words


@pytest.mark.parametrize(
    ("text", "truth"),
    [("true", True), ("TRUE", True), ("1", True), ("Yes", True), ("t", True), ("Y", True), ("ON", True)],
)
def test_words_for_true_are_read_in_any_case(text: str, truth: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert boolean_words("").read(text) is truth


@pytest.mark.parametrize("text", ["false", "False", "0", "NO", "F", "n", "off"])
def test_words_for_false_are_read_in_any_case(text: str) -> None:
    assert boolean_words("").read(text) is False


@pytest.mark.parametrize("text", ["", "2", "ja", "tf", "nein", "10", " true", "是"])
def test_other_words_are_no_booleans(text: str) -> None:
    assert boolean_words("").read(text) is None


def test_a_declared_pair_is_read_beside_the_usual_words() -> None:
    words = boolean_words("是/否")
    assert [words.read(text) for text in ("是", "否", "true", "0")] == [True, False, True, False]
    assert (words.true, words.false) == ("是", "否")


def test_a_declared_pair_wins_over_the_usual_words() -> None:
    assert boolean_words("no/yes").read("yes") is False
    assert boolean_words("0/1").read("0") is True


def test_a_pair_with_an_empty_word_gives_the_empty_text_a_truth() -> None:
    assert boolean_words("yes/").read("") is False
    assert boolean_words("/no").read("") is True


@pytest.mark.parametrize("pair", ["yes", "a/b/c", "/", "yes/YES", "是/是", "//"])
def test_what_is_no_pair_of_different_words_is_refused(pair: str) -> None:
    with pytest.raises(ValueError):
        boolean_words(pair)
