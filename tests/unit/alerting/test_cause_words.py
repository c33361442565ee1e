"""How the cause of an incident is said, in English and French."""

from dataclasses import replace

import pytest

from guardian.alerting.cause_words import cause_line, cause_lines, cause_sentences, unnamed, way_note
from guardian.alerting.explaining import UNEXPLAINED, Explanation
from guardian.core.cause import Cause, Found, Way
from guardian.core.language import language
from guardian.core.mentions import marked_name, unmarked, without
from tests.support.plain import plain

EN, FR = language(), language("fr")
RELEASE = Found("release", "2.4.1", 60, 61, 65, 1_200, 0.98)
CHAT = Found("route", "/api/chat", 60, 60, 60, 5, 1.0)
ANN = Found("person", "ann@x.org", 90, 100, 90, 400, 0.9)


def said(told, lang=EN):
    return plain(cause_line(told, lang))


def test_what_was_found_is_said_with_its_figures():
    assert said(Explanation(cause=Cause((RELEASE,)))) == (
        "release 2.4.1 has 60 of 61 failures (92.3 % of its requests, 0.08 % of the others)"
    )
    assert said(Explanation(cause=Cause((RELEASE, CHAT)))) == (
        "release 2.4.1 has 60 of 61 failures (92.3 % of its requests, 0.08 % of the others); "
        "of these /api/chat has 60 of 60 failures (100 % of its requests, 0 % of the others)"
    )
    assert said(Explanation("slow", Cause((RELEASE,)))).startswith("release 2.4.1 has 60 of 61 slow requests (")


def test_an_hour_of_the_day_is_named_from_its_beginning_to_its_end():
    late = Found("hour", "23:00", 30, 30, 60, 1380, 1.0)
    told = Explanation(cause=Cause((late,)))
    assert said(told) == (
        "the hour from 23:00 to 00:00 has 30 of 30 failures (50 % of its requests, 0 % of the others)"
    )
    assert plain(cause_line(told, language("fr"))).startswith("l'heure de 23:00 à 00:00 a 30 ")


def test_requests_that_are_missing_or_too_many_are_said_beside_those_of_before():
    missing = Found("feature", "chat", 300, 340, 310, 500, 0.9)
    assert said(Explanation("missing", Cause((missing,)), days=7)) == "chat: 10 requests, 300 a week before"
    more = Found("person", "bot@x.org", 900, 1200, 900, 600, 0.9)
    assert said(Explanation("more", Cause((more,)), days=1)) == "bot@x.org: 900 requests, 0 the day before"


def test_that_nothing_stands_out_is_said_too():
    even = Explanation(cause=Cause(even=("route", "instance", "person", "method")))
    assert said(even) == "none stands out: spread evenly over routes, instances, people"
    assert said(UNEXPLAINED) == ""
    assert said(Explanation(cause=Cause(even=("method",)))) == ""
    fewer = Explanation("missing", Cause(even=("feature", "person")))
    assert said(fewer) == "none stands out: spread evenly over features, people"


def test_french_says_one_and_many_others_as_it_should():
    assert said(Explanation("alone", others=(1, 40)), FR) == "1 autre présent sur 40 l'a rencontré aussi"
    assert said(Explanation("alone", others=(2, 40)), FR) == "2 autres présents sur 40 l'ont rencontré aussi"


def test_of_one_persons_errors_it_is_said_whether_others_met_them():
    assert said(Explanation("alone", others=(0, 40))) == "nobody else met it, of 40 others who were there"
    assert said(Explanation("alone", others=(12, 40))) == "12 of 40 others who were there met it too"
    assert said(Explanation("alone", others=(0, 0))) == "nobody else was there"
    assert said(Explanation("alone", others=(0, 1))) == "the one other person who was there did not meet it"
    assert said(Explanation("alone", others=(1, 1))) == "the one other person who was there met it too"


def test_an_error_is_followed_by_how_often_it_came_before():
    told = Explanation(way=Way(("KeyError", "chat.py:118 answer"), 108, 128, 0, 4012), days=7)
    assert plain(way_note(told, "KeyError", "chat.py:118 answer", EN)) == "(0 of 4,012 requests a week before)"
    assert way_note(told, "HTTP 404", "", EN) == ""
    assert way_note(UNEXPLAINED, "KeyError", "chat.py:118 answer", EN) == ""


