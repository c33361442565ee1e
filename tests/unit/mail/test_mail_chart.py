"""The chart of the report mail: which bars it has, their colours and their labels."""

from datetime import timedelta
from io import BytesIO

import pytest
from PIL import Image

from guardian.core.language import language
from guardian.core.summary import TimelineBar
from guardian.mail.chart import chart_of, draw, nice_ceiling
from tests.support import report_samples as samples


def bar(start, *, requests=10, errors=0, active_users=0):
    return TimelineBar(start, requests, errors, active_users)


def test_a_chart_has_a_red_bar_where_more_than_a_tenth_failed():
    bars = [bar(samples.START + timedelta(minutes=5 * n), errors=n, active_users=4 * n) for n in range(3)]
    chart = chart_of(bars, samples.END, language(), samples.ZONE)
    assert (chart.users, chart.bad, chart.line) == ((0, 4, 8), (False, False, True), " ▄█")
    colours = [
        Image.open(BytesIO(draw(chart))).convert("RGB").getpixel((72 + round(984 / 3 * (n + 0.5)), 235))
        for n in range(3)
    ]
    assert colours == [(255, 255, 255), (58, 102, 214), (207, 53, 43)]


@pytest.mark.parametrize("users", [7, 1_000, 2_000_000])
def test_the_numbers_beside_a_chart_stand_within_the_picture(users):
    bars = [bar(samples.START + timedelta(hours=n), active_users=users) for n in range(3)]
    chart = chart_of(bars, samples.END, language(), samples.ZONE)
    picture = Image.open(BytesIO(draw(chart))).convert("L")
    edge, label = picture.crop((0, 0, 2, 240)), picture.crop((2, 0, 60, 60))
    assert edge.getextrema() == (255, 255)
    assert label.getextrema()[0] < 150


def test_the_picture_of_a_chart_is_small_and_keeps_its_colours():
    bars = [bar(samples.START + timedelta(minutes=30 * n), errors=n % 3, active_users=n * 7 % 40) for n in range(48)]
    content = draw(chart_of(bars, samples.END, language(), samples.ZONE))
    picture = Image.open(BytesIO(content)).convert("RGB")
    assert len(content) < 5_000
    found = {colour for _, colour in picture.getcolors()}
    assert len(found) <= 16
    assert found >= {(255, 255, 255), (225, 229, 235), (58, 102, 214), (207, 53, 43), (86, 96, 112)}


def test_the_upper_line_of_a_chart_has_the_colour_of_lines():
    bars = [bar(samples.START + timedelta(minutes=5 * n), active_users=1) for n in range(3)]
    picture = Image.open(BytesIO(draw(chart_of(bars, samples.END, language(), samples.ZONE)))).convert("RGB")
    assert picture.getpixel((90, 24)) == (225, 229, 235)


@pytest.mark.parametrize("timeline", [[], [bar(samples.START, requests=0)] * 9])
def test_without_users_there_is_no_chart(timeline):
    assert chart_of(timeline, samples.END, language(), samples.ZONE) is None


def test_a_chart_of_weeks_is_labelled_with_days_of_the_readers_zone():
    starts = [samples.START - timedelta(hours=9) + timedelta(days=n) for n in range(14)]
    bars = [bar(at, active_users=3) for at in starts]
    chart = chart_of(bars, starts[-1], language(), samples.ZONE)
    assert chart.labels == ((0, "2 Mar"), (3, "5 Mar"), (6, "8 Mar"), (9, "11 Mar"), (12, "14 Mar"))


@pytest.mark.parametrize("most, ceiling", [(1, 2), (2, 2), (3, 4), (5, 6), (9, 10), (11, 20), (41, 60), (4_321, 6_000)])
def test_the_axis_of_a_chart_ends_at_a_round_number(most, ceiling):
    assert nice_ceiling(most) == ceiling
