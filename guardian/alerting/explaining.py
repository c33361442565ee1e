"""Why an incident happens: what its bad requests have in common, found by comparing samples of two periods. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np

from guardian.alerting.dimensions import (
    KNOWN,
    dimension_of,
    dimensions_of,
    failed_by,
    hours_of,
    is_nobody,
    of_feature,
    share_of,
    ways_of,
)
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import window_of
from guardian.alerting.sample import NO_SAMPLE, Released, Sample
from guardian.alerting.slowness import slow_cause
from guardian.alerting.whom import NOBODY, Whom
from guardian.core.cause import NOTHING_FOUND, PERIOD_BEFORE, Cause, Way, commonest_way, find_cause
from guardian.core.counting import distinct
from tracker.event import NOTED

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

DAY, WEEK = 86400, 7 * 86400
MOST_LEAD = 6 * 3600
"""The most seconds before an incident that are compared with it."""

Read = Callable[[int, int], Sample]
"""Gives the sample of [start, end), µs."""
Of = Literal["failed", "slow", "missing", "more", "alone"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about the cause. `of` says which requests are explained, `way` the new way in which they fail, and
    `days` how many days earlier the comparison period lies (0: there is none). `others` says how many other people met
    one person's errors, and how many others there were (None for other rules). `released` lists the releases shortly
    before or during it, in order; `whom` whom it hit, where that was asked for."""

    of: Of = "failed"
    cause: Cause = NOTHING_FOUND
    way: Way | None = None
    days: int = 0
    others: tuple[int, int] | None = None
    released: tuple[Released, ...] = ()
    whom: Whom = NOBODY

    def named(self, name: Callable[[str], str]) -> Explanation:
        """The same with people written as `name` writes them."""
        return replace(self, cause=self.cause.named(name), whom=self.whom.named(name))


UNEXPLAINED = Explanation()
"""Nothing is known about the cause."""


def explain(rule: Rule, incident: Incident, now_us: int, read: Read) -> Explanation:
    """What the requests tell about the cause of this incident. It reads from some time before the start to the end (or
    now), and the same time a week earlier, or a day earlier where that has more requests and the week too few. An
    unusual volume of traffic that lasts longer than this distance is compared for its first week (or day) only. An
    incident that started again is explained from its latest start: another release may be to blame this time."""
    kind = kind_of(rule)
    if kind.bad is None and not kind.traffic:
        return UNEXPLAINED
    end_us = now_us if incident.over_us is None else min(now_us, incident.over_us + SECOND)
    start_us = min(incident.again_us or incident.first_us, end_us)
    if kind.traffic:
        start_us = min(start_us, end_us - window_of(rule) * SECOND)
    lead_us = 0 if kind.traffic else min(max(window_of(rule) * SECOND, end_us - start_us), MOST_LEAD * SECOND)

    def of(first_us: int, last_us: int) -> Sample:
        return of_feature(read(first_us, last_us), kind.feature(incident))

    days, before = 0, NO_SAMPLE
    for back in (7, 1):
        back_us = back * DAY * SECOND
        until_us = min(end_us - back_us, start_us)  # must not overlap the incident
        found = of(start_us - lead_us - back_us, until_us)
        if found.requests > before.requests:
            days, before = back, found
        if before.requests >= KNOWN:
            break
    if kind.traffic and days:
        end_us = min(end_us, start_us + days * DAY * SECOND)  # no longer than the period compared with
    now = of(start_us - lead_us, end_us)
    if kind.of_one_user:
        return _alone(incident, now, before, start_us, days)
    if kind.traffic:
        return Explanation("more" if kind.traffic > 0 else "missing", _moved(now, before, kind.traffic), days=days)
    return _of_bad_requests(rule, incident, now, before, start_us, days)


def _of_bad_requests(
    rule: Rule, incident: Incident, now: Sample, before: Sample, start_us: int, days: int
) -> Explanation:
    bad_of = kind_of(rule).bad
    assert bad_of is not None
    flags, then = bad_of(rule, incident, now), bad_of(rule, incident, before)
    now, flags = now.only(flags >= 0), flags[flags >= 0]
    before, then = before.only(then >= 0), then[then >= 0]
    slow = kind_of(rule).slow is not None
    earlier = now.at_us < start_us
    way = None
    if not slow:
        during, same_time = ~earlier, before.at_us >= start_us - days * DAY * SECOND
        numbers = now.only(during).requests, before.only(same_time).requests
        way = commonest_way(ways_of(now, flags, during), ways_of(before, then, same_time), *numbers)
    alike, then, noise = _alike(way, now, flags, before, then)
    base = share_of(before, then)
    if base is None:
        base = share_of(now.only(earlier), alike[earlier]) or 0.0
    cause = find_cause(
        flags == 1, dimensions_of(now, before, then), base=base, weight=now.weight, noise=noise, during=~earlier
    )
    if slow:
        cause = slow_cause(cause, now, flags, before, then, earlier)
    return Explanation("slow" if slow else "failed", cause, way, days)


