"""Where texts name people."""

import pytest

from guardian.core.mentions import Span, marked_name, plain, shortening, unmarked, without, wrapping
from guardian.mail.render import breakable, cut, flow
from guardian.mail.report.userlist import plain_cell
from guardian.mail.report.wording import short

LONG = "somebody.with.a.very.long.name@a-department.of-a-university.example.com"


def test_a_text_says_where_it_names_whom():
    text = f"{marked_name('bob')} and {marked_name('eve')} met errors"
    assert unmarked(text) == ("bob and eve met errors", [Span(0, 3, "bob"), Span(8, 11, "eve")])
    assert plain("nobody") == "nobody"


def test_a_name_that_has_the_signs_in_it_cannot_pretend_to_be_another():
    assert unmarked(f"x {marked_name(marked_name('bob'))}") == ("x bob", [Span(2, 5, "bob")])
    assert unmarked(marked_name("bob")[:-1] + " met") == ("bob met", [])


def test_a_column_that_cuts_a_name_still_knows_whose_it_is():
    shown = cut(marked_name(LONG), 45)
    assert unmarked(shown) == (cut(LONG, 45), [Span(0, 45, LONG)])
    assert unmarked(short(marked_name("x" * 300))) == ("x" * 119 + "…", [Span(0, 120, "x" * 300)])
    assert cut(marked_name("bob"), 45) == marked_name("bob")


def test_what_is_cut_before_after_and_within_a_name_moves_its_place():
    text = f"aaaa {marked_name('bob')} zzzz"
    assert unmarked(shortening(text, lambda whole: whole[:9] + "…")) == ("aaaa bob …", [Span(5, 8, "bob")])
    assert unmarked(shortening(text, lambda whole: whole[:7] + "…")) == ("aaaa bo…", [Span(5, 7, "bob")])


@pytest.mark.parametrize("name", ["bob@example.com", LONG, "Ada Lovelace of the Analytical Engine", "x" * 200])
def test_lines_are_as_long_as_without_the_signs(name):
    text = f"* {marked_name(name)}: not seen since Monday; the last thing was {marked_name('eve')} with 500 in chat"
    told, spans = unmarked(flow(text, 2))
    assert told == flow(plain(text), 2)
    assert [span.name for span in spans] == [name, "eve"]
    assert ["".join(told[s.start : s.end].split()) for s in spans] == ["".join(name.split()), "eve"]
    assert wrapping("no name", str.upper) == "NO NAME"


def test_html_and_spreadsheets_mark_the_same_name():
    told, spans = unmarked(str(breakable(marked_name("o'neil<&>@x.org"))), lambda w: w.replace("<wbr>", ""))
    assert told == str(breakable("o'neil<&>@x.org"))
    assert (spans[0].start, spans[0].end) == (0, len(told))
    assert plain(plain_cell(marked_name("=cmd@x.org"))) == "'=cmd@x.org"


def test_who_is_erased_leaves_the_others_where_they_are_now():
    spans = [Span(0, 3, "bob"), Span(8, 11, "eve"), Span(16, 19, "bob")]
    told = without("bob and eve and bob", spans, {"bob"})
    assert told == ("(erased) and eve and (erased)", [("eve", 13, 16)])
