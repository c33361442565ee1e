"""One scale of how grave something is: every part's words lie on it, as they are spelled."""

from typing import get_args

import pytest

from guardian.core.grade import COMPANION_STATUSES, STATUSES, Grade, Level, Severity, grade, gravest


def test_the_words_of_every_part_are_in_the_order_of_their_gravity():
    for words in (STATUSES, get_args(Severity), get_args(Level)):
        assert sorted(words, key=grade) == list(words)
    assert {word: grade(word).status for word in COMPANION_STATUSES} == {
        "OK": "OK",
        "DEGRADED": "WARNING",
        "WARNING": "WARNING",
        "CRITICAL": "CRITICAL",
        "FAILED": "CRITICAL",
        "UNKNOWN": "WARNING",
    }


def test_what_is_to_be_looked_at_has_a_mark_and_what_is_well_has_none():
    assert [(each.name, each.mark) for each in Grade] == [
        ("GOOD", ""), ("INFO", ""), ("UNKNOWN", "⚠ "), ("WARNING", "⚠ "), ("CRITICAL", "● "),
    ]  # fmt: skip


def test_the_gravest_word_is_given_back_as_it_is_spelled():
    assert gravest(["info", "critical", "warning"], "info") == "critical"
    assert gravest([], "info") == "info"


def test_a_word_of_no_scale_is_refused():
    with pytest.raises(KeyError):
        grade("dreadful")
