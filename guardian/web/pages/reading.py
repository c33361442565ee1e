"""Reads the data of pages, shared by everybody who looks within seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from guardian.alerting.sample import Released
from guardian.application.latency_before import with_latency_before
from guardian.application.root import Application
from guardian.core.activity import Activity
from guardian.core.off_loop import off_loop
from guardian.core.report.model import Report
from guardian.core.report.timeline import bar_edges
from guardian.core.roster import BACK, Person, Roster
from guardian.core.storage import WindowGone
from guardian.core.summary import TimelineBar
from guardian.core.time import micros
from guardian.stores.one_state import of_one_state
from guardian.web.pages.ranges import Range

FRESH, FRESH_LONG = timedelta(seconds=9), timedelta(seconds=55)
"""How long a reading is shared; a long range changes little in a minute."""

NAMED = 20
"""So many people, those with most errors, a reading names: pages show no more of a report's."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A window: its report, its totals by route, the latencies of each bar by bin, the bars of the period before, one
    for each of the report's (None where that was not recorded in full, or not asked for), and what was released."""

    report: Report
    counts: Activity
    latencies: tuple[Mapping[int, int], ...]
    before: tuple[TimelineBar, ...] | None
    released: tuple[Released, ...] = ()


async def read_window(app: Application, chosen: Range, now: datetime, zone: ZoneInfo) -> Reading:
    """The window of a page. Raises StorageError where the store does not answer."""
    with of_one_state():
        reading = await app.glances.take(
            ("window", *_key(chosen), chosen.compare, zone.key),
            lambda: _read(app, chosen, zone),
            now=now, fresh=_fresh(chosen),
        )  # fmt: skip
    released = await read_releases(app, reading.report.period_start, reading.report.period_end, now)
    return replace(reading, released=released)


async def read_releases(app: Application, start: datetime, end: datetime, now: datetime) -> tuple[Released, ...]:
    """What was released in [start, end), in order. Every release is read: there are few, and it takes no longer."""

    async def read() -> Sequence[Released]:
        return await off_loop(app.stores.history.releases, 0, micros(app.clock()) + 1)

    known = await app.glances.take(("released",), read, now=now, fresh=FRESH_LONG)
    return tuple(each for each in known if micros(start) <= each.at_us < micros(end))


def _key(chosen: Range) -> tuple[str, ...]:
    own = (chosen.start.isoformat(), chosen.end.isoformat()) if chosen.hours is None else ()
    return (chosen.key, *own)


def _fresh(chosen: Range) -> timedelta:
    return FRESH if chosen.end - chosen.start <= timedelta(days=1) else FRESH_LONG


async def _read(app: Application, chosen: Range, zone: ZoneInfo) -> Reading:
    own = chosen.hours is None
    report, counts, bars = await app.usage.read_window(
        chosen.hours, start_time=chosen.start if own else None, end_time=chosen.end if own else None, zone=zone,
        max_users=NAMED, latency=True, before=chosen.compare,
    )  # fmt: skip
    took = tuple(counts.latencies)
    if not chosen.compare:
        return Reading(replace(report, previous=None, comparison=None), counts, took, None)
    report = await with_latency_before(report, app.repository)
    if report.baseline is None:  # zeros from before recording began would be wrong
        return Reading(report, counts, took, None)
    if not bars:  # the weekday compared with is an hour longer or shorter
        back = _back(report)
        try:
            edges = bar_edges(report.period_start, report.period_end, zone)
            bars = await app.repository.bars([edge - back for edge in edges])
        except WindowGone:
            return Reading(report, counts, took, None)
    return Reading(report, counts, took, tuple(bars) if any(bar.requests for bar in bars) else None)


def _back(report: Report) -> timedelta:
    """How long before the report's window the one lies that it is compared with."""
    before = report.baseline
    if before is not None and before.period_start is not None:
        return report.period_start - before.period_start
    return report.period_end - report.period_start


async def read_roster(app: Application, chosen: Range, now: datetime) -> Roster:
    """Everybody who was there in the window. Raises StorageError where the store does not answer."""
    return await app.glances.take(
        ("people", *_key(chosen)),
        lambda: app.repository.roster(chosen.start, chosen.end, back=BACK),
        now=now, fresh=FRESH_LONG,
    )  # fmt: skip


async def read_reached(app: Application, chosen: Range, now: datetime) -> Mapping[str, int]:
    """How many people used each feature in the window. Raises StorageError where the store does not answer."""
    return await app.glances.take(
        ("reached", *_key(chosen)),
        lambda: app.repository.reached(chosen.start, chosen.end),
        now=now, fresh=FRESH_LONG,
    )  # fmt: skip


async def read_totals(app: Application, chosen: Range, now: datetime, name: str) -> Person | None:
    """What somebody did in the window, all of it; None where retention has deleted what would tell."""
    try:
        everybody = await read_roster(app, chosen, now)
    except WindowGone:
        return None
    found = await off_loop(everybody.found, search=name)
    return next((each for each in everybody.rows(found) if each.name == name), None)
