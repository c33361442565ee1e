import re

import pytest

from guardian.web.pages.ring import Slice, donut
from guardian.web.pages.svg import Flag, Flags, Mark, Series, Words, nice_top, over_time, share_bar, strip

WORDS = Words("Requests", "Time", "The numbers", "Nothing came.")
HOSTILE = "\"><script>alert(1)</script>' onload='x"


def chart(values, form="area", names=None):
    names = names or [f"{hour}:00" for hour in range(len(values))]
    said = [[str(value) for value in values]]
    return str(over_time(WORDS, names, [Series("All", values, "users")], ["0", "1"], said, scale="abc", form=form))


@pytest.mark.parametrize(
    ("most", "top"),
    [
        (0, 1),
        (1, 2),
        (1.2, 2),
        (2.5, 4),
        (3, 4),
        (5, 6),
        (6, 6),
        (7, 8),
        (9, 10),
        (12, 12),
        (13, 16),
        (21, 30),
        (72, 80),
        (240, 250),
        (260, 300),
        (1142, 1500),
        (0.3, 0.3),
        (0.07, 0.08),
    ],
)
def test_a_scale_ends_with_a_round_number(most, top):
    assert nice_top(most) == pytest.approx(top)


def test_no_chart_is_more_than_a_third_empty_and_its_middle_has_a_round_name():
    for most in range(1, 3000):
        top = nice_top(most)
        assert most <= top <= most * 2 and (most < 2 or top <= most * 1.5), most
        assert top / 2 == int(top / 2), "there is no half of a person"


@pytest.mark.parametrize("form", ["area", "stacked"])
def test_a_moment_is_a_line_with_its_name_above_and_stands_in_the_legend_and_in_the_table(form):
    flags = Flags("Released", [Flag(0.5, 1, "1.4.2", "1.4.2, at 1:20"), Flag(0.55, 1, "1.4.3", "1.4.3, at 1:25"),
                               Flag(0.95, 2, HOSTILE, HOSTILE)])  # fmt: skip
    names, said = [f"{hour}:00" for hour in range(3)], [["3", "0", "7"]]
    series = [Series("All", [3, 0, 7], "users")]
    found = str(over_time(WORDS, names, series, ["0"], said, scale="abc", form=form, flags=flags))
    assert re.findall(r'class="flag" d="(.*?)"', found) == ["M500 0V200", "M550 0V200", "M950 0V200"]
    assert re.findall(r"<text x=\"(.*?)\" .*?>(.*?)</text>", found)[0] == ("50%", "1.4.2")
    assert ">1.4.3</text>" not in found, "names do not lie on one another"
    assert '<li class="key flag">1.4.3, at 1:25</li>' in found
    assert "<td>1.4.2, at 1:20 · 1.4.3, at 1:25</td>" in found and '<th scope="col">Released</th>' in found
    assert "1:00\nAll: 0\n1.4.2, at 1:20" in found, "pointing at it says so"
    assert "<script" not in found


def test_where_nothing_was_released_a_chart_has_no_column_for_it():
    series = [Series("All", [1], "users")]
    found = str(over_time(WORDS, ["0:00"], series, [], [["1"]], scale="abc", flags=Flags("Released", [])))
    assert "Released" not in found and "legend" not in found


def test_each_row_behind_a_chart_leads_to_its_time():
    series = [Series("All", [1, 2], "users")]
    found = str(over_time(WORDS, ["a", "b"], series, [], [["1", "2"]], scale="abc", href=["/x?a=1&b=2", "/y"]))
    assert '<th scope="row"><a href="/x?a=1&amp;b=2">a</a></th>' in found
    assert "<a " not in found.partition("</svg>")[0], "a picture holds no links"


@pytest.mark.parametrize("form", ["area", "stacked"])
def test_a_chart_has_a_name_and_a_table_with_every_number(form):
    found = chart([3, 0, 7], form)
    assert 'role="img" aria-label="Requests"' in found
    assert [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", found)] == [
        ["Time", "All"], ["0:00", "3"], ["1:00", "0"], ["2:00", "7"],
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["area", "stacked"])
def test_a_chart_has_no_inline_style_and_no_script(form):
    found = chart([1, 2], form) + str(share_bar(0.5)) + str(strip("A strip", [Mark(0.1, 0.2, "bad", "x")]))
    assert "style=" not in found and "<script" not in found and " on" not in re.sub(">[^<]*<", "><", found)


def test_what_a_chart_names_is_text():
    found = chart([1, 2], names=[HOSTILE, "b"])
    ring = str(donut(WORDS, [Slice(HOSTILE, 1, HOSTILE, "/x?a=1&b=2")], centre=HOSTILE, under="x", columns=("a", "b")))
    assert "<script" not in found + ring and "onload='" not in found + ring


def test_where_nothing_came_a_chart_says_so():
    assert chart([0, 0]) == '<p class="nothing">Nothing came.</p>'
    assert "Nothing came." in str(donut(WORDS, [], centre="0", under="", columns=("a", "b")))


def test_a_chart_with_too_many_points_is_refused():
    with pytest.raises(ValueError, match="121 points: 120 at most"):
        chart([1] * 121)


def test_where_nothing_was_measured_a_line_has_a_gap_and_a_place_by_itself_is_seen():
    line = re.search('class="line users" d="([^"]*)"', chart([4, 2, None, 4, None]))[1]
    assert line == "M100 0L300 100M700 0h0"


def test_a_ring_is_hidden_from_those_who_hear_its_table_and_holds_no_links():
    ring = str(donut(WORDS, [Slice("500", 4, "4", "/x")], centre="4", under="", columns=("a", "b")))
    picture, table = ring.split("</svg>")
    assert 'aria-hidden="true"' in picture and "<a " not in picture and '<a href="/x">' in table


def test_a_share_beyond_the_whole_is_the_whole():
    assert 'width="100"' in str(share_bar(1.7)).split("bar users")[1]
    assert 'width="0"' in str(share_bar(-1)).split("bar users")[1]


def test_a_ring_of_one_part_is_whole():
    assert "<circle" in str(donut(WORDS, [Slice("500", 4, "4")], centre="4", under="", columns=("a", "b")))


def test_a_mark_of_a_moment_is_seen():
    assert 'width="3"' in str(strip("A strip", [Mark(0.5, 0.5, "bad", "an error")]))
