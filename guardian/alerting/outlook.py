"""Which minutes of the past have to be judged, rule by rule. In the others the outcome is known in advance."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings
from guardian.alerting.history import History
from guardian.alerting.incidents import GOING_ON, NOTHING_KNOWN, SECOND, Memory
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import window_of
from guardian.alerting.minutes import Minutes

if TYPE_CHECKING:
    from guardian.settings.rules import Rule


class Outlook:
    """The minutes first … last of a history (since 1970), examined all at once before they are judged in order.

    A rule is skipped in a minute in which it cannot fire and has no incident going on, and in a minute in which it
    keeps firing as before and will in the next. `breaks` are minutes, ascending, at whose start an incident may be
    ended from outside, so they are not skipped.
    """

    def __init__(
        self, history: History, around: Surroundings, first: int, last: int, breaks: Sequence[int] = ()
    ) -> None:
        self._breaks = breaks
        self._first, self._last, self._changes = first, last, bool(around.maintenance)
        self._rules = {rule.name: rule for rule in around.rules}
        minutes = Minutes(history, first, last)
        found = {r.name: None if history.earlier else kind_of(r).calm(r, minutes) for r in around.rules}
        self._calm = {name: calm for name, calm in found.items() if calm is not None}
        self._may_fire = {name: np.flatnonzero(calm.may_fire) + first for name, calm in self._calm.items()}
        self._judged = dict.fromkeys(self._rules, first - 1)
        self._asked: dict[str, tuple[Memory, int]] = {}
        self._well: dict[tuple[str, str], np.ndarray] = {}
        self._steady: dict[tuple[str, frozenset[str]], np.ndarray] = {}

    def next(self, state: AlertState, minute: int) -> int:
        """The first minute, not before `minute`, in which anything may happen; the one after the last if nothing
        does."""
        if minute > self._last or self._changes or state.held or len(self._calm) < len(self._rules):
            return minute
        if state.memories.keys() - self._rules:
            return minute
        return min((self._asked_next(name, state, minute) for name in self._rules), default=self._last + 1)

    def prepared(self, state: AlertState, minute: int) -> tuple[AlertState, Collection[str]]:
        """The state in which every rule to be judged in this minute has the memory that it would have had it been
        judged in each minute before; and the names of the other rules, which are skipped."""
        idle, caught_up = [], {}
        for name in self._calm:
            if self._asked_next(name, state, minute) > minute:
                idle.append(name)
                continue
            if self._judged[name] < minute - 1:
                caught_up[name] = self._caught_up(name, state.memories.get(name, NOTHING_KNOWN), minute)
            self._judged[name] = minute
        return (replace(state, memories={**state.memories, **caught_up}) if caught_up else state), idle

    def _asked_next(self, name: str, state: AlertState, minute: int) -> int:
        """The first minute, not before `minute`, in which this rule has to be judged; the one after the last if there
        is none."""
        memory = state.memories.get(name, NOTHING_KNOWN)
        known, then = self._asked.get(name, (None, 0))
        if known is not memory or then < minute or self._changes:
            then = self._find_next(name, memory, state, minute)
            self._asked[name] = memory, then
        return then

    def _find_next(self, name: str, memory: Memory, state: AlertState, minute: int) -> int:
        rule = self._rules[name]
        if memory.fixed_us or name not in self._calm:
            return minute
        if memory.latest:
            return self._end_of_steady(rule, memory, state, minute)
        reach_us = max(2 * window_of(rule), kind_of(rule).counts_back(rule)) * SECOND
        if state.maintained_us and minute * MINUTE_US - state.maintained_us <= reach_us:
            return minute
        place = int(np.searchsorted(self._may_fire[name], minute))
        return int(self._may_fire[name][place]) if place < len(self._may_fire[name]) else self._last + 1

    def _end_of_steady(self, rule: Rule, memory: Memory, state: AlertState, minute: int) -> int:
        """The last minute of a stretch in which exactly the incidents of the last judged minute keep firing: it has to
        be judged."""
        calm, latest, repeat_us = self._calm[rule.name], memory.latest, rule.repeat * SECOND
        judged_us, end = self._judged[rule.name] * MINUTE_US, self._last
        cut = self._changes or state.maintained_us or memory.ahead_us
        if cut or state.held or not latest.keys() <= calm.values.keys():
            return minute
        for incident in latest.values():
            plain = incident.fired_us == judged_us and incident.silenced_until_us is None and not incident.under
            if not plain or incident.closing or incident.status not in GOING_ON:
                return minute
            if incident.status == "open" and incident.told_us is not None and repeat_us > 0:
                end = min(end, -(-(incident.told_us + repeat_us) // MINUTE_US))
        place = bisect_left(self._breaks, minute)
        if place < len(self._breaks):
            end = min(end, self._breaks[place] - 1)
        key = rule.name, frozenset(latest)
        if key not in self._steady:
            firing = np.all([~np.isnan(calm.values[subject]) for subject in latest], axis=0)
            alone = firing & (calm.may_fire == len(latest))
            self._steady[key] = ~(alone & np.append(firing[1:], False))
        changes = self._steady[key][minute - self._first :]
        return max(minute, min(end, minute + int(np.argmax(changes))))

    def _caught_up(self, name: str, memory: Memory, minute: int) -> Memory:
        """The memory as it would be if the skipped minutes before this one had been judged."""
        calm, judged = self._calm[name], self._judged[name]
        good = {}
        for subject, well in calm.well.items():
            if (name, subject) not in self._well:
                self._well[name, subject] = np.flatnonzero(well) + self._first
            moments = self._well[name, subject]
            place = int(np.searchsorted(moments, minute))
            if place and moments[place - 1] > judged:
                good[subject] = int(moments[place - 1]) * MINUTE_US
        worse, latest = kind_of(self._rules[name]).worse, {}
        for subject, incident in memory.latest.items():
            values = calm.values[subject][judged + 1 - self._first : minute - self._first].tolist()
            peak = reduce(worse, values if incident.peak is None else [incident.peak, *values])
            latest[subject] = replace(incident, peak=peak, fired_us=(minute - 1) * MINUTE_US)
        return replace(memory, latest=latest, last_good_us={**memory.last_good_us, **good})
