"""Builds the report from the totals of two windows and other findings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from guardian.core.activity import Active, Activity
from guardian.core.clock import was_ahead
from guardian.core.notes import Note, as_json, in_order, never_recorded, traffic_notes
from guardian.core.quiet import Quiet
from guardian.core.report.features import by_status, feature_requests, features, features_before, latency
from guardian.core.report.judge import judge
from guardian.core.report.model import (
    Anonymous,
    Comparison,
    FailedRequest,
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
    UserRow,
)
from guardian.core.storage import RecorderHealth, StorageStats
from guardian.core.summary import Counts, TimelineBar
from guardian.core.time import moment
from tracker.error_text import reason_phrase
from tracker.event import NOTED, Event, Failure

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
        users=user_rows(current.users, current.failures),
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
            GoneQuiet(each.email, moment(each.last_us), each.requests_count, _failed(each.error)) for each in quiet
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


def user_rows(users: Iterable[Active], failures: Mapping[str, Sequence[Event]]) -> tuple[UserRow, ...]:
    """The rows of these users, with the failed requests that are known one by one."""
    texts = _Texts()
    rows = [
        (name, minutes, used, requests, errors, texts.told(failures[name]) if name in failures else ())
        for name, requests, errors, minutes, used in users
    ]
    return tuple(map(_USER, rows))


_USER: Callable[[tuple[Any, ...]], UserRow] = partial(tuple.__new__, UserRow)  # four times as fast as calling it
_FAILED: Callable[[tuple[Any, ...]], FailedRequest] = partial(tuple.__new__, FailedRequest)


class _Texts(dict[tuple[Failure | None, int], str]):
    """What is said of each failure and status: of thousands of requests a few are different."""

    def __missing__(self, key: tuple[Failure | None, int]) -> str:
        failure, status = key
        if failure is None:
            text = reason_phrase(status)
        else:
            text = f"{failure.kind}: {failure.message}" if failure.location else failure.message
        self[key] = text
        return text

    def told(self, events: Sequence[Event]) -> tuple[FailedRequest, ...]:
        """The same requests as a report has them."""
        return tuple([
            _FAILED((endpoint, self[failure, status], moment(at_us), status, failure is not None and status < 400))
            for at_us, _, endpoint, _, _, status, _, failure, _, _ in events
        ])  # fmt: skip


def _step(event: Event) -> Step:
    return Step(event.feature, event.status, event.outcome > NOTED, moment(event.at_us))


def _failed(event: Event) -> FailedRequest:
    return _Texts().told([event])[0]


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
