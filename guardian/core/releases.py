"""What changed since a release: the figures of the time after it, compared with the same time before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from guardian.core.chance import LEVEL, beyond_chance, shares_differ
from guardian.core.summary import quantile_ms

MOST = 10
"""How many of the newest releases a report shows."""
FEWEST = 50
"""With fewer requests on either side no comparison is made."""
LEAST_ERRORS, LEAST_TIMES = 5, 1.5
"""Failures, slow requests and traffic have changed if they grew or shrank by this factor; and there must be this many
more or fewer failed or slow requests than expected."""
NEAR = 0.01
"""Shares that differ by less than this count as equal."""
Measure = Literal["errors", "latency", "requests"]


@dataclass(frozen=True, slots=True)
class Since:
    """The requests of [`start`, `end`): how many, how many failed, and 95 % within which time; None where none has a
    latency."""

    start: datetime
    end: datetime
    requests: int
    errors: int
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Release:
    """A release that answered for the first time at the start of `since`, which ends with the next one or the report.

    `before` is the same time in what the report is compared with, None where that was not recorded. `compared` has of
    what it can be said whether it moved, `moved` what is not as it was; both are empty with too few requests.
    """

    release: str
    since: Since
    before: Since | None = None
    compared: tuple[Measure, ...] = ()
    moved: tuple[Measure, ...] = ()


Bins = Mapping[int, int]
"""How many latencies fell into each bin (`guardian.core.summary.bin_of`)."""


def p95(bins: Bins) -> float | None:
    """The 95 % quantile of the latencies in milliseconds; None without any."""
    value = quantile_ms(dict(sorted(bins.items())), 0.95)
    return None if value is None else round(value, 2)


def judged(found: Sequence[tuple[Release, Bins, Bins]]) -> tuple[Release, ...]:
    """The releases with what moved since: each comes with the latencies behind it, and those of the time before."""
    return tuple(_judged(release, now, before, LEVEL / len(found)) for release, now, before in found)


def _judged(release: Release, now: Bins, then: Bins, level: float) -> Release:
    since, before = release.since, release.before
    if before is None or min(since.requests, before.requests) < FEWEST:
        return release
    asked: list[tuple[Measure, tuple[int, int, int, int]]] = [
        ("errors", (since.errors, since.requests, before.errors, before.requests))
    ]
    timed, timed_before = sum(now.values()), sum(then.values())
    if min(timed, timed_before) >= FEWEST:
        edge = _slow_from(then)
        slow, slow_before = (sum(n for slot, n in bins.items() if slot > edge) for bins in (now, then))
        asked.append(("latency", (slow, timed, slow_before, timed_before)))
    certain = beyond_chance([shares_differ(*shares) for _, shares in asked], level)
    compared, moved = list[Measure](), list[Measure]()
    for (name, shares), beyond in zip(asked, certain, strict=True):
        if beyond and _much(*shares):
            moved.append(name)
        if beyond or _near(*shares):  # otherwise it might be chance
            compared.append(name)
    if not 1 / LEAST_TIMES < since.requests / before.requests < LEAST_TIMES:
        moved.append("requests")
    return replace(release, compared=(*compared, "requests"), moved=tuple(moved))


def _slow_from(bins: Bins) -> int:
    """The bin in which the slowest 5 % begin."""
    left = 0.95 * sum(bins.values())
    for slot in sorted(bins):
        left -= bins[slot]
        if left <= 0:
            return slot
    return max(bins)


def _near(some: int, of: int, others: int, of_others: int) -> bool:
    """Whether both shares are so much alike that nothing has moved, whatever chance has added."""
    one, other = some / of, others / of_others
    return abs(one - other) < NEAR or max(one, other) < LEAST_TIMES * min(one, other)


def _much(some: int, of: int, others: int, of_others: int) -> bool:
    there_would_be = others * of / of_others
    more, less = max(some, there_would_be), min(some, there_would_be)
    return more - less >= LEAST_ERRORS and more >= LEAST_TIMES * less
