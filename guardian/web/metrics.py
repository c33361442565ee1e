"""`/metrics`: the numbers of the health for Prometheus, in its text format. Names nobody and nothing of the app.

Written by hand: see docs/decisions/0006-metrics.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from guardian.application.root import Application
from guardian.core.clock import was_ahead
from guardian.core.storage import StorageError
from guardian.web.endpoint import HEADERS

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
READ_SECONDS = 3.0
FRESH = timedelta(seconds=5)
"""Concurrent requests share one reading."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its `name`, which ends with its unit, what it says, and its `values` by label ("" for none).

    None stands for what is not known; such a value is left out."""

    name: str
    help: str
    values: Mapping[str, float | None]
    label: str = ""


def as_text(metrics: Iterable[Metric]) -> str:
    """The metrics as Prometheus reads them (text format 0.0.4); all are gauges. Pure."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
        for label, value in metric.values.items():
            if value is not None:
                marks = f'{{{metric.label}="{_escaped(label)}"}}' if metric.label else ""
                lines.append(f"{metric.name}{marks} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


async def read_metrics(app: Application) -> list[Metric]:
    """Every metric as it is now. Raises StorageError where the database does not answer."""
    now = app.clock()
    recorders = [each for each in await app.repository.recorders(now) if not was_ahead(each.seen_at, now)]
    newest, unsent = await app.repository.newest_event(now), await app.stores.watch.oldest_unsent()
    opened = await app.stores.alerts.incidents(open_only=True, limit=1000)

    def age(at: datetime | None) -> float | None:
        return None if at is None else max(0.0, (now - at).total_seconds())

    def total(name: str) -> dict[str, float | None]:
        return {"": sum(getattr(each, name) for each in recorders)}

    took = {
        name: (health.ended_at - health.began_at).total_seconds()
        for name, health in sorted(app.health.items())
        if health.began_at is not None and health.ended_at >= health.began_at
    }
    alive = sum(now - each.seen_at <= timedelta(minutes=2) for each in recorders)
    week = "by the app's processes of the last 7 days"
    return [
        Metric("guardian_events_accepted", f"Events accepted {week}.", total("accepted")),
        Metric("guardian_events_stored", f"Events stored {week}.", total("stored")),
        Metric("guardian_events_dropped", f"Events dropped {week}.", total("dropped")),
        Metric("guardian_events_queued", f"Events queued {week}.", total("queued")),
        Metric("guardian_recorders_alive", "Processes of the app that wrote within 2 minutes.", {"": alive}),
        Metric("guardian_newest_event_age_seconds", "Age of the newest event.", {"": age(newest)}),
        Metric("guardian_oldest_unsent_age_seconds", "Age of the oldest message that waits.", {"": age(unsent) or 0.0}),
        Metric("guardian_outbox_messages", "Messages by what became of them.",
               dict(await app.state.outbox_counts()), "status"),
        Metric("guardian_open_incidents", "Incidents that are not over.",
               {s: sum(each.severity == s for each in opened) for s in ("info", "warning", "critical")}, "severity"),
        Metric("guardian_leading", "1 where this process leads, else 0.", {"": int(app.token is not None)}),
        Metric("guardian_step_duration_seconds", "How long the last run of each step took.", dict(took), "step"),
        Metric("guardian_step_failures", "How often in a row each step failed.",
               {name: health.failures for name, health in sorted(app.health.items())}, "step"),
    ]  # fmt: skip


def metrics_endpoint(
    app: Application, let_in: Callable[[Request], Awaitable[object]]
) -> Callable[[Request], Awaitable[Response]]:
    """Answers GET /metrics to whom `let_in` raises no Refusal for; 503 where the database does not answer in time."""

    async def respond(request: Request) -> Response:
        await let_in(request)
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await app.glances.take("metrics", lambda: read_metrics(app), now=app.clock(), fresh=FRESH)
        except (StorageError, TimeoutError):
            return Response("# the database does not answer\n", 503, HEADERS, media_type=MEDIA_TYPE)
        return Response(as_text(found), 200, HEADERS, media_type=MEDIA_TYPE)

    return respond
