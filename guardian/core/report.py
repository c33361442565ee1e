"""The report: from two summaries to the JSON that the file, the API and the mail share. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from guardian.core.notes import Note, as_json, in_order, never_recorded, traffic_notes
from guardian.core.storage import RecorderHealth, StorageStats
from guardian.core.summary import RouteTotals, Summary, TimelineBar, active_minutes, quantile_ms
from guardian.core.time import micros, moment
from tracker.error_text import reason_phrase
from tracker.event import ANONYMOUS, NOTED, Event

ERRORS_PER_USER = 20
"""The newest errors of each user that a report tells one by one; `errors_count` counts them all."""
TOP = 10
"""How many features `top_features` names."""
TOP_HELP = 5

MIN_REQUESTS = 20
"""With fewer requests than this, a rate says nothing of the whole."""
CRITICAL_SERVER_RATE, WARNING_RATE = 0.10, 0.05


def build_report(
    current: Summary,
    previous: Summary | None,
    *,
    previous_start: datetime,
    start: datetime,
    end: datetime,
    now: datetime,
    failures: Mapping[str, Sequence[Event]],
    steps: Mapping[str, Sequence[Event]] | None = None,
    quiet: Sequence[Mapping[str, Any]] = (),
    timeline: Iterable[TimelineBar] = (),
    critical_features: Sequence[str] = (),
    stats: StorageStats | None = None,
    recorders: Sequence[RecorderHealth] = (),
    notes: Sequence[Note] = (),
    known_features: Collection[str] | None = None,
    whole: bool = True,
) -> dict[str, Any]:
    """The report on `[start, end)` beside the window before it, from `previous_start` on (None: no longer stored).

    The fixed keys are those of docs/architecture.md; `previous`, `anonymous`, `latency_ms`, `features`, `status`,
    `status_reason`, `notes`, `help`, `gone_quiet`, `timeline`, `privacy`, `recorders` and `generated_at` stand beside
    them. `notes` given are those that others found, in the report are those of the traffic too; these need to know
    `known_features`, all that were ever recorded (None: not known), and that the report is on the `whole` app.
    `failures` holds the newest failed events of each user, oldest first; `steps` what those who need help did last,
    `quiet` what `guardian.core.quiet` found. Users are sorted by errors, then requests, then name. JSON values only.
    """
    start_us = micros(start)
    status, reason = judge(
        current, critical_features, previous if end - start >= timedelta(days=1) else None, stats=stats
    )
    if whole or (stats is not None and never_recorded(stats)):
        known = {"known_features": known_features, "critical_features": critical_features}
        notes = [*notes, *traffic_notes(current, stats=stats, **known)]
    anonymous = current.users.get(ANONYMOUS)
    return {
        "period_start": _iso(start),
        "period_end": _iso(end),
        **_totals(current),
        "users": _users(current, failures, start_us),
        "top_features": _top_features(current),
        "error_breakdown": _errors_by_status(current),
        "status": status,
        "status_reason": reason,
        "notes": [as_json(note) for note in in_order(notes)],
        "previous": None
        if previous is None
        else {
            "period_start": _iso(previous_start),
            "period_end": _iso(start),
            **_totals(previous),
            "error_breakdown": _errors_by_status(previous),
            "top_features": _top_features(previous),
            "features": [{key: row[key] for key in ("name", "requests", "errors")} for row in features(previous)],
        },
        "anonymous": {
            "requests_count": anonymous.requests if anonymous else 0,
            "errors_count": anonymous.errors if anonymous else 0,
        },
        "latency_ms": latency(current.routes.values()),
        "features": features(current, failures),
        "help": [{"email": email, "steps": [_step(event) for event in did]} for email, did in (steps or {}).items()],
        "gone_quiet": [
            {
                "email": each["email"],
                "last_seen": _iso(moment(each["last_us"])),
                "requests_count": each["requests_count"],
                "error": _error(each["error"]),
            }
            for each in quiet
        ],
        "timeline": [
            {"start": _iso(b.start), "requests": b.requests, "errors": b.errors, "active_users": b.active_users}
            for b in timeline
        ],
        "privacy": _receipt(stats, recorders, now),
        "recorders": [
            {
                "id": each.id,
                "seen_at": _iso(each.seen_at),
                "accepted": each.accepted,
                "stored": each.stored,
                "dropped": each.dropped,
                "queued": each.queued,
            }
            for each in recorders
        ],
        "generated_at": _iso(now),
    }


def needs_help(summary: Summary) -> list[str]:
    """Who met most errors, at most five: of those with 3 or more, or for whom half of the requests failed."""
    needy = [
        email
        for email, user in summary.users.items()
        if email != ANONYMOUS and (user.errors >= 3 or (user.errors and user.errors * 2 >= user.requests))
    ]
    return sorted(needy, key=lambda email: (-summary.users[email].errors, email))[:TOP_HELP]


def judge(
    summary: Summary,
    critical_features: Sequence[str],
    previous: Summary | None = None,
    *,
    stats: StorageStats | None = None,
) -> tuple[str, str]:
    """OK, WARNING or CRITICAL, and why in one sentence.

    CRITICAL: every request of a critical feature failed (at least 5, of at least 2 users), or 10 % or more of at
    least 20 requests were server errors. WARNING: more than 5 % of at least 20 requests failed, or there was any
    server error, or nobody came after a `previous` period of at least 20 requests (None: nobody need come, as in two
    hours of a night), or `stats` say that no request was ever recorded. Else OK.
    """
    requests, errors = summary.requests, summary.errors
    server = sum(user.server_errors for user in summary.users.values())
    for feature in features(summary):
        name, number = feature["name"], feature["requests"]
        critical = any(fnmatchcase(name, pattern) for pattern in critical_features)
        users = sum(1 for email, user in summary.users.items() if name in user.features and email != ANONYMOUS)
        if critical and number >= 5 and feature["errors"] == number and users >= 2:
            return "CRITICAL", all_failed(feature)
    if not requests and previous is not None and previous.requests >= MIN_REQUESTS:
        return "WARNING", f"Nobody used the app, after {previous.requests} requests in the period before."
    if not requests and stats is not None and never_recorded(stats):
        return "WARNING", as_json(Note("never", 0, stats.place))["text"]
    if not requests:
        return "OK", "Nobody used the app."
    if requests >= MIN_REQUESTS and server / requests >= CRITICAL_SERVER_RATE:
        return "CRITICAL", f"{server / requests:.1%} of the requests met a server error ({server} of {requests})."
    if requests >= MIN_REQUESTS and errors / requests > WARNING_RATE:
        return "WARNING", f"{errors / requests:.1%} of the requests failed ({errors} of {requests})."
    if server:
        return "WARNING", f"{server} of {requests} requests met a server error."
    if errors:
        return "OK", f"{errors} of {requests} requests failed, none by a fault of the server."
    return "OK", f"All {requests} requests went well."


def all_failed(feature: Mapping[str, Any]) -> str:
    """The reason for CRITICAL where every request of this feature failed; `feature` is an entry of the report's."""
    return f"All {feature['requests']} requests of {feature['name']} failed."


