"""What happened in the hour before the demo: a release broke the chat, an alert named it, it was rolled back.

The requests are invented; the daemon's own code judges each minute and writes the mails, as if it had been running.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from guardian.application.delivering import deliver_all
from guardian.application.judging.steps import alert_step
from guardian.application.preview.traffic import USERS, invented
from guardian.application.root import Application
from guardian.core.off_loop import off_loop
from guardian.demo.app import prompt
from tracker.event import Event, Failure
from tracker.sink import opener
from tracker.source import Source
from tracker.tracebacks import frames_of, kind_of, location_of

GOOD, BAD = Source("2.4.0", "web-1"), Source("2.4.1", "web-1")
BEGUN, RELEASED, ROLLED_BACK, OVER = 58, 44, 32, 12
"""Minutes before the demo: from when on there is traffic, when the release came and went, and until when there is."""
A_MINUTE, RETURN = 14, 2
"""How many requests come in each minute, and for how many minutes after the rollback those who were hit try again."""
AWAY = tuple(f"{name}@example.com" for name in ("emma", "ivan", "noah", "olga"))
"""The people who hit the error and had not come back when Guardian wrote that it was over."""
SETTLED = timedelta(seconds=10)
"""How long after its end a minute is judged."""


async def play(app: Application) -> int:
    """Write the story into the database and judge it. Returns the number of its requests. Raises StorageError."""
    now = app.clock().replace(second=0, microsecond=0)
    written = await off_loop(_write, str(app.settings.database), now)
    for ago in range(BEGUN - 10, OVER - 1, -1):
        await alert_step(app, now - timedelta(minutes=ago) + SETTLED, None)
    return written


async def send(app: Application) -> None:
    """Deliver the mails that it caused."""
    await deliver_all(app, lambda: True)


def _write(database: str, now: datetime) -> int:
    written = 0
    for source, events in story(now):
        with closing(opener(database, made_by=source)()) as sink:
            written += sink.write(events)
    return written


def story(now: datetime, seed: int = 3) -> Iterator[tuple[Source | None, list[Event]]]:
    """The requests before `now`, a whole minute, and which release answered them; in the order of time. A week before,
    when nobody noted releases yet, all was well."""
    chance = random.Random(seed)
    week = now - timedelta(days=7)
    yield None, [invented(chance, week - timedelta(minutes=ago)) for ago in range(BEGUN, OVER, -1) for _ in range(8)]
    for source, first, last in ((GOOD, BEGUN, RELEASED), (BAD, RELEASED, ROLLED_BACK), (GOOD, ROLLED_BACK, OVER)):
        events = []
        for ago in range(first, last, -1):
            at = now - timedelta(minutes=ago)
            minute = [invented(chance, at) for _ in range(A_MINUTE)]
            if source is BAD and ago == ROLLED_BACK + 3:
                minute += [_chat(invented(chance, at), who) for who in AWAY]
            if ago <= ROLLED_BACK:
                minute = [event for event in minute if event.user not in AWAY]
            if ROLLED_BACK - RETURN < ago <= ROLLED_BACK:
                there = [who for who in USERS if who not in AWAY][ROLLED_BACK - ago :: RETURN]
                minute = [_chat(invented(chance, at), who) for who in there]
            events += [_broken(each) if source is BAD and each.feature == "chat_message" else each for each in minute]
        yield source, sorted(events, key=lambda event: event.at_us)


def _chat(event: Event, user: str) -> Event:
    return event._replace(
        user=user, endpoint="/api/chat/message", method="POST", feature="chat_message", status=200, failure=None
    )


def _broken(event: Event) -> Event:
    """The request as the release with the bug answered it, with its real exception."""
    try:
        prompt("", bug=True)
    except KeyError as error:
        failure = Failure(kind_of(error), "Internal Server Error", location_of(frames_of(error)[-1:]))
        return event._replace(status=500, failure=failure)
    raise AssertionError("the bug is gone")
