"""Adds to a report what goes beyond totals: who came and went, releases, and why something changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from guardian.alerting.explaining import explain_change
from guardian.alerting.sample import Released
from guardian.core.cause import NOTHING_FOUND, PERIOD_BEFORE, Cause, MovedCause
from guardian.core.language import language
from guardian.core.off_loop import off_loop
from guardian.core.releases import MOST, Bins, Release, Since, judged, p95
from guardian.core.report.comparing import CLOCK_CHANGE, DAY, WEEK
from guardian.core.report.model import Report
from guardian.core.storage import StorageError, WindowGone
from guardian.core.time import micros, moment
from guardian.core.turnover import Turnover, turnover_edges
from guardian.mail.report.moved import ranked
from guardian.stores.events import UsageRepository
from guardian.stores.history import HistoryStore

log = logging.getLogger("guardian.reporting")

SAMPLED = 4_000
"""The most requests sampled from the window, and from the one before, to explain a change."""


async def explained(
    report: Report, repository: UsageRepository, history: HistoryStore | None, zone: ZoneInfo
) -> Report:
    """The report with these additions; unchanged if it covers only some features. Without `history` there are no
    releases and causes. Raises StorageError."""
    if report.only_features:
        return report
    since = report.comparison.recorded_since if report.comparison else None
    turnover = await turnover_of(repository, report.period_start, report.period_end, zone, since)
    report = replace(report, turnover=turnover)
    if history is None:
        return report
    released = await off_loop(history.releases, micros(report.period_start), micros(report.period_end))
    return replace(
        report,
        releases=await _releases(report, repository, released),
        causes=await off_loop(_causes, report, history, zone),
    )


async def turnover_of(
    repository: UsageRepository, start: datetime, end: datetime, zone: ZoneInfo, since: datetime | None
) -> Turnover | None:
    """Who came and went in [start, end), of an app that was recorded `since` then; None where that is not told of it:
    see `guardian.core.turnover.turnover_edges`. Raises StorageError."""
    edges = turnover_edges(start, end, zone, since)
    if not edges:
        return None
    try:
        return await repository.turnover(edges)
    except WindowGone:
        return None


def _back(report: Report) -> timedelta | None:
    """The distance from the report's window back to the one compared with; None if there is none."""
    before = report.baseline
    if before is None or before.period_start is None:
        return None
    return report.period_start - before.period_start


async def _releases(report: Report, repository: UsageRepository, released: Sequence[Released]) -> tuple[Release, ...]:
    """The newest releases of the window, each up to the next, beside the same time of what the report is compared
    with."""
    edges = [*(moment(each.at_us) for each in released), report.period_end]
    back, found = _back(report), list[tuple[Release, Bins, Bins]]()
    for each, (start, end) in list(zip(released, pairwise(edges), strict=True))[-MOST:]:
        since, bins = await _since(repository, start, end)
        before, bins_before = None, dict[int, int]()
        if back is not None:  # then that was recorded in full
            with suppress(WindowGone):
                before, bins_before = await _since(repository, start - back, end - back)
        found.append((Release(each.release, since, before), bins, bins_before))
    return judged(found)


async def _since(repository: UsageRepository, start: datetime, end: datetime) -> tuple[Since, dict[int, int]]:
    counts = await repository.counts(start, end)
    [bins] = await repository.latencies([start, end])
    return Since(start, end, counts.requests, counts.errors, p95(bins)), bins


def _causes(report: Report, history: HistoryStore, zone: ZoneInfo) -> tuple[MovedCause, ...]:
    """The known causes of what changed. Blocks for up to a tenth of a second: call it in a thread."""
    moved, before = ranked(report, language()), report.baseline
    if not moved or before is None or before.period_start is None or before.period_end is None:
        return ()
    try:
        now = history.sample(micros(report.period_start), micros(report.period_end), most=SAMPLED)
        then = history.sample(micros(before.period_start), micros(before.period_end), most=SAMPLED)
    except StorageError as error:
        log.warning("Why something moved in a report cannot be looked for, since %s", error)
        return ()
    days, found = _days(report.period_start - before.period_start), []
    for each in moved:
        told = explain_change(now, then, of=each.of, feature=each.feature, status=each.status, days=days, zone=zone)
        cause = Cause(told.cause.found) if told.cause.found else NOTHING_FOUND
        if cause.found or told.way is not None:
            found.append(MovedCause(each.feature, each.status, each.of, days, cause, told.way))
    return tuple(found)


def _days(back: timedelta) -> int:
    """As `MovedCause.days`; a day on which the clock changes is one too."""
    for days, length in ((1, DAY), (7, WEEK)):
        if abs(back - length) <= CLOCK_CHANGE:
            return days
    return PERIOD_BEFORE
