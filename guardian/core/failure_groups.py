"""Failed requests grouped by type and place: how many, the first and the last, and the people hit. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from guardian.core.off_loop import off_loop
from tracker.error_text import reason_phrase
from tracker.event import ANONYMOUS, Event, Failure

GroupKey = tuple[str, str, str, str, int]
"""The kind, the method, the endpoint, the last line of code, and the status."""


@dataclass(slots=True)
class FailureGroup:
    """Failed requests of one type at one place (`route`, and where an exception was seen its last line of code).

    `message` and `feature` are of the first of them. `people` counts the failures of each person; `first_us` and
    `last_us` are of the first and the last of them.
    """

    kind: str
    message: str
    route: str
    feature: str
    place: str
    status: int
    count: int = 0
    first_us: int = 0
    last_us: int = 0
    people: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its id in URLs, which depends only on type and place, so it stays the same."""
        text = "\0".join((self.kind, self.route, self.place, str(self.status)))
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()

    @property
    def met(self) -> int:
        """How many verified users it hit."""
        return len(self.people) - (ANONYMOUS in self.people)


def group_key(method: str, endpoint: str, status: int, failure: Failure | None) -> GroupKey:
    """Which group a failed request belongs to."""
    kind = failure.kind if failure else f"HTTP {status}"
    place = failure.location.rpartition("\n")[2] if failure else ""
    return kind, method, endpoint, place, status


def new_group(key: GroupKey, feature: str, failure: Failure | None, first_us: int) -> FailureGroup:
    """An empty group; `feature`, `failure` and `first_us` are those of its first request."""
    kind, method, endpoint, place, status = key
    message = failure.message if failure else reason_phrase(status)
    return FailureGroup(kind, message, f"{method} {endpoint}", feature, place, status, first_us=first_us)


def in_order(groups: Iterable[FailureGroup]) -> list[FailureGroup]:
    """The groups, the largest first."""
    return sorted(groups, key=lambda group: (-group.count, group.kind, group.route, group.place, group.status))


async def groups_of(chunks: AsyncIterator[list[Event]]) -> list[FailureGroup]:
    """All groups of failed events that come in the order of time, for a store that has no columns of them: holds the
    groups in memory and one chunk of events."""
    found: dict[GroupKey, FailureGroup] = {}
    async for chunk in chunks:
        await off_loop(_count, chunk, found)
    return in_order(found.values())


def _count(events: Iterable[Event], found: dict[GroupKey, FailureGroup]) -> None:
    for event in events:
        key = group_key(event.method, event.endpoint, event.status, event.failure)
        group = found.get(key)
        if group is None:
            group = found[key] = new_group(key, event.feature, event.failure, event.at_us)
        group.count += 1
        group.last_us = event.at_us
        group.people[event.user] = group.people.get(event.user, 0) + 1
