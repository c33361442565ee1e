"""Builds the report from the totals of two windows and other findings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardian.core.activity import Activity
from guardian.core.clock import was_ahead
from guardian.core.notes import Note, as_json, in_order, never_recorded, traffic_notes
from guardian.core.quiet import Quiet
from guardian.core.report.features import by_status, feature_requests, features, features_before, latency
from guardian.core.report.judge import judge
from guardian.core.report.model import (
    Anonymous,
    Comparison,
    FeatureCount,
    Fired,
    GoneQuiet,
    Helped,
    NoteRow,
    Previous,
    Receipt,
    RecorderRow,
    Report,
    Step,
)
from guardian.core.report.rows import UserRows, failed_request
from guardian.core.storage import RecorderHealth, StorageStats
from guardian.core.summary import Counts, TimelineBar
from guardian.core.time import moment
from tracker.event import NOTED, Event

TOP = 10
"""How many features `top_features` names."""
SHORTEST_DAY = timedelta(hours=23)
"""In a shorter period it is normal that nobody comes."""
STORED = ("route template", "method", "status", "duration", "time", "verified user", "error type and place")


def build_report(
    current: Activity,
    previous: Counts | None,
    *,
    previous_start: datetime,
    start: datetime,
    end: datetime,
    now: datetime,
    steps: Mapping[str, Sequence[Event]] | None = None,
    quiet: Sequence[Quiet] = (),
    timeline: Iterable[TimelineBar] = (),
    critical_features: Sequence[str] = (),
    stats: StorageStats | None = None,
    recorders: Sequence[RecorderHealth] = (),
    notes: Sequence[Note] = (),
    known_features: Collection[str] | None = None,
    whole: bool = True,
    comparison: Comparison | None = None,
    compared: tuple[Counts, datetime, datetime] | None = None,
    fired: Sequence[Fired] | None = None,
) -> Report:
    """The report on `[start, end)` beside the window before it, from `previous_start` on (None: no longer stored).

    `notes` given are those that others found, in the report are those of the traffic too; these need to know
    `known_features`, all that were ever recorded (None: not known), and that the report is on the `whole` app.
    `steps` is what those who need help did last, `quiet` what `guardian.core.quiet` found. `comparison` says with what
    the period is compared (None: with the one before); where that is the same weekday, `compared` has its totals, start
    and end. `fired` are the rules that fired in the period (None: not known).
    """
    if comparison is not None and compared is not None:
        comparison = replace(comparison, period=_before(*compared))
    baseline = previous
    if comparison is not None and comparison.kind != "before":
        baseline = compared[0] if compared else None
    status, reason = judge(
        current,
        critical_features,
        baseline.requests if baseline and end - start >= SHORTEST_DAY else 0,
        weekday=comparison is not None and comparison.kind == "weekday",
        stats=stats,
        fired=fired or (),
        usual=comparison.usual_server_rate if comparison else None,
    )
    if whole or (stats is not None and never_recorded(stats)):
        traffic = traffic_notes(
            current, stats=stats, known_features=known_features, critical_features=critical_features
        )
        notes = [*notes, *traffic]
    return Report(
        period_start=start,
        period_end=end,
        active_users=current.active_users,
        total_requests=current.requests,
        total_errors=current.errors,
        users=UserRows(current.users, current.failures),
        top_features=_top_features(current),
        error_breakdown=_errors_by_status(current),
        status=status,
        status_reason=reason,
        notes=tuple(NoteRow(**as_json(note)) for note in in_order(notes)),
        previous=None if previous is None else _before(previous, previous_start, start),
        anonymous=Anonymous(*current.anonymous),
        latency_ms=latency(current.routes.values()),
        features=tuple(features(current)),
        help=tuple(Helped(email, tuple(map(_step, did))) for email, did in (steps or {}).items()),
        gone_quiet=tuple(
            GoneQuiet(each.email, moment(each.last_us), each.requests_count, failed_request(each.error))
            for each in quiet
        ),
        timeline=tuple(timeline),
        privacy=_receipt(stats, recorders, now),
        recorders=tuple(
            RecorderRow(each.id, each.seen_at, each.accepted, each.stored, each.dropped, each.queued)
            for each in recorders
        ),
        generated_at=now,
        comparison=comparison,
        fired=None if fired is None else tuple(fired),
        users_left_out=current.left_out,
    )


def _before(summary: Counts, start: datetime, end: datetime) -> Previous:
    return Previous(
        period_start=start,
        period_end=end,
        active_users=summary.active_users,
        total_requests=summary.requests,
        total_errors=summary.errors,
        error_breakdown=_errors_by_status(summary),
        top_features=_top_features(summary),
        features=tuple(features_before(summary.routes)),
    )


def _step(event: Event) -> Step:
    return Step(event.feature, event.status, event.outcome > NOTED, moment(event.at_us))


def _top_features(summary: Activity | Counts) -> tuple[FeatureCount, ...]:
    counts = feature_requests(summary.routes)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(FeatureCount(name, count) for name, count in ranked[:TOP])


def _errors_by_status(summary: Activity | Counts) -> dict[str, int]:
    return by_status({outcome: number for outcome, number in summary.statuses().items() if outcome >= 400})


def _receipt(stats: StorageStats | None, recorders: Sequence[RecorderHealth], now: datetime) -> Receipt:
    week = [recorder for recorder in recorders if recorder.seen_at >= now - timedelta(days=7)]
    return Receipt(
        stored=STORED,
        events=stats.events if stats else None,
        users=stats.users if stats else None,
        oldest=stats.oldest if stats else None,
        size_bytes=stats.size_bytes if stats else None,
        purged_events=stats.purged if stats else None,
        totals_since=stats.totals_since if stats else None,
        dropped_events=sum(recorder.dropped for recorder in week),
        last_heartbeat=max((each.seen_at for each in week if not was_ahead(each.seen_at, now)), default=None),
    )
