"""The health check: whether events arrive and Guardian does its work. Public and cheap: it never counts rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from guardian.application.lead import LEASE_TTL
from guardian.application.noticing import LATELY
from guardian.application.root import LEASE, Application
from guardian.application.scheduler import STEPS
from guardian.core.clock import was_ahead
from guardian.core.growth import UNMERGED_MOST
from guardian.core.note_words import KINDS
from guardian.core.notes import gone_silent
from guardian.core.off_loop import QUICK_SECONDS, short_turns
from guardian.core.storage import Signs, StorageError
from guardian.web.endpoint import Asked, Call, Endpoint
from guardian.web.state_answers import Health, NotReady, ProcessTotals, Readiness, RecorderTotals

T = TypeVar("T")

HEARTBEAT_SECONDS = 120
"""A recorder silent for longer makes the health degraded."""

DROPPED_SHARE = 0.001
"""A recorder that drops a larger share of its events makes the health degraded."""

LOST_FOR = timedelta(hours=1)
"""How long a process that went silent with queued events is reported as having lost them."""


READ_SECONDS = 0.8
"""The health check answers after this time, however busy the database is."""

INTERVALS = 3
"""A step that failed this often in a row counts as not working."""

HUNG = timedelta(minutes=15)
"""So does one whose last run ended longer ago than this plus this many intervals."""

UNSENT = timedelta(minutes=15)
"""The longest that a message may wait in the outbox of a ready Guardian."""

GONE = "the database file is gone or was replaced by another one: see Guardian's log"
SILENT = "the database does not answer: see Guardian's log"


class Wanted(Asked):
    """What is asked of the health."""

    ready: Annotated[bool, BeforeValidator(lambda value: True if value == "" else value)] = Field(
        False, description="true, or no value, for 503 where Guardian does not do what it is for; else false"
    )


@dataclass(frozen=True, slots=True)
class Duty:
    """What the database says of Guardian's own work: whether somebody leads, and since when what waits longest in the
    outbox has waited, None where nothing does."""

    led: bool
    unsent: datetime | None


async def usage_health(call: Call) -> Health:
    """Whether events arrive and Guardian's steps work. Names nobody and nothing.

    The answer is 200 while the process serves, be it degraded. With `ready` it is 503 while the promise does not hold:
    `not_ready` says in words why.
    """
    app, now, ready = call.app, call.app.clock(), call.asked.ready
    signs, duty, why = await _read(app, now, ready=ready)
    health = blind(why) if signs is None else judge_health(app, signs, now)
    if not ready:
        return health
    lost: NotReady = "database-lost" if why == GONE else "database-unusable"
    return Readiness(**health.model_dump(), not_ready=[lost] if duty is None else not_ready(app, duty, now))


def not_ready(app: Application, duty: Duty, now: datetime) -> list[NotReady]:
    """The reasons why Guardian is not ready; empty if it is. The steps of a standby process do not count."""
    found: list[NotReady] = []
    if app.token is None and not duty.led:
        found.append("no-leader")
    if app.token is not None and any(_fails(app, step.name, step.seconds, now) for step in STEPS):
        found.append("step-failing")
    if duty.unsent is not None and now - duty.unsent >= UNSENT:
        found.append("mail-unsent")
    return found


def _fails(app: Application, step: str, seconds: int, now: datetime) -> bool:
    health = app.health.get(step)
    if health is None:
        return False
    hangs = now - health.ended_at > timedelta(seconds=INTERVALS * seconds) + HUNG
    return health.failures >= INTERVALS or hangs


async def _read(app: Application, now: datetime, *, ready: bool) -> tuple[Signs | None, Duty | None, str]:
    """What the database says, of its own work only if `ready` is asked for; or why it says nothing, without both.

    All who ask at the same time share one answer. As little as can be is asked for: beside a thread that computes, each
    question waits for it several times, and so for short turns of it.
    """
    if app.trouble is not None:
        return None, None, GONE
    signs = _shared(app, "signs", lambda: app.repository.signs(now, now - LATELY))
    duty = _shared(app, "duty", lambda: _duty(app, now)) if ready else None
    try:
        with short_turns(QUICK_SECONDS):
            async with asyncio.timeout(READ_SECONDS):
                return await asyncio.shield(signs), None if duty is None else await asyncio.shield(duty), ""
    except (StorageError, TimeoutError):
        return None, None, GONE if _is_gone(app) else SILENT


def _shared(app: Application, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
    """The reading of this name that is under way, else a new one."""
    known = app.reading.get(name)
    if known is None or known.done():
        known = app.reading[name] = asyncio.create_task(read(), name="guardian-health")
        # The client may be gone when it fails.
        known.add_done_callback(lambda task: task.cancelled() or task.exception())
    return known


async def _duty(app: Application, now: datetime) -> Duty:
    led = app.state.lease_held(LEASE, now, LEASE_TTL)
    return Duty(*await asyncio.gather(led, app.stores.watch.oldest_unsent()))


def _is_gone(app: Application) -> bool:
    try:
        app.state.check_file()
    except StorageError:
        return True
    return False


def blind(reason: str) -> Health:
    """The health while nothing can be read."""
    return Health(
        status="degraded",
        reasons=[reason],
        recorder=RecorderTotals(processes=0, accepted=0, stored=0, dropped=0, queued=0),
        processes=[],
        notes={},
        last_event_age_seconds=None,
        last_heartbeat_age_seconds=None,
    )


def judge_health(app: Application, signs: Signs, now: datetime) -> Health:
    """Health from what the store shows and the steps last said. What has a time that is still to come is no sign of
    life."""
    recorders = signs.recorders
    present = [each for each in recorders if not was_ahead(each.seen_at, now)]
    seen = max((each.seen_at for each in present), default=None)
    heartbeat = _age(seen, now)
    reasons = [f"the step {name} failed" for name, health in sorted(app.health.items()) if health.error is not None]
    if heartbeat is not None and heartbeat > HEARTBEAT_SECONDS:
        reasons.append(f"the host app's recorder has been silent for {heartbeat} s")
    if ahead := signs.ahead + len(recorders) - len(present):
        reasons.append(f"{ahead:,} events and heartbeats are of the future: set the clock of the app's machine")
    live = [each for each in present if (now - each.seen_at).total_seconds() <= HEARTBEAT_SECONDS]
    if sum(each.dropped for each in live) > DROPPED_SHARE * sum(each.accepted for each in live):
        reasons.append("the host app's recorder drops events: see its log, and 'guardian check'")
    lost = sum(each.queued for each in gone_silent(recorders, now) if now - each.seen_at <= LOST_FOR)
    if lost:
        reasons.append(f"the host app's recorder went silent with {lost} events queued: stop the app by SIGTERM")
    if signs.unmerged > UNMERGED_MOST:
        size = f"{signs.unmerged / 1e6:,.0f} MB"
        reasons.append(
            f"the write-ahead log has {size}, since another program holds a reading open: see 'guardian check'"
        )
    kinds: dict[str, int] = {}
    for each in signs.notes:
        if each.kind in KINDS:  # public, so without texts from the database
            kinds[each.kind] = kinds.get(each.kind, 0) + each.count
    accepted, stored, dropped = (
        sum(getattr(each, count) for each in recorders) for count in ("accepted", "stored", "dropped")
    )
    return Health(
        status="degraded" if reasons else "ok",
        reasons=reasons,
        recorder=RecorderTotals(
            processes=len(live),
            accepted=accepted,
            stored=stored,
            dropped=dropped,
            queued=accepted - stored - dropped,
        ),
        processes=[
            ProcessTotals(
                accepted=each.accepted,
                stored=each.stored,
                dropped=each.dropped,
                queued=each.queued,
                last_heartbeat_age_seconds=int(max(timedelta(), now - each.seen_at).total_seconds()),
            )
            for each in present
            if now - each.seen_at <= LATELY
        ],
        notes=dict(sorted(kinds.items())),
        last_event_age_seconds=_age(signs.newest, now),
        last_heartbeat_age_seconds=heartbeat,
    )


def _age(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, int((now - moment).total_seconds()))


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET", path="/api/usage/health", run=usage_health, asked=Wanted, answer=Health, access="public",
        status=lambda health: 503 if getattr(health, "not_ready", None) else 200,
        answers={503: (Readiness, "With `ready`: Guardian does not do what it is for")},
    ),
)  # fmt: skip
