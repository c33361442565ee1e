"""Reads the latency of the period that a report is compared with, which its JSON does not have."""

from __future__ import annotations

from dataclasses import replace

from guardian.core.releases import p95
from guardian.core.report.features import latency
from guardian.core.report.model import Previous, Report
from guardian.core.storage import WindowGone
from guardian.stores.events import UsageRepository


async def with_latency_before(report: Report, repository: UsageRepository) -> Report:
    """The report, in whose `baseline` is the latency in milliseconds that 95 % of its requests kept to.

    As it is where it has no latency itself, nothing is known to compare it with, or retention has deleted what would
    tell. Raises StorageError where the store does not answer.
    """
    before = report.baseline
    if before is None or not before.total_requests or report.latency_ms.p95 is None:
        return report
    try:
        before = replace(before, p95_ms=await _read(before, report.only_features, repository))
    except WindowGone:
        return report
    if report.comparison is None or report.comparison.kind == "before":
        return replace(report, previous=before)
    return replace(report, comparison=replace(report.comparison, period=before))


async def _read(before: Previous, features: tuple[str, ...], repository: UsageRepository) -> float | None:
    if before.period_start is None or before.period_end is None:  # an older report's
        return None
    edges = [before.period_start, before.period_end]
    if features:  # sealed latencies are read of the whole app
        activity, _ = await repository.activity(edges, most=0, features=features)
        return latency(activity.routes.values()).p95
    [bins] = await repository.latencies(edges)
    return p95(bins)
