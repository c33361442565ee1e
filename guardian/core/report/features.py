"""What a report says of features, and how fast they were. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from guardian.core.report.model import Feature, Quantiles
from guardian.core.summary import Counts, RouteTotals, Summary, quantile_ms
from tracker.event import ANONYMOUS, NOTED, Event


def features(summary: Summary | Counts, failures: Mapping[str, Sequence[Event]] | None = None) -> list[Feature]:
    """Each feature, most requests first; `failures` holds the newest failed events of each user (None, and for counts:
    not known)."""
    grouped: dict[str, list[RouteTotals]] = {}
    for route, totals in summary.routes.items():
        grouped.setdefault(route.feature, []).append(totals)
    failed_users = _failed_users(summary, failures or {}) if isinstance(summary, Summary) else {}
    rows = []
    for name, routes in grouped.items():
        outcomes: dict[int, int] = {}
        for totals in routes:
            for outcome, number in totals.statuses.items():
                outcomes[outcome] = outcomes.get(outcome, 0) + number
        requests = sum(outcomes.values())
        bad = {outcome: number for outcome, number in outcomes.items() if outcome >= 400}
        rows.append(
            Feature(
                name=name,
                requests=requests,
                errors=sum(bad.values()),
                server_errors=sum(number for outcome, number in bad.items() if outcome >= 500),
                error_rate=round(sum(bad.values()) / requests, 4),
                statuses=by_status(bad),
                failed_users=failed_users.get(name, 0),
                latency_ms=latency(routes),
            )
        )
    return sorted(rows, key=lambda row: (-row.requests, row.name))


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


def latency(routes: Iterable[RouteTotals]) -> Quantiles:
    """The quantiles of the latencies, within 1 %.

    The latency is the duration, and for an answer that streams and a WebSocket the time to the first byte.
    """
    bins: dict[int, int] = {}
    for totals in routes:
        for slot, number in totals.durations.items():
            bins[slot] = bins.get(slot, 0) + number
    values = (quantile_ms(bins, q) for q in (0.5, 0.95, 0.99))
    return Quantiles(*(None if value is None else round(value, 2) for value in values))


def by_status(outcomes: Mapping[int, int]) -> dict[str, int]:
    """Failed requests by the status that the client met, in order; "200" are those that the app noted as failed."""
    return {str(outcome % NOTED): number for outcome, number in sorted(outcomes.items(), key=lambda o: o[0] % NOTED)}
