"""What a report says of features, and how fast they were. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from guardian.core.activity import Activity
from guardian.core.histogram import quantiles_of_each
from guardian.core.report.model import Feature, FeatureBefore, Quantiles
from guardian.core.summary import Route, RouteTotals
from tracker.event import NOTED


def features(activity: Activity) -> list[Feature]:
    """Each feature, most requests first."""
    grouped: dict[str, list[RouteTotals]] = {}
    for route, totals in activity.routes.items():
        grouped.setdefault(route.feature, []).append(totals)
    rows = []
    for (name, routes), took in zip(grouped.items(), latencies(grouped.values()), strict=True):
        outcomes = _outcomes(routes)
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
                failed_users=activity.failed_users.get(name, 0),
                latency_ms=took,
            )
        )
    return sorted(rows, key=lambda row: (-row.requests, row.name))


def features_before(routes: Mapping[Route, RouteTotals]) -> list[FeatureBefore]:
    """Each feature of a period that another one is compared with, most requests first."""
    grouped: dict[str, list[RouteTotals]] = {}
    for route, totals in routes.items():
        grouped.setdefault(route.feature, []).append(totals)
    rows = []
    for name, mine in grouped.items():
        outcomes = _outcomes(mine)
        errors = sum(number for outcome, number in outcomes.items() if outcome >= 400)
        rows.append(FeatureBefore(name, sum(outcomes.values()), errors))
    return sorted(rows, key=lambda row: (-row.requests, row.name))


def feature_requests(routes: Mapping[Route, RouteTotals]) -> dict[str, int]:
    """How many requests each feature had."""
    counts: dict[str, int] = {}
    for route, totals in routes.items():
        counts[route.feature] = counts.get(route.feature, 0) + totals.requests
    return counts


def _outcomes(routes: Iterable[RouteTotals]) -> dict[int, int]:
    outcomes: dict[int, int] = {}
    for totals in routes:
        for outcome, number in totals.statuses.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + number
    return outcomes


def latency(routes: Iterable[RouteTotals]) -> Quantiles:
    """The quantiles of the latencies, within 1 %.

    The latency is the duration, and for an answer that streams and a WebSocket the time to the first byte.
    """
    return latencies([routes])[0]


def latencies(groups: Iterable[Iterable[RouteTotals]]) -> list[Quantiles]:
    """The same of each of these groups of routes."""
    found = quantiles_of_each([[totals.durations for totals in routes] for routes in groups], (0.5, 0.95, 0.99))
    return [Quantiles(*(None if value is None else round(value, 2) for value in values)) for values in found]


def by_status(outcomes: Mapping[int, int]) -> dict[str, int]:
    """Failed requests by the status that the client met, in order; "200" are those that the app noted as failed."""
    return {str(outcome % NOTED): number for outcome, number in sorted(outcomes.items(), key=lambda o: o[0] % NOTED)}
