"""When users were active, out of many requests: what their sessions are made of."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from itertools import compress, islice
from operator import lt, sub

from tracker.event import SESSION_GAP_US

Spans = dict[int, list[int]]
"""Per user when they began and ceased to be active, by turns and in order: without a gap of 30 minutes, in Unix
microseconds."""


class Activity:
    """When users were active in requests whose sessions are not stored yet.

    `since_us` is when the first of these requests ended, `until_us` when the last one did, in Unix microseconds.
    """

    def __init__(self) -> None:
        self.since_us, self.until_us = 2**63, -1
        # As long as all requests ended within 30 minutes nobody has two sessions in them: then it takes no more than
        # when each user began and ceased. By whole columns, and without a list a user, that costs a third.
        self._began: dict[int, int] = {}
        self._ceased: dict[int, int] = {}
        self._spans: Spans | None = None

    def add(
        self, at_us: Sequence[int], users: Sequence[int], durations_us: Sequence[int], anonymous: int | None
    ) -> None:
        """Take over requests that ended at these moments, in the order of time. The user `anonymous` has no session."""
        if not at_us:
            return
        known_until = self.until_us
        self.since_us, self.until_us = min(self.since_us, at_us[0]), max(known_until, at_us[-1])
        if self._spans is None and self.until_us - self.since_us >= SESSION_GAP_US:
            self._spans = {user: [start, self._ceased[user]] for user, start in self._began.items()}
        if self._spans is not None:
            _add(self._spans, at_us, users, durations_us, anonymous)
            return
        began, ceased = self._began, self._ceased
        starts = [*map(sub, at_us, durations_us)]
        earliest = [*map(began.setdefault, users, starts)]
        for user, start in compress(zip(users, starts, strict=True), map(lt, starts, earliest)):
            began[user] = min(began[user], start)
        late = bisect_left(at_us, known_until)
        for user, at in zip(users[:late], at_us[:late], strict=True):
            ceased[user] = max(ceased.get(user, at), at)
        # By way of a small dictionary: what is fetched of the large one overlaps then, which takes a fifth less.
        ceased.update(dict(zip(islice(users, late, None), islice(at_us, late, None), strict=True)))
        if anonymous is not None:
            began.pop(anonymous, None)
            ceased.pop(anonymous, None)

    def of(self, user: int) -> Sequence[int]:
        """When this one of the users was active, as in `Spans`."""
        return (self._began[user], self._ceased[user]) if self._spans is None else self._spans[user]

    def once(self, users: Sequence[int]) -> list[int]:
        """Of those of these users who were active without a gap: who, when they began and when they ceased, one after
        the other."""
        if self._spans is not None:
            return [number for user in users if len(mine := self._spans[user]) == 2 for number in (user, *mine)]
        rows = [0] * (3 * len(users))
        rows[::3] = users
        rows[1::3] = map(self._began.__getitem__, users)
        rows[2::3] = map(self._ceased.__getitem__, users)
        return rows

    def users(self) -> list[int]:
        """Who was active, each once."""
        return list(self._began if self._spans is None else self._spans)

    def keep(self, users: Set[int]) -> None:
        """Forget everybody else."""
        for gone in set(self.users()) - users:
            for each in (self._began, self._ceased, self._spans):
                if each is not None:
                    each.pop(gone, None)


def _add(
    spans: Spans, at_us: Sequence[int], users: Sequence[int], durations_us: Sequence[int], anonymous: int | None
) -> None:
    """See `Activity.add`."""
    known = spans.get
    for at, user, start in zip(at_us, users, map(sub, at_us, durations_us), strict=True):
        mine = known(user)
        if mine is None:
            if user != anonymous:
                spans[user] = [start, at]
        elif start - mine[-1] >= SESSION_GAP_US:
            mine += (start, at)
        elif start >= mine[-2] or (len(mine) == 2 and mine[0] - at < SESSION_GAP_US):
            if at > mine[-1]:
                mine[-1] = at
            if start < mine[-2]:
                mine[-2] = start
        else:
            together = join(sorted([*zip(mine[::2], mine[1::2], strict=True), (start, at)]))
            mine[:] = [moment for begin, end, _ in together for moment in (begin, end)]


def join(spans: Iterable[tuple[int, int, *tuple[int | None, ...]]]) -> list[tuple[int, int, list[int | None]]]:
    """Sessions out of spans in the order of their starts: (start, end, the ids of the spans in it)."""
    sessions: list[tuple[int, int, list[int | None]]] = []
    for start, end, *number in spans:
        if sessions and start - sessions[-1][1] < SESSION_GAP_US:
            begin, until, ids = sessions[-1]
            sessions[-1] = (begin, max(until, end), [*ids, *number])
        else:
            sessions.append((start, end, number))
    return sessions
