"""How texts are printed: numbers stay with their units, and names from right to left turn nothing round."""

from guardian.core.language import language
from guardian.mail.render import flow, render
from guardian.mail.report.wording import short

HEBREW = "\u05d3\u05e0\u05d4@example.com"


def test_a_line_of_the_text_part_ends_before_a_length_of_time_and_not_in_it():
    lasting = language().duration(49 * 3600)
    assert flow("x" * 72 + " " + lasting) == "x" * 72 + "\n" + lasting


def test_a_name_from_right_to_left_stands_alone_in_text_and_html():
    assert short(HEBREW) == f"\u2068{HEBREW}\u2069"
    assert short("ada@example.com") == "ada@example.com"
    view = {"subject": "s", "headline": f"{short(HEBREW)} failed 3 times", "text": "<b>", "grave": "ok"}
    html, text = render("test_email", language(), view=view)
    assert f"<bdi>{HEBREW}</bdi> failed 3 times" in html and "&lt;b&gt;" in html
    assert f"\u2068{HEBREW}\u2069 failed 3 times" in text