def test_all_that_is_known_is_said_line_by_line():
    way = Way(("KeyError", "chat.py:118 answer"), 108, 128, 0, 4012)
    told = Explanation(cause=Cause((RELEASE,)), way=way, days=7)
    assert [plain(line) for line in cause_lines(told, EN)] == [
        "108 of 128 failures are KeyError at chat.py:118 (0 of 4,012 requests a week before)", said(told),
    ]  # fmt: skip
    alone = Explanation(way=Way(("HTTP 413", ""), 8, 9, None, None))
    assert cause_lines(alone, EN) == ["8 of 9 failures are HTTP 413"]
    assert cause_lines(UNEXPLAINED, EN) == []


def test_in_a_room_of_a_chat_nobody_is_named():
    told = Explanation(cause=Cause((ANN,)))
    assert said(told).startswith("ann@x.org has 90 of 100 failures")
    assert "ann" not in unnamed(told, EN)
    assert plain(unnamed(told, EN)).startswith("one person has 90 of 100 failures")


def test_a_persons_name_is_marked_so_that_erasing_finds_it():
    line = cause_line(Explanation(cause=Cause((ANN,))).named(marked_name), EN)
    assert [span.name for span in unmarked(line)[1]] == ["ann@x.org"]


def test_a_name_of_which_the_middle_is_left_out_is_marked_with_all_of_it():
    long = f"{'a' * 60}.{'b' * 60}@example.org"
    line = cause_line(Explanation(cause=Cause((replace(ANN, value=long),))).named(marked_name), EN)
    shown, spans = unmarked(line)
    assert [span.name for span in spans] == [long]
    assert without(shown, spans, {long})[0].startswith("(erased) has 90 of 100 failures")


def test_a_commit_is_said_by_its_first_characters_and_a_long_name_is_cut():
    commit = Found("release", "0123456789abcdef0123456789abcdef01234567", 60, 61, 65, 1_200, 0.98)
    assert said(Explanation(cause=Cause((commit,)))).startswith("release 0123456789ab has")
    long = Found("route", "/" + "x" * 200, 60, 61, 65, 1_200, 0.98)
    assert len(said(Explanation(cause=Cause((long,))))) < 200


@pytest.mark.parametrize(
    ("told", "french"),
    [
        (
            Explanation(cause=Cause((RELEASE,))),
            "version 2.4.1 a 60 des 61 échecs (92,3 % de ses requêtes, 0,08 % des autres)",
        ),
        (
            Explanation(cause=Cause(even=("route", "person"))),
            "rien ne ressort : réparti uniformément (routes, personnes)",
        ),
        (Explanation("alone", others=(3, 40)), "3 autres présents sur 40 l'ont rencontré aussi"),
    ],
)
def test_in_french(told, french):
    assert said(told, FR) == french


def test_one_request_is_said_in_the_singular():
    one = Explanation("missing", Cause((Found("feature", "chat", 300, 340, 301, 500, 0.9),)), days=7)
    assert said(one) == "chat: 1 request, 300 a week before"
    none = Explanation("missing", Cause((Found("feature", "chat", 300, 340, 300, 500, 0.9),)), days=1)
    assert said(none, FR) == "chat : 0 requête, 300 la veille"
    way = Way(("KeyError", ""), 5, 5, 0, 1)
    assert plain(way_note(Explanation(way=way, days=7), "KeyError", "", EN)) == "(0 of 1 request a week before)"
    assert plain(way_note(Explanation(way=way, days=1), "KeyError", "", FR)) == "(0 sur 1 requête la veille)"


@pytest.mark.parametrize(
    "told, begins",
    [
        (Explanation(cause=Cause((RELEASE,))), "Release 2.4.1 has 60 "),
        (Explanation(cause=Cause((CHAT,))), "/api/chat has 60 "),
        (Explanation(cause=Cause((ANN,))), "ann@x.org has 90 "),
        (Explanation(cause=Cause(even=("route", "person"))), "None stands out: "),
        (Explanation("alone", others=(3, 40)), "3 of 40 others "),
    ],
)
def test_in_a_text_a_word_of_ours_begins_with_a_capital_and_a_name_stays_as_it_is(told, begins):
    [sentence] = cause_sentences(told, EN)
    assert plain(sentence).startswith(begins) and sentence.endswith(".")
    both = cause_sentences(replace(told, way=Way(("KeyError", ""), 5, 6, 0, 10)), EN)
    assert plain(both[0]) == "5 of 6 failures are KeyError (0 of 10 requests a week before)."
    assert both[1] == sentence
