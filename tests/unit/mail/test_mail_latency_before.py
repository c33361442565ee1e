"""The key figure "95 % within" beside its value of the period before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from guardian.core.language import language
from guardian.core.report.model import Comparison, Quantiles
from guardian.core.report.reading import from_json
from guardian.mail.report.view import report_view
from tests.support import report_samples as samples
from tests.support.plain import plain


def read(now, before, *, requests=30, requests_before=30):
    """A report in which 95 % of the requests took at most so long, in milliseconds, now and before."""
    events = [samples.event(n) for n in range(requests)]
    earlier = [samples.event(n - 120) for n in range(requests_before)]
    report = from_json(samples.report(events, earlier))
    return replace(report, latency_ms=Quantiles(p95=now), previous=replace(report.previous, p95_ms=before))


def beside_last_monday(report):
    """The same as a report on a Monday that is compared with the Monday before."""
    start, end = report.period_start - timedelta(hours=9), report.period_start + timedelta(hours=15)
    week = timedelta(days=7)
    before = replace(report.previous, period_start=start - week, period_end=end - week)
    return replace(report, period_start=start, period_end=end, comparison=Comparison("weekday", before, start - week))


def shown(report, code="en"):
    """The figure's value, change and tone, and what held."""
    view = report_view(report, (), lang=language(code), zone=samples.ZONE)
    [figure] = [each for each in view["figures"] if plain(each["label"]) in ("95 % within", "95 % en moins de")]
    return plain(figure["value"]), plain(figure["change"]), figure["tone"], plain(view["held"])


@pytest.mark.parametrize(
    ("now", "before", "change", "tone", "steady"),
    [
        (360.0, 320.0, "↑ from 320 ms", "worse", False),
        (351.0, 320.0, "↑ from 320 ms", "", True),
        (320.3, 320.4, "as before", "", True),
        (1_400.0, 2_000.0, "↓ from 2 s", "better", False),
        (320.0, 0.0, "↑ from 0 ms", "worse", False),
        (320.0, None, "", "", False),
    ],
)
def test_the_latency_has_its_value_of_the_period_before(now, before, change, tone, steady):
    _, said, colour, held = shown(read(now, before))
    assert (said, colour) == (change, tone)
    names = "active users, requests, the share that failed"
    assert held == f"Steady, within 10 %: {names}{', latency' if steady else ''}."


def test_it_names_the_day_that_it_is_compared_with_in_the_language_of_the_reader():
    report = beside_last_monday(read(360.0, 320.0))
    assert shown(report)[:2] == ("360 ms", "↑ from 320 ms last Monday")
    assert shown(report, "fr")[:2] == ("360 ms", "↑ contre 320 ms lundi dernier")
    same = beside_last_monday(read(320.0, 320.0))
    assert shown(same)[1] == "as last Monday" and shown(same, "fr")[1] == "comme lundi dernier"
    assert shown(same, "fr")[3] == "Stable, à 10 % près : utilisateurs actifs, requêtes, part des échecs, latence."


@pytest.mark.parametrize(("requests", "requests_before"), [(19, 30), (30, 19)])
def test_of_a_few_requests_the_value_is_told_and_not_judged(requests, requests_before):
    report = read(360.0, 320.0, requests=requests, requests_before=requests_before)
    assert shown(report)[1:] == ("↑ from 320 ms", "", "")
