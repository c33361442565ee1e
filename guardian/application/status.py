"""What the application says about itself: for the API, the dashboard and the command line."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from guardian.application.noticing import noticed_lately
from guardian.application.outages import LONGEST_WAIT, TRIES
from guardian.application.root import Application, NamedSchedule
from guardian.core.notes import Note, as_json
from guardian.core.time import iso

SHOWN_DEAD = 10
"""Of so many mails that cannot be delivered, the newest, the reason is told."""


async def application_status(app: Application) -> dict[str, Any]:
    """The state of everything, as JSON values; times are ISO 8601 in UTC.

    Keys: `leading`, `now`, `schedules` (each with `name`, `when`, `last_period_end`, `next_at`, `next_covers`,
    `sentence`), `outbox` (items by status), `dead` (the newest of those given up, and why), `transports` (each with
    `name`, `closed_until`), `undelivered` (each with `channel`, `recipient`, how many messages are `waiting` too long
    or `dead`, `since`, the last `error`, and by which channels it was `told`), `steps` (by name: `ended_at`, `error`),
    `recorders`, `notes` (of the last day, see `core.notes`), `storage`. Raises StorageError where the database does
    not answer.
    """
    now = app.clock()
    stats = await app.repository.stats(now)
    return {
        "leading": app.token is not None,
        "now": now.isoformat(),
        "schedules": [await _schedule(app, named, now) for named in app.schedules],
        "outbox": await app.state.outbox_counts(),
        "dead": await _dead(app),
        "transports": [
            {"name": each.name, "closed_until": iso(app.circuits.closed_until.get(each.name))}
            for each in app.transports
        ],
        "undelivered": await _undelivered(app, now),
        "steps": {
            name: {"ended_at": health.ended_at.isoformat(), "error": health.error}
            for name, health in app.health.items()
        },
        "recorders": [
            {**asdict(each), "queued": each.queued, "started_at": iso(each.started_at), "seen_at": iso(each.seen_at)}
            for each in await app.repository.recorders(now)
        ],
        "notes": [as_json(note) for note in await _notes(app, now)],
        "storage": {
            "events": stats.events,
            "users": stats.users,
            "oldest": iso(stats.oldest),
            "newest": iso(stats.newest),
            "size_bytes": stats.size_bytes,
        },
    }


async def _dead(app: Application) -> list[dict[str, Any]]:
    return [
        {
            "id": item.id,
            "kind": item.message.kind,
            "channel": item.message.channel,
            "recipient": item.message.recipient,
            "created_at": item.created_at.isoformat(),
            "error": item.last_error,
        }
        for item in await app.state.outbox(status="dead", limit=SHOWN_DEAD)
    ]


async def _undelivered(app: Application, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "channel": each.channel,
            "recipient": each.recipient,
            "waiting": each.waiting,
            "dead": max(each.dead, each.new_dead),
            "since": iso(each.since),
            "error": each.error,
            "told": sorted({channel for channel, _ in each.outage.audience}) if each.outage else [],
        }
        for each in await app.stores.watch.undelivered(before=now - LONGEST_WAIT, tries=TRIES)
    ]


async def _notes(app: Application, now: datetime) -> list[Note]:
    critical = app.settings.critical_features
    return await noticed_lately(app.repository, now, critical_features=critical, elsewhere=app.usage.elsewhere)


async def _schedule(app: Application, named: NamedSchedule, now: datetime) -> dict[str, Any]:
    fire, covers = named.schedule.upcoming(now)
    zone = named.schedule.zone
    at, start, end = (edge.astimezone(zone).strftime("%Y-%m-%d %H:%M") for edge in (fire, *covers))
    return {
        "name": named.name,
        "when": str(named.schedule),
        "recipients": len(named.recipients),
        "last_period_end": iso(await app.state.last_period_end(named.name, now=app.clock())),
        "next_at": fire.isoformat(),
        "next_covers": {"start": covers.start.isoformat(), "end": covers.end.isoformat()},
        "sentence": f"next report goes out {at}, covering {start} to {end} ({zone.key})",
    }