def features(summary: Summary, failures: Mapping[str, Sequence[Event]] | None = None) -> list[dict[str, Any]]:
    """Per feature, most requests first: name, requests, errors, server_errors, error_rate, statuses (of the errors),
    failed_users (see `_failed_users`), latency_ms."""
    grouped: dict[str, list[RouteTotals]] = {}
    for route, totals in summary.routes.items():
        grouped.setdefault(route.feature, []).append(totals)
    failed_users = _failed_users(summary, failures or {})
    rows = []
    for name, routes in grouped.items():
        outcomes: dict[int, int] = {}
        for totals in routes:
            for outcome, number in totals.statuses.items():
                outcomes[outcome] = outcomes.get(outcome, 0) + number
        requests = sum(outcomes.values())
        bad = {outcome: number for outcome, number in outcomes.items() if outcome >= 400}
        rows.append(
            {
                "name": name,
                "requests": requests,
                "errors": sum(bad.values()),
                "server_errors": sum(number for outcome, number in bad.items() if outcome >= 500),
                "error_rate": round(sum(bad.values()) / requests, 4),
                "statuses": _by_status(bad),
                "failed_users": failed_users.get(name, 0),
                "latency_ms": latency(routes),
            }
        )
    return sorted(rows, key=lambda row: (-row["requests"], row["name"]))