def _alike(
    way: Way | None, now: Sample, flags: np.ndarray, before: Sample, then: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Flags of the requests that failed in this way, now and before, and of those that failed now in another way, which
    are left out."""
    if way is None:
        return flags, then, None
    alike = flags * failed_by(way, now)
    return alike, then * failed_by(way, before), flags != alike


def explain_change(
    now: Sample,
    before: Sample,
    *,
    of: Literal["failed", "more", "missing"] = "failed",
    feature: str = "",
    status: str = "",
    days: int = PERIOD_BEFORE,
    zone: ZoneInfo,
) -> Explanation:
    """Why a report's period differs from the one it is compared with: why more requests of the `feature`, or with the
    `status`, failed, or whose requests of the feature grew or shrank. `days` as in `MovedCause`; hours of the day are
    those of the zone."""
    now, before = (of_feature(each, feature or None) for each in (now, before))
    if of != "failed":
        return Explanation(of, _moved(now, before, 1 if of == "more" else -1), days=days)
    flags, then = (_failed(each, status) for each in (now, before))
    ways = [ways_of(each, bad, np.ones(len(each), bool)) for each, bad in ((now, flags), (before, then))]
    way = commonest_way(ways[0], ways[1], now.requests, before.requests)
    _, then, noise = _alike(way, now, flags, before, then)
    base = share_of(before, then) or 0.0
    dimensions = [*dimensions_of(now, before, then), *hours_of(now, before, then, zone)]
    cause = find_cause(flags == 1, dimensions, base=base, weight=now.weight, noise=noise)
    return Explanation(of, cause, way, days)


def _failed(sample: Sample, status: str) -> np.ndarray:
    """1 for each request that failed, with this status if one is given."""
    same = sample.status % NOTED == int(status) if status else True
    return ((sample.status >= 400) & same).astype(np.int8)


def _moved(now: Sample, before: Sample, traffic: int) -> Cause:
    """Which feature or person accounts for the growth or loss of requests: its requests lie mostly in one of the two
    periods, where an unchanged value has half of them in each. Traffic with nothing to compare with is not
    explained."""
    if traffic > 0 and not len(before):
        return NOTHING_FOUND
    flags = np.concatenate([np.full(len(now), traffic > 0), np.full(len(before), traffic < 0)])
    dimensions = [dimension_of(name, (now, before)) for name in ("feature", "person")]
    cause = find_cause(flags, dimensions, base=0.5, weight=np.concatenate([now.weight, before.weight]))
    return replace(cause, found=cause.found[:1])


def _alone(incident: Incident, now: Sample, before: Sample, start_us: int, days: int) -> Explanation:
    """Which error one person meets, and how many others meet it too."""
    same_time = before.at_us >= start_us - days * DAY * SECOND
    during, then = _of(incident.subject, now, now.at_us >= start_us), _of(incident.subject, before, same_time)
    met, usual = (ways_of(each, each.failure >= 0, np.ones(len(each), dtype=bool)) for each in (during, then))
    way = commonest_way(met, usual, during.requests, then.requests)
    return Explanation("alone", way=way, days=days, others=_others(incident, now, start_us, way))


def _of(person: str, sample: Sample, when: np.ndarray) -> Sample:
    """This person's requests among those flagged in `when`."""
    number = sample.users.index(person) if person in sample.users else -1
    return sample.only(when & (sample.user == number))


def _others(incident: Incident, sample: Sample, start_us: int, way: Way | None) -> tuple[int, int] | None:
    """How many other people met this person's most frequent error (or any of theirs, where none stands out), and how
    many other people there were; None where that is not known."""
    during = sample.only(sample.at_us >= start_us)
    mine = during.users.index(incident.subject) if incident.subject in during.users else -1
    known = np.array([not is_nobody(name) for name in during.users] + [False])[during.user]
    failed = during.failure >= 0
    theirs = failed & (during.user == mine)
    if way is not None:
        theirs &= failed_by(way, during) == 1
    places = distinct(during.failure[theirs])
    if not len(places):
        return None
    others = known & (during.user != mine)
    same = others & failed & np.isin(during.failure, places)
    return len(distinct(during.user[same])), len(distinct(during.user[others]))
