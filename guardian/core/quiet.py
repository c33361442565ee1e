"""Who went quiet: people who used the app regularly, hit an error, and have not come back since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tracker.event import Event

QUIET = timedelta(days=3)
"""A person not seen for this long went quiet; a weekend from Friday noon on is shorter."""
BEFORE = timedelta(days=14)
"""How far back before that a person's use is examined."""
REGULAR_REQUESTS, REGULAR_SPAN = 10, timedelta(days=2)
"""A person with at least this many requests, over at least this time, used the app regularly."""
LAST_THING = timedelta(minutes=10)
"""A visit ended with an error if the person left this soon after it."""
MOST = 20


class Visits(NamedTuple):
    """How often one user came in a window: from when their first request began to when their last one finished (µs)."""

    user: str
    requests: int
    first_us: int
    last_us: int


class Quiet(NamedTuple):
    """Somebody who went quiet: when they were last there, how many requests they made, and the last that failed."""

    email: str
    last_us: int
    requests_count: int
    error: Event


def quiet_window(start: datetime, end: datetime) -> tuple[datetime, datetime, datetime]:
    """What to read for a report on [start, end): (where the look back begins, and the [from, to) of last visits).

    Reports whose windows follow each other name everybody once: on the day that their silence has lasted for `QUIET`.
    """
    midnight = (start - QUIET - BEFORE).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight, start - QUIET, end - QUIET


def regular(visits: Iterable[Visits]) -> list[Visits]:
    """The people who used the app regularly."""
    span = REGULAR_SPAN // timedelta(microseconds=1)
    return [each for each in visits if each.requests >= REGULAR_REQUESTS and each.last_us - each.first_us >= span]


def gone_quiet(regulars: Iterable[Visits], failures: Mapping[str, Sequence[Event]]) -> list[Quiet]:
    """The regular users who have not come back after a visit that ended with an error; busiest first, at most 20.
    `failures` has each one's newest failed event.
    """
    found: list[Quiet] = []
    for user, requests, _, last_us in regulars:
        failed = failures.get(user)
        if failed and 0 <= last_us - failed[-1].at_us <= LAST_THING // timedelta(microseconds=1):
            found.append(Quiet(user, last_us, requests, failed[-1]))
    return sorted(found, key=lambda each: (-each.requests_count, each.email))[:MOST]
