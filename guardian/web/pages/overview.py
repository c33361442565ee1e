"""The first page: the status, what changed, and where to look next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from guardian.alerting.sample import Released
from guardian.core.grade import grade
from guardian.core.language import marked
from guardian.core.mentions import plain
from guardian.core.off_loop import off_loop
from guardian.core.report.model import Report
from guardian.core.summary import TimelineBar, quantiles_ms
from guardian.mail.report.view import report_view
from guardian.mail.report.wording import error_phrase
from guardian.web.pages.frame import framed, range_bar
from guardian.web.pages.incident_words import incident_row
from guardian.web.pages.latency import durations, latency_chart, latency_table
from guardian.web.pages.page import Page, View
from guardian.web.pages.ranges import Range, read_range
from guardian.web.pages.reading import Reading, read_window
from guardian.web.pages.ring import Slice, donut
from guardian.web.pages.svg import Series, Words
from guardian.web.pages.tables import Table
from guardian.web.pages.timeline import bar_links, number_scale, through_time, time_scale

OPEN, COUNTED = 6, 500
"""So many open incidents are shown, and so many counted at most: a page of its own has them."""
SLICES = 6
"""How many statuses have a slice of their own; the others share one."""


async def run(view: View) -> Mapping[str, Any] | Response:
    """The values of the first page."""
    chosen = read_range(view.query, view.now, view.zone)
    reading = await read_window(view.app, chosen, view.now, view.zone)
    opened = await view.app.stores.alerts.incidents(open_only=True, limit=COUNTED)
    live = view.query.get("live") != "off"
    kept = {} if live else {"live": "off"}
    flipped = {**chosen.query, "live": "off"} if live else chosen.query
    own = await off_loop(overview, view, chosen, reading)
    return await framed(
        view,
        {
            **own,
            "range": range_bar(view, chosen, **kept),
            "live": live,
            "live_flip": flipped,
            "open": [incident_row(each, view) for each in opened[:OPEN]],
            "more_open": max(0, len(opened) - OPEN),
        },
        tables=overview_tables(reading),
    )


def overview(view: View, chosen: Range, reading: Reading) -> dict[str, Any]:
    """What is shown of a window: the words are those of the report's mail. Pure."""
    report, lang, zone = reading.report, view.lang, view.zone
    said = report_view(report, (), lang=lang, zone=zone)
    hrefs = ("/people", "/features", "/errors", "/features")
    figures = [{**each, "href": href} for each, href in zip(said["figures"], hrefs, strict=False)]
    return {
        "grade": grade(said["grave"]).look.style,
        "headline": plain(said["headline"]),
        "verdict": said["verdict"],
        "notes": said["notes"],
        "figures": figures,
        "first": said["first"] if chosen.compare else "",
        "held": said["held"],
        "moved": [
            {"text": text, "href": view.url("/features", **chosen.query, name=about["feature"]) if about["feature"]
             else view.url("/errors", **chosen.query, status=about["status"])}
            for text, about in zip(said["moved"], said["moved_about"], strict=True)
        ],
        "moved_from": said["moved_from"],
        "users_chart": users_chart(report, reading.before, reading.released, view),
        "requests_chart": requests_chart(report, chosen, reading.released, view),
        "features": said["features"],
        "errors_chart": errors_chart(report, chosen, view),
        "latency": [
            (label, "–" if value is None else lang.milliseconds(value))
            for label, value in (("p50", report.latency_ms.p50), ("p95", report.latency_ms.p95),
                                 ("p99", report.latency_ms.p99))
        ],
        "latency_over_time": latency_over_time(report, reading.latencies, reading.released, view),
        "latency_chart": latency_chart(durations(reading.latencies), view),
        "help": said["help"],
        "quiet": said["gone_quiet"],
    }  # fmt: skip


def users_chart(
    report: Report, before: Sequence[TimelineBar] | None, released: Sequence[Released], view: View
) -> Markup:
    """Active users through the window, and through the one that it is compared with."""
    lang, starts = view.lang, [bar.start for bar in report.timeline]
    series = [Series(lang("Active users"), [bar.active_users for bar in report.timeline], "users")]
    if before is not None and len(before) == len(starts):
        series.append(Series(lang("Before"), [bar.active_users for bar in before], "before"))
    most = max((value or 0 for each in series for value in each.values), default=0)
    words = Words(
        lang("Active users over time, at most %(n)s", n=lang.number(most)), lang("When"), lang("The numbers"),
        lang("Nobody used the app in this period."),
    )  # fmt: skip
    said = [[lang.number(value or 0) for value in each.values] for each in series]
    return through_time(
        words, starts, report.period_end, series, said, view, scale=number_scale(most, lang), released=released
    )


