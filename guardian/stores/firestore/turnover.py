"""Who came and went, from sealed summaries in Firestore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from guardian.core.quiet import LAST_THING
from guardian.core.time import micros
from guardian.core.totals import Totals
from guardian.core.turnover import MOST_BACK, Presence, Turnover, steady, turnover
from guardian.stores.firestore.answers import Answer, newest_of
from guardian.stores.firestore.buckets import DAY
from guardian.stores.firestore.slices import AT, PERSON, ROUTE

_US = timedelta(microseconds=1)
_AT_ONCE = 30 * DAY
"""How much of the time before all windows (µs) is held in memory at once."""


def read_turnover(answer: Answer, edges: Sequence[datetime]) -> Turnover:
    """See `UsageRepository.turnover`."""
    times = [micros(edge) for edge in edges]
    begin = min(_begin(answer, times[-2]), times[0])
    before = [answer.totals(answer.windows.pieces(span), active=False).users[:, 0] for span in _pieces(begin, times[0])]
    windows = [answer.totals(answer.windows.pieces(span), active=False) for span in pairwise(times)]
    found = _presence(answer, before, windows)
    failed = _failed(answer, found, times[-3], times[-2])
    return turnover(found, failed, edges, answer.names)


def _begin(answer: Answer, before_us: int) -> int:
    """How far back people are looked for: to the start of a full day, since days are all that is left where single
    events are gone."""
    first = max(before_us - MOST_BACK // _US, answer.windows.progress.forgotten_us or 0, 0)
    return -(-first // DAY) * DAY


def _pieces(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """[begin, end) in pieces that end with full days."""
    while begin < end:
        until = min((begin + _AT_ONCE) // DAY * DAY, end)
        yield begin, until
        begin = until


def _presence(answer: Answer, before: Sequence[np.ndarray], windows: Sequence[Totals]) -> Presence:
    people = [np.concatenate([np.zeros(0, np.int64), *before]), *(each.users[:, 0] for each in windows)]
    size = max((int(each.max(initial=-1)) for each in people), default=-1) + 1
    there = np.zeros((len(people), size), bool)
    for row, each in enumerate(people):
        there[row, each] = True
    requests, last_us, first_us = np.zeros((2, size), np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64)
    features = sorted({route.feature for route in answer.routes.values()})
    place = {feature: n for n, feature in enumerate(features)}
    feature_of = np.array([place[answer.routes[number].feature] for number in sorted(answer.routes)], np.int64)
    counts = []
    for row, totals in enumerate(windows[-2:]):
        users = totals.users
        requests[row, users[:, 0]] = users[:, 1]
        if row:
            first_us[users[:, 0]] = users[:, 4]
        else:
            last_us[users[:, 0]] = users[:, 5]
        used = np.zeros((size, len(features)), bool)
        used[totals.used[:, 0], feature_of[totals.used[:, 1]]] = True
        if answer.nobody >= 0:
            used[answer.nobody] = False
        counts.append(used.sum(axis=0))
    if 0 <= answer.nobody < size:
        there[:, answer.nobody] = False
    return Presence(there, requests, last_us, first_us, np.stack(counts), features)


def _failed(answer: Answer, found: Presence, start_us: int, end_us: int) -> Mapping[int, str]:
    """For each steady person who hit an error right before they left, its feature."""
    table = newest_of(answer, answer.windows.pieces([start_us, end_us]), 1)
    persons, flags, failed = answer.persons(table.people), steady(found.there), dict[int, str]()
    for at_us, place, route in table.rows[:, [AT, PERSON, ROUTE]].tolist():
        person = int(persons[place])
        if person < len(flags) and flags[person] and 0 <= found.last_us[person] - at_us <= LAST_THING // _US:
            failed[person] = table.routes[route].feature
    return failed
