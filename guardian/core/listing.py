"""Everybody who was there in a window, a page at a time: most errors first, then most requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from guardian.core.activity import Active, Activity
from guardian.core.time import micros, moment
from guardian.core.unlinked import is_unlinked
from tracker.event import Event

MAX_USERS = 1_000
"""The default for how many people mails and the API's summary name; a report's file names all."""
_LARGEST = 2**63 - 1
_CURSOR = re.compile(r"\d{1,19}(-\d{1,19}){4}", re.ASCII)


class Place(NamedTuple):
    """Where a page ended: the errors and requests of its last person.

    `tie`, a number of the store's own, orders those who have the same. It holds no name, since it goes into addresses.
    """

    errors: int
    requests: int
    tie: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Some people of a window, in order, and the newest 20 failed requests of each, oldest first; erased people are
    left out.

    `last` is where the next page begins, None on the last page.
    """

    users: Sequence[Active] = ()
    failures: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    last: Place | None = None


def listed(everybody: Activity, after: Place | None, most: int) -> Listing:
    """The next `most` people of a window, for a store that has all of them at hand; the tie is the place by name."""
    users = sorted(
        (user for user in everybody.users if not is_unlinked(user.name)),
        key=lambda user: (-user.errors, -user.requests, user.name),
    )
    placed: list[tuple[Place, Active]] = []
    for user in users:
        before = placed[-1][0] if placed else None
        same = before is not None and before[:2] == (user.errors, user.requests)
        placed.append((Place(user.errors, user.requests, before.tie + 1 if before and same else 1), user))
    if after is not None:
        placed = [each for each in placed if _order(each[0]) > _order(after)]
    page = placed[:most]
    names = {user.name for _, user in page}
    return Listing(
        [user for _, user in page],
        {name: failed for name, failed in everybody.failures.items() if name in names},
        page[-1][0] if len(placed) > most else None,
    )


def _order(place: Place) -> tuple[int, int, int]:
    return -place.errors, -place.requests, place.tie


def cursor_of(start: datetime, end: datetime, place: Place) -> str:
    """The text by which the next page of the window [start, end) is asked for."""
    return "-".join(map(str, (micros(start), micros(end), *place)))


def read_cursor(text: str) -> tuple[datetime, datetime, Place]:
    """The window and the place that a cursor means. Raises ValueError for what is none."""
    if not _CURSOR.fullmatch(text):
        raise ValueError("this is no cursor")
    first, last, *place = map(int, text.split("-"))
    if not first < last or max(place) > _LARGEST:
        raise ValueError("this is no cursor")
    try:
        return moment(first), moment(last), Place(*place)
    except (OverflowError, OSError) as error:
        raise ValueError("this is no cursor") from error