def requests_chart(report: Report, chosen: Range, released: Sequence[Released], view: View) -> Markup:
    """Requests through the window, those that failed on top."""
    lang, starts = view.lang, [bar.start for bar in report.timeline]
    failed = [bar.errors for bar in report.timeline]
    well = [bar.requests - bar.errors for bar in report.timeline]
    most = max((bar.requests for bar in report.timeline), default=0)
    words = Words(
        lang("Requests over time, those that failed in red"), lang("When"), lang("The numbers"),
        lang("There were no requests in this period."),
    )  # fmt: skip
    series = [Series(lang("Failed"), failed, "bad"), Series(lang("Went well"), well, "good")]
    said = [[lang.number(value or 0) for value in each.values] for each in series]
    return through_time(
        words, starts, report.period_end, series, said, view, scale=number_scale(most, lang), form="stacked",
        released=released, href=bar_links("/", report.timeline, report.period_end, chosen, view),
    )  # fmt: skip


def errors_chart(report: Report, chosen: Range, view: View) -> Markup:
    """What failed, by the status that the client met; each leads to its errors in the same time."""
    lang = view.lang
    found = sorted(report.error_breakdown.items(), key=lambda pair: (-pair[1], pair[0]))
    slices = [
        Slice(f"{code} {error_phrase(code, lang)}", count, lang.number(count),
              view.url("/errors", **chosen.query, status=code))
        for code, count in found[:SLICES]
    ]  # fmt: skip
    if rest := sum(count for _, count in found[SLICES:]):
        slices.append(Slice(lang("other statuses"), rest, lang.number(rest)))
    words = Words(lang("Failed requests by status"), lang("Status"), "", lang("No request failed."))
    return donut(
        words, slices, centre=lang.number(report.total_errors), under=lang("failed"),
        columns=(lang("Status"), lang("Requests")),
    )  # fmt: skip


def latency_over_time(
    report: Report, latencies: Sequence[Mapping[int, int]], released: Sequence[Released], view: View
) -> Markup:
    """The median, 95 % and 99 % latencies through the window."""
    lang, starts = view.lang, [bar.start for bar in report.timeline]
    found = list(zip(*(quantiles_ms(bins, (0.95, 0.5, 0.99)) for bins in latencies), strict=True))
    series = [
        Series(name, values, tone)
        for name, values, tone in zip(("p95", "p50", "p99"), found, ("users", "calm", "warm"), strict=True)
    ]
    most = max((value or 0 for each in series for value in each.values), default=0)
    words = Words(
        lang("Latency over time, at most %(time)s", time=lang.milliseconds(most)), lang("When"), lang("The numbers"),
        lang("No latency was measured."),
    )  # fmt: skip
    said = [["–" if value is None else lang.milliseconds(value) for value in values] for values in found]
    return through_time(
        words, starts, report.period_end, series, said, view, scale=time_scale(most, lang), released=released
    )


def overview_tables(reading: Reading) -> list[Table]:
    """The tables behind the page: of the period before, what is not known is empty."""
    report, before = reading.report, reading.before
    bars = (
        (bar.start, bar.requests, bar.errors, bar.active_users, before[i].active_users if before else None,
         *quantiles_ms(took, (0.5, 0.95, 0.99)))
        for i, (bar, took) in enumerate(zip(report.timeline, reading.latencies, strict=True))
    )  # fmt: skip
    columns = ("start", "requests", "errors", "active_users", "active_users_before", "p50_ms", "p95_ms", "p99_ms")
    return [
        Table("timeline", columns, bars),
        Table("statuses", ("status", "requests"), [(int(code), n) for code, n in report.error_breakdown.items()]),
        Table("features", ("feature", "requests"), [(each.name, each.count) for each in report.top_features]),
        latency_table(lambda: durations(reading.latencies)),
    ]


PAGE = Page("/", marked("Overview"), run, "overview.html", nav=True, key="1")