def _failed_users(summary: Summary, failures: Mapping[str, Sequence[Event]]) -> dict[str, int | None]:
    """How many verified users met an error in each feature; None where that is not known, because `failures` holds only
    the newest of somebody's errors."""
    met: dict[str, int] = {}
    unsure: set[str] = set()
    for email, user in summary.users.items():
        if email != ANONYMOUS and user.errors:
            known = failures.get(email, ())
            found = {event.feature for event in known}
            for name in found:
                met[name] = met.get(name, 0) + 1
            if len(known) < user.errors:
                unsure |= user.features.keys() - found
    return {name: None if name in unsure else met.get(name, 0) for name in met.keys() | unsure}


def latency(routes: Iterable[RouteTotals]) -> dict[str, float | None]:
    """The quantiles p50, p95 and p99 of the latencies in milliseconds, within 1 %; None without any.

    The latency is the duration, and for an answer that streams and a WebSocket the time to the first byte.
    """
    bins: dict[int, int] = {}
    for totals in routes:
        for slot, number in totals.durations.items():
            bins[slot] = bins.get(slot, 0) + number
    values = {name: quantile_ms(bins, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return {name: None if value is None else round(value, 2) for name, value in values.items()}


def _totals(summary: Summary) -> dict[str, int]:
    return {
        "active_users": sum(email != ANONYMOUS for email in summary.users),
        "total_requests": summary.requests,
        "total_errors": summary.errors,
    }


def _users(summary: Summary, failures: Mapping[str, Sequence[Event]], start_us: int) -> list[dict[str, Any]]:
    rows = []
    for email, user in summary.users.items():
        if email == ANONYMOUS:
            continue
        used = sorted(user.features, key=lambda name: (-user.features[name], name))
        rows.append(
            {
                "email": email,
                "total_time_minutes": active_minutes(user, start_us),
                "features_used": used,
                "requests_count": user.requests,
                "errors_count": user.errors,
                "errors": [_error(event) for event in failures.get(email, ())],
            }
        )
    return sorted(rows, key=lambda row: (-row["errors_count"], -row["requests_count"], row["email"]))


def _step(event: Event) -> dict[str, Any]:
    return {"feature": event.feature, **_code(event), "timestamp": _iso(moment(event.at_us))}


def _code(event: Event) -> dict[str, Any]:
    """The status that the client met; with `failed` where it does not show that the app noted the request as failed."""
    return {"code": event.status, "failed": True} if event.outcome > NOTED else {"code": event.status}


def _error(event: Event) -> dict[str, Any]:
    failure = event.failure
    text = reason_phrase(event.status) if failure is None else failure.message
    if failure is not None and failure.location:
        text = f"{failure.kind}: {text}"
    at = moment(event.at_us)
    return {"endpoint": event.endpoint, "error": text, "timestamp": _iso(at), **_code(event)}


def _top_features(summary: Summary) -> list[dict[str, Any]]:
    counts: dict[str, int] = {}
    for route, totals in summary.routes.items():
        counts[route.feature] = counts.get(route.feature, 0) + totals.requests
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"name": name, "count": count} for name, count in ranked[:TOP]]


def _errors_by_status(summary: Summary) -> dict[str, int]:
    return _by_status({outcome: number for outcome, number in summary.statuses().items() if outcome >= 400})


def _by_status(outcomes: Mapping[int, int]) -> dict[str, int]:
    """Failed requests by the status that the client met, in order; "200" are those that the app noted as failed."""
    return {str(outcome % NOTED): number for outcome, number in sorted(outcomes.items(), key=lambda o: o[0] % NOTED)}


def _receipt(stats: StorageStats | None, recorders: Sequence[RecorderHealth], now: datetime) -> dict[str, Any]:
    """What is stored, and whether the tracker lives: the privacy receipt."""
    week = [recorder for recorder in recorders if recorder.seen_at >= now - timedelta(days=7)]
    return {
        "stored": ["route template", "method", "status", "duration", "time", "verified user", "error type and place"],
        "events": stats.events if stats else None,
        "users": stats.users if stats else None,
        "oldest": _iso(stats.oldest) if stats and stats.oldest else None,
        "size_bytes": stats.size_bytes if stats else None,
        "purged_events": stats.purged if stats else None,
        "totals_since": _iso(stats.totals_since) if stats and stats.totals_since else None,
        "dropped_events": sum(recorder.dropped for recorder in week),
        "last_heartbeat": _iso(max(recorder.seen_at for recorder in week)) if week else None,
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
