"""What every page says about the quality of its figures: whether everything was counted, how old the newest event is,
and how many requests are anonymous."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from guardian.application.noticing import LATELY
from guardian.application.root import Application
from guardian.core.clock import was_ahead
from guardian.core.language import Language
from guardian.core.note_words import note_words
from guardian.web.pages.page import View
from tracker.event import UNMATCHED

ALIVE = timedelta(minutes=2)
"""A process of the app says that it lives every 30 seconds when idle, and with each batch when busy."""
STALE = timedelta(minutes=15)
MANY = 0.2
"""From this share of requests without a user, or without a route, on, the bar shows the cure."""


@dataclass(frozen=True, slots=True)
class Honesty:
    """The counts of the app's processes of the last 7 days, with accepted = stored + dropped + queued, and how many of
    the `requests` of the last day nobody can be given, or no route.

    `age` is that of the newest event (seconds; None: there is none); `alive` of `known` processes wrote within two
    minutes.
    """

    accepted: int
    stored: int
    dropped: int
    queued: int
    age: int | None
    alive: int
    known: int
    requests: int
    anonymous: int
    unmatched: int


async def read_honesty(view: View) -> Honesty:
    """What the database says of it, read at most every 9 seconds. Raises StorageError."""
    return await view.app.glances.take("honesty", lambda: _read(view.app), now=view.now, fresh=timedelta(seconds=9))


async def _read(app: Application) -> Honesty:
    now = app.clock()
    start = (now - LATELY).replace(minute=0, second=0, microsecond=0)  # a full hour: sealed summaries begin there
    day = await app.repository.counts(start, now + timedelta(minutes=1))
    newest = await app.repository.newest_event(now)
    found = [each for each in await app.repository.recorders(now) if not was_ahead(each.seen_at, now)]
    return Honesty(
        accepted=sum(each.accepted for each in found),
        stored=sum(each.stored for each in found),
        dropped=sum(each.dropped for each in found),
        queued=sum(each.queued for each in found),
        age=None if newest is None else max(0, int((now - newest).total_seconds())),
        alive=sum(now - each.seen_at <= ALIVE for each in found),
        known=len(found),
        requests=day.requests,
        anonymous=day.anonymous,
        unmatched=sum(t.requests for route, t in day.routes.items() if route.feature.startswith(UNMATCHED)),
    )


def honesty_words(found: Honesty, lang: Language) -> list[dict[str, str]]:
    """The parts of the bar, each with a `label`, its `text`, `tone` ("good", "bad", or "" for neither) and a `cure`
    ("" for none)."""
    number = lang.number
    sums = lang(
        "%(accepted)s accepted = %(stored)s stored + %(dropped)s dropped + %(queued)s queued",
        accepted=number(found.accepted), stored=number(found.stored),
        dropped=number(found.dropped), queued=number(found.queued),
    )  # fmt: skip
    lost = lang("The app's log says why events were dropped; System has each process.") if found.dropped else ""
    age = lang("none yet") if found.age is None else lang("%(time)s ago", time=lang.duration(found.age))
    old = found.age is None or found.age > STALE.total_seconds()
    alive = lang.plural("%(n)s alive", "%(n)s alive", found.alive)
    dead = lang("No process of the app has written for two minutes: is it running, with this database?")
    parts = [
        {"label": lang("Events"), "text": sums, "tone": "bad" if found.dropped else "good", "cure": lost},
        {"label": lang("Newest"), "text": age, "tone": "bad" if old else "good", "cure": ""},
        {"label": lang("Recorders"), "text": alive, "tone": "good" if found.alive else "bad",
         "cure": "" if found.alive else dead},
    ]  # fmt: skip
    for label, kind, count in (
        (lang("Anonymous"), "anonymous", found.anonymous),
        (lang("Unmatched"), "unmatched", found.unmatched),
    ):
        share = count / found.requests if found.requests else 0.0
        cure = note_words(kind, count, "", lang)[1] if share > MANY else ""
        tone = "bad" if share > MANY else "good" if found.requests else ""
        parts.append({"label": label, "text": lang.percent(share), "tone": tone, "cure": cure})
    return parts
