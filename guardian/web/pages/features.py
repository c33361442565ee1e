"""Features: how much each is used and by how many, how often it fails, how long it takes, and how that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from glob import escape
from typing import Any

from starlette.responses import Response

from guardian.core.language import marked
from guardian.core.off_loop import off_loop
from guardian.core.report.model import Feature, Report
from guardian.core.report.timeline import bar_edges
from guardian.core.summary import TimelineBar
from guardian.mail.report.wording import error_phrase, short
from guardian.web.endpoint import Refusal
from guardian.web.pages.frame import framed, range_bar
from guardian.web.pages.latency import latency_chart, latency_table
from guardian.web.pages.page import Page, View
from guardian.web.pages.paging import paged
from guardian.web.pages.ranges import Range, read_range
from guardian.web.pages.reading import Reading, read_reached, read_window
from guardian.web.pages.svg import Series, Words
from guardian.web.pages.tables import Table
from guardian.web.pages.timeline import bar_links, number_scale, through_time
from guardian.web.pages.used import first_and_last

Seen = tuple[datetime, datetime] | None
SHOWN = 50
SORTS = ("requests", "people", "errors", "p95", "name")


async def run(view: View) -> Mapping[str, Any] | Response:
    """The list, or with `name` in the address one feature. Raises Refusal for one that was never used."""
    chosen = read_range(view.query, view.now, view.zone)
    reading = await read_window(view.app, chosen, view.now, view.zone)
    people = await read_reached(view.app, chosen, view.now)
    if name := view.query.get("name", ""):
        return await _one(view, chosen, reading, people, name)
    sort = view.query.get("sort", "") if view.query.get("sort", "") in SORTS else "requests"
    search = view.query.get("q", "")[:320]
    kept = {key: value for key, value in (("q", search), ("sort", "" if sort == "requests" else sort)) if value}
    found = await off_loop(features_of, reading.report, people, search, sort)
    page = paged(found, view.query, SHOWN)
    rows = await off_loop(feature_rows, page.rows, reading.report, people, view)
    return await framed(
        view,
        {"range": range_bar(view, chosen, **kept), "rows": rows, "sort": sort, "search": search, "one": None,
         "kept": kept, "pages": page},
        tables=[_table(reading.report, people)],
    )  # fmt: skip


def features_of(report: Report, people: Mapping[str, int], search: str, sort: str) -> list[Feature]:
    """Those whose name holds `search`, sorted. Pure."""
    wanted = search.strip().casefold()
    found = [each for each in report.features if wanted in each.name.casefold()]
    return sorted(found, key=lambda each: (_rank(each, people, sort), each.name))


def feature_rows(
    shown: Iterable[Feature], report: Report, people: Mapping[str, int], view: View
) -> list[dict[str, Any]]:
    """A row for each of these features of the report. Pure."""
    lang = view.lang
    before = {each.name: each.requests for each in report.baseline.features} if report.baseline else {}
    most = max((each.requests for each in report.features), default=1)
    return [
        {
            "name": short(each.name),
            "raw": each.name,
            "requests": lang.number(each.requests),
            "share": each.requests / most,
            "people": lang.number(people.get(each.name, 0)),
            "errors": lang.number(each.errors) if each.errors else "–",
            "rate": lang.percent(each.errors / each.requests) if each.errors else "",
            "tone": "bad" if each.requests and each.server_errors / each.requests > 0.01 else "",
            "p50": "–" if each.latency_ms.p50 is None else lang.milliseconds(each.latency_ms.p50),
            "p95": "–" if each.latency_ms.p95 is None else lang.milliseconds(each.latency_ms.p95),
            "trend": trend(each.requests, before.get(each.name), view) if report.baseline else "",
        }
        for each in shown
    ]


def _rank(each: Feature, people: Mapping[str, int], sort: str) -> float | str:
    if sort == "name":
        return each.name.casefold()
    if sort == "people":
        return -people.get(each.name, 0)
    if sort == "errors":
        return -each.errors
    return -(each.latency_ms.p95 or 0) if sort == "p95" else -each.requests


def trend(now: int, before: int | None, view: View) -> str:
    """The change in use, in words: "new", or by how much; "" for a twentieth or less."""
    if not before:
        return view.lang("new")
    change = now / before - 1
    if abs(change) <= 0.05:
        return ""
    return ("↑ " if change > 0 else "↓ ") + view.lang.percent(abs(change))


async def _one(
    view: View, chosen: Range, reading: Reading, people: Mapping[str, int], name: str
) -> Mapping[str, Any] | Response:
    lang, report = view.lang, reading.report
    known = next((each for each in report.features if each.name == name), None)
    if known is None and name not in await view.app.repository.feature_names():
        raise Refusal(404, lang("No feature with this name was ever used."))
    counts = reading.counts
    bins: dict[int, int] = {}
    routes = []
    for route, totals in counts.routes.items():
        if route.feature == name:
            routes.append((route, totals))
            for slot, number in totals.durations.items():
                bins[slot] = bins.get(slot, 0) + number
    edges = bar_edges(report.period_start, report.period_end, view.zone)
    bars, seen = await _bars(view, chosen, name, edges)
    row = next(iter(feature_rows([known] if known else (), report, people, view)), None)
    return await framed(
        view,
        {
            "range": range_bar(view, chosen, name=name),
            "rows": (), "sort": "", "search": "", "kept": {}, "pages": None,
            "one": {
                "name": short(name),
                "raw": name,
                "row": row,
                "chart": feature_chart(bars, name, chosen, reading, view),
                "latency": latency_chart(bins, view),
                "first": lang.moment(seen[0], view.zone) if seen else "",
                "last": lang.moment(seen[1], view.zone) if seen else "",
                "statuses": [
                    (code, error_phrase(code, lang), lang.number(n))
                    for code, n in sorted((known.statuses if known else {}).items(), key=lambda pair: -pair[1])
                ],
                "routes": [
                    (name, short(name), lang.number(count))
                    for name, count in sorted(
                        ((f"{route.method} {route.endpoint}", totals.requests) for route, totals in routes),
                        key=lambda pair: (-pair[1], pair[0]),
                    )[:20]
                ],
            },
        },
        tables=[
            Table("timeline", ("start", "requests", "errors"), [(bar.start, bar.requests, bar.errors) for bar in bars]),
            Table("statuses", ("status", "requests"),
                  [(int(code), n) for code, n in (known.statuses if known else {}).items()]),
            Table("routes", ("method", "route", "requests"),
                  [(r.method, r.endpoint, totals.requests) for r, totals in routes]),
            latency_table(lambda: bins),
        ],
    )  # fmt: skip


async def _bars(view: View, chosen: Range, name: str, edges: list[datetime]) -> tuple[list[TimelineBar], Seen]:
    """The bars of one feature, and the minutes of its first and its last request in them."""

    async def bars(edges: list[datetime]) -> list[TimelineBar]:
        return await view.app.repository.bars(edges, features=(escape(name),))

    async def read() -> tuple[list[TimelineBar], Seen]:
        found = await bars(edges)
        return found, await first_and_last(found, edges[-1], bars, view.zone)

    own = (edges[-1],) if chosen.hours is None else ()
    key = ("feature", name, chosen.key, edges[0], *own, view.zone.key)
    return await view.app.glances.take(key, read, now=view.now, fresh=timedelta(seconds=55))


def feature_chart(bars: list[TimelineBar], name: str, chosen: Range, reading: Reading, view: View) -> Any:
    """Requests of one feature through the window, those that failed in red."""
    lang, report, starts = view.lang, reading.report, [bar.start for bar in bars]
    failed = [bar.errors for bar in bars]
    well = [bar.requests - bar.errors for bar in bars]
    words = Words(
        lang("Requests over time, those that failed in red"), lang("When"), lang("The numbers"),
        lang("There were no requests in this period."),
    )  # fmt: skip
    return through_time(
        words, starts, report.period_end,
        [Series(lang("Failed"), failed, "bad"), Series(lang("Went well"), well, "good")],
        [[lang.number(v) for v in values] for values in (failed, well)], view,
        scale=number_scale(max((bar.requests for bar in bars), default=0), lang), form="stacked",
        released=reading.released, href=bar_links("/features", bars, report.period_end, chosen, view, name=name),
    )  # fmt: skip


def _table(report: Report, people: Mapping[str, int]) -> Table:
    columns = ("feature", "requests", "people", "errors", "server_errors", "p50_ms", "p95_ms", "p99_ms")
    rows = (
        (e.name, e.requests, people.get(e.name, 0), e.errors, e.server_errors, e.latency_ms.p50, e.latency_ms.p95,
         e.latency_ms.p99)
        for e in report.features
    )  # fmt: skip
    return Table("features", columns, rows)


PAGE = Page("/features", marked("Features"), run, "features.html", nav=True, key="3")
