"""Mergeable totals of a window of time: a month is the sum of its days."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import accumulate
from math import ceil, exp, floor, log
from typing import NamedTuple, TypeVar

from tracker.event import ANONYMOUS, NOT_MEASURED, SESSION_GAP_US, Event

RATIO = 1.02
"""Two durations in one bin of the histogram differ by less than 2 %, so a bin's middle is within 1 % of either."""
WEBSOCKET = 101
"""The status of a WebSocket that went well. It lasts by design: without a latency, as of version 0.1, it has no bin."""
_LOG_RATIO = log(RATIO)

Key = TypeVar("Key")


class Route(NamedTuple):
    """What requests are grouped by."""

    feature: str
    endpoint: str
    method: str


def fits(feature: str, patterns: Iterable[str]) -> bool:
    """Whether the name of a feature fits one of the patterns, in which * stands for any letters."""
    return any(fnmatchcase(feature, pattern) for pattern in patterns)


@dataclass(slots=True)
class UserTotals:
    """One user's part of a window.

    `first_start_us` is when the first request to finish had begun, `last_us` when the last one finished, `active_us`
    the length of the user's sessions (see `active_after`); `features` counts requests by feature.
    """

    requests: int = 0
    errors: int = 0
    server_errors: int = 0
    first_start_us: int = 0
    last_us: int = 0
    active_us: int = 0
    features: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class RouteTotals:
    """One route's part: requests by outcome (`Event.outcome`), and how many latencies fell into each bin (`bin_of`)."""

    statuses: dict[int, int] = field(default_factory=dict)
    durations: Mapping[int, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """One bar of a timeline: from `start` on, `requests`, `errors` and how many verified users were active."""

    start: datetime
    requests: int
    errors: int
    active_users: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals of a window without its people and latencies: how many verified users there were, all requests, those that
    failed, the outcomes of each route, and how many requests nobody can be given; `bars` where they were asked for."""

    active_users: int
    requests: int
    errors: int
    routes: Mapping[Route, RouteTotals]
    anonymous: int = 0
    bars: Sequence[TimelineBar] = ()

    def statuses(self) -> dict[int, int]:
        """Requests by outcome, over all routes."""
        return statuses_of(self.routes)

    @property
    def server_errors(self) -> int:
        """How many requests hit a server error."""
        return sum(number for outcome, number in self.statuses().items() if outcome >= 500)


@dataclass(slots=True)
class Summary:
    """Totals per user and per route. Made by `of`, joined by `merge_all`; never changed after that.

    A user is an e-mail address, or in a store the number that stands for one.
    """

    users: dict[str, UserTotals] = field(default_factory=dict)
    routes: dict[Route, RouteTotals] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Summary:
        """The summary of events in the order of time."""
        users: dict[str, UserTotals] = {}
        routes, bins = dict[Route, RouteTotals](), dict[Route, dict[int, int]]()
        for event in events:
            at_us, email, endpoint, method, feature, _, duration_us, _, latency_us, _ = event
            status = event.outcome
            user = users.get(email)
            if user is None:
                user = users[email] = UserTotals(first_start_us=at_us - duration_us, last_us=at_us)
                user.active_us = duration_us
            else:
                user.active_us += active_after(user.last_us, at_us - duration_us, at_us)
                user.last_us = at_us
            user.requests += 1
            user.errors += status >= 400
            user.server_errors += status >= 500
            user.features[feature] = user.features.get(feature, 0) + 1
            key = Route(feature, endpoint, method)
            route = routes.get(key)
            if route is None:
                route = routes[key] = RouteTotals(durations=bins.setdefault(key, {}))
            route.statuses[status] = route.statuses.get(status, 0) + 1
            if latency_us == NOT_MEASURED or (latency_us is None and event.status == WEBSOCKET):
                continue
            slot, took = bin_of(duration_us if latency_us is None else latency_us), bins[key]
            took[slot] = took.get(slot, 0) + 1
        return cls(users, routes)

    def statuses(self) -> dict[int, int]:
        """Requests by outcome, over all routes."""
        return statuses_of(self.routes)

    def counts(self) -> Counts:
        """The same without people and latencies."""
        routes = {route: RouteTotals(totals.statuses) for route, totals in self.routes.items()}
        nobody = self.users.get(ANONYMOUS)
        return Counts(self.active_users, self.requests, self.errors, routes, nobody.requests if nobody else 0)

    @property
    def active_users(self) -> int:
        """How many verified users there were."""
        return sum(name != ANONYMOUS for name in self.users)

    @property
    def requests(self) -> int:
        """All requests, the anonymous ones too."""
        return sum(user.requests for user in self.users.values())

    @property
    def errors(self) -> int:
        """All requests that failed."""
        return sum(user.errors for user in self.users.values())


def statuses_of(routes: Mapping[Route, RouteTotals]) -> dict[int, int]:
    """Requests by outcome, over all these routes."""
    total: dict[int, int] = {}
    for route in routes.values():
        _add(total, route.statuses)
    return total


def active_after(last_us: int, start_us: int, at_us: int) -> int:
    """What a request that ran from `start_us` to `at_us` adds to its user's active time, after one that ended at
    `last_us`: the time since then, or where 30 minutes passed without anything, its own duration."""
    return at_us - start_us if start_us - last_us >= SESSION_GAP_US else at_us - last_us


def merge(earlier: Summary, later: Summary) -> Summary:
    """The summary of two windows, `later` following `earlier`; associative, with `Summary()` neutral."""
    return merge_all((earlier, later))


def merge_all(summaries: Iterable[Summary]) -> Summary:
    """The summary of adjacent windows, in the order of time; the given ones stay as they are."""
    total, bins = Summary(), dict[Route, dict[int, int]]()
    for summary in summaries:
        for email, user in summary.users.items():
            known = total.users.get(email)
            if known is None:
                total.users[email] = replace(user, features=dict(user.features))
            else:
                _follow(known, user)
        for key, route in summary.routes.items():
            mine = total.routes.get(key)
            if mine is None:
                took = bins.setdefault(key, dict(route.durations))
                total.routes[key] = RouteTotals(dict(route.statuses), took)
            else:
                _add(mine.statuses, route.statuses)
                _add(bins[key], route.durations)
    return total


def _follow(a: UserTotals, b: UserTotals) -> None:
    """Count into `a` what the same user did in the next window."""
    a.requests += b.requests
    a.errors += b.errors
    a.server_errors += b.server_errors
    # In `b` alone the first request opened a session; after `a` it may continue one.
    gap = b.first_start_us - a.last_us
    a.active_us += b.active_us + (gap if gap < SESSION_GAP_US else 0)
    a.last_us = b.last_us
    _add(a.features, b.features)


def _add(total: dict[Key, int], counts: Mapping[Key, int]) -> None:
    for key, number in counts.items():
        total[key] = total.get(key, 0) + number


def active_minutes(user: UserTotals, window_start_us: int) -> int:
    """The user's active time in whole minutes, half rounded up; what a first request did before the window is cut."""
    active = user.active_us - max(0, window_start_us - user.first_start_us)
    return (active + 30_000_000) // 60_000_000


def bin_of(duration_us: int) -> int:
    """The bin of a duration: bins grow by 2 %; 0 µs has one of its own."""
    return -1 if duration_us <= 0 else floor(log(duration_us) / _LOG_RATIO)


def quantile_ms(durations: Mapping[int, int], q: float) -> float | None:
    """The q-quantile (nearest rank) of binned durations, in milliseconds, within 1 %; None without any."""
    return quantiles_ms(durations, (q,))[0]


def quantiles_ms(durations: Mapping[int, int], qs: Sequence[float]) -> list[float | None]:
    """Several quantiles of the same durations, as `quantile_ms` gives them."""
    sums = list(accumulate(map(durations.__getitem__, slots := sorted(durations))))
    if not sums or not sums[-1]:
        return [None] * len(qs)
    return [middle_ms(slots[bisect_left(sums, max(1, ceil(q * sums[-1])))]) for q in qs]


def middle_ms(slot: int) -> float:
    """The duration that stands for a bin, in milliseconds."""
    return 0.0 if slot < 0 else exp((slot + 0.5) * _LOG_RATIO) / 1000
