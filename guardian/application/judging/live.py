"""Alerting in the daemon: keeps recent history in memory, judges each minute that has passed, commits the result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from guardian.alerting.affected import Met
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance, set_back
from guardian.alerting.history import History, Snapshot
from guardian.alerting.incidents import Transition
from guardian.alerting.kinds import kind_of
from guardian.alerting.kinds.kind import window_of
from guardian.alerting.maintenance import Maintenance, Once, Recurring
from guardian.alerting.notices import Notice
from guardian.alerting.verdicts import CLOCK_CHANGE, WEEK
from guardian.alerting.wanted import Wanted, weeks_ago
from guardian.application.settling import SETTLE, settled
from guardian.core.cadence import Cron
from guardian.core.clock import was_ahead
from guardian.core.off_loop import in_thread, off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros, moment
from guardian.settings.rules import Rule, watching
from guardian.settings.schema import MaintenanceSettings, Settings
from guardian.stores.alerts import AlertStore, ChangedMeanwhile
from guardian.stores.history import HistoryStore

log = logging.getLogger("guardian.alerting")

CATCH_UP = 24 * 60
"""After a downtime, at most this many minutes are judged one by one."""

TRIES = 5
"""How often judging is repeated at once because somebody acted meanwhile; after that it waits for the next step."""
KEEP_ANSWERS = 100
"""How many answers of a probe are remembered."""
UNSTORED = 10
"""After how many uneventful minutes the state is stored; a restart judges those since again."""

Compose = Callable[[Notice, Snapshot], tuple[Sequence[Outgoing], Mapping[str, str]]]
"""Writes the messages of a notice, one a recipient and channel, from the snapshot of the minute that ended last; and
says what the subject of its thread is."""


def lookback(rules: Sequence[Rule], *, weeks: bool = True) -> tuple[int, int]:
    """How far back these rules look: (minutes of counts, seconds of single events). Without `weeks` the counts do not
    reach to the earlier weeks that rules compare with: see `wanted`."""
    counts, single = 6 * 3600, 3600
    for rule in rules:
        kind = kind_of(rule)
        counts = max(counts, 2 * window_of(rule), kind.counts_back(rule))
        compared = kind.compares(rule)
        if compared and weeks:
            counts = max(counts, compared.weeks * WEEK + CLOCK_CHANGE + compared.window)
        single = max(single, 2 * window_of(rule), kind.singles_back(rule))
    return counts // 60 + 1, single


def wanted(rules: Sequence[Rule], first: int, end: int, zone: tzinfo) -> Wanted:
    """What snapshots of the minutes [first, end] compare with, where the counts do not reach so far."""
    minutes: dict[tuple[str, ...] | None, set[int]] = {}
    longest = 0
    for compared in filter(None, (kind_of(rule).compares(rule) for rule in rules)):
        longest = max(longest, compared.weeks * WEEK + CLOCK_CHANGE + compared.window)
        mine = minutes.setdefault(compared.features, set())
        for week in range(1, compared.weeks + 1):
            for minute in range(first, end + 1):
                last = minute - weeks_ago(minute, week, zone) // 60
                mine.update(range(last - compared.window // 60, last))
    known_us = end * MINUTE_US - longest * 1_000_000 if longest else None
    return Wanted({names: frozenset(each) for names, each in minutes.items()}, known_us)


def surroundings(settings: Settings) -> Surroundings:
    """What the settings say of alerting, for `engine.advance`."""
    alerts = settings.alerts
    return Surroundings(
        rules=tuple(watching(r, settings.critical_features) for r in settings.rules.values() if r.enabled),
        zone=ZoneInfo(settings.timezone),
        maintenance=tuple(_maintenance(span, ZoneInfo(settings.timezone)) for span in alerts.maintenance),
        per_hour=alerts.budget_per_hour,
        reserve=alerts.reserve,
        admins=settings.admins,
    )


def _maintenance(span: MaintenanceSettings, zone: ZoneInfo) -> Maintenance:
    if span.cron is not None and span.duration is not None:
        return Recurring(Cron(span.cron), timedelta(seconds=span.duration), zone)
    assert span.start is not None and span.end is not None
    return Once(span.start, span.end)


class LiveHistory:
    """The history of a store as far as the rules look back, read anew only where it grew."""

    def __init__(self, store: HistoryStore, rules: Sequence[Rule]) -> None:
        self._store = store
        self._rules = tuple(rules)
        self._minutes, self._single = lookback(rules, weeks=False)
        self._history: History | None = None
        self.met = Met(store)
        self.probes: dict[str, tuple[tuple[int, bool], ...]] = {}
        self.stored = self.judged = AlertState()

    def newest(self, stored: AlertState) -> AlertState:
        """The state to go on from: the stored one, or what was judged since and is not worth storing."""
        return self.judged if stored == self.stored and stored.version == self.stored.version else stored

    def answered(self, rule: str, at_us: int, good: bool) -> None:
        """Note an answer of a rule's probe."""
        self.probes[rule] = (*self.probes.get(rule, ()), (at_us, good))

    def remember(self, probes: Mapping[str, Iterable[tuple[int, bool]]], now_us: int) -> None:
        """Add earlier answers to those noted, leaving out any with a future time."""
        for rule in {*probes, *self.probes}:
            answers = {*probes.get(rule, ()), *self.probes.get(rule, ())}
            self.probes[rule] = tuple(sorted(answer for answer in answers if answer[0] <= now_us))[-KEEP_ANSWERS:]

    def reach(self, rules: Iterable[Rule]) -> None:
        """Make sure the history reaches back far enough for these rules too: changed rules are still judged by their
        old version while an incident that it opened goes on."""
        new = [rule for rule in rules if rule not in self._rules]
        self._rules = (*self._rules, *new)
        minutes, single = lookback(new, weeks=False)
        if minutes > self._minutes or single > self._single:
            self._minutes, self._single = max(minutes, self._minutes), max(single, self._single)
            self._history = None

    async def until(self, first: int, end: int, zone: tzinfo = UTC) -> History:
        """The history with everything that snapshots of the minutes [first, end] look at; people live by the clock of
        `zone`. Raises StorageError where the database cannot be read."""
        return await in_thread(self._read, first, end, zone)

    async def after(self, minute: int | None, now: datetime, zone: tzinfo = UTC) -> tuple[int, int, History] | None:
        """The first and the last snapshot after that of `minute` (None: there was none) that may be judged, and what
        they look at; None where there are none. Every living process has stored its events of them, or has been waited
        for long enough. Raises StorageError."""

        def read() -> tuple[int, int, History] | None:
            end = micros(settled(self._store, now)) // MINUTE_US
            first = end if minute is None else max(minute + 1, end - CATCH_UP)
            return None if first > end else (first, end, self._read(first, end, zone))

        return await in_thread(read)

    def _read(self, first: int, end: int, zone: tzinfo) -> History:
        beside = wanted(self._rules, first, end, zone)
        more = end - first
        minutes, single = self._minutes + more, self._single + more * 60
        if self._history is None or more > 15 or self._history.counts.end > end:
            history = self._store.read(end - minutes, end, single_events=single, imported=False, wanted=beside)
        else:
            history = self._store.grown(self._history, end, keep=minutes, single_events=single, wanted=beside)
        self.met.follow(history)
        before, self._history = self._history, replace(history, probes=self.probes, zone=zone)
        if before is not None and history.late is not None:
            self._history.stretches.follow(before.stretches, history.late)
        return self._history


async def judge_passed_minutes(
    store: AlertStore, live: LiveHistory, around: Surroundings, compose: Compose, *, now: datetime, token: int | None
) -> list[Transition]:
    """Judge every minute that has ended since the last one judged, and return what changed.

    Nothing happens twice: state, incidents and mails of these minutes are committed together, and a restart goes on
    where the last commit stands. Where somebody acts on an incident meanwhile, they are judged again with that.

    The mails are those of the situation at the end: of an incident that opened and ended meanwhile there is one.
    Raises StorageError or LeaseLost; nothing is changed then.
    """
    for _ in range(TRIES - 1):
        try:
            return await _judge_once(store, live, around, compose, now, token)
        except ChangedMeanwhile as changed:
            log.debug("%s", changed)
    return await _judge_once(store, live, around, compose, now, token)


async def _judge_once(
    store: AlertStore, live: LiveHistory, around: Surroundings, compose: Compose, now: datetime, token: int | None
) -> list[Transition]:
    """The same; raises ChangedMeanwhile too."""
    over = micros(now - SETTLE) // MINUTE_US
    stored = await store.load()
    state = live.newest(stored)
    if state.minute is not None and was_ahead(_begin(state.minute), _begin(over)):
        log.warning("The clock was ahead: alerts go on from %s", now.isoformat(timespec="minutes"))
        state = set_back(state, over - 1)
    if state.minute is not None and state.minute >= over:
        return []
    live.remember(state.probes, micros(now))
    live.reach([*state.rules.values(), *state.former.values()])
    found = await live.after(state.minute, now, around.zone)
    if found is None:
        return []
    first, end, history = found
    snapshot = history.at(end)

    def judged() -> tuple[AlertState, list[Transition], Sequence[Notice]]:
        after, transitions, notices = advance(state, snapshot, around, passed=map(history.at, range(first, end)))
        return live.met.noted(after, around.rules, snapshot), transitions, notices

    after, transitions, notices = await off_loop(judged)
    mails: list[Outgoing] = []
    for notice in notices:
        written, subjects = await off_loop(compose, notice, snapshot)
        mails += written
        after = _named(after, notice, subjects)
    after = replace(after, probes={r.name: live.probes[r.name] for r in around.rules if r.name in live.probes})
    if mails or transitions or _happened(stored, after):
        await store.commit(after, mails, now=now, token=token)
    else:
        live.stored, live.judged = stored, after
    return transitions


def _happened(before: AlertState, after: AlertState) -> bool:
    """Whether the new state has to be stored: it differs in more than judging the same minutes again would restore, or
    many minutes have passed."""
    if before.minute is None or not before.minute <= (after.minute or 0) < before.minute + UNSTORED:
        return True

    def lasting(state: AlertState) -> AlertState:
        memories = {name: replace(memory, last_good_us={}) for name, memory in state.memories.items()}
        return replace(state, minute=None, spent=(), maintained_us=0, memories=memories)

    return lasting(before) != lasting(after)


def _begin(minute: int) -> datetime:
    return moment(minute * MINUTE_US)


def _named(state: AlertState, notice: Notice, subjects: Mapping[str, str]) -> AlertState:
    """The state in which the incidents of a thread that begins know its subject, so that it stays the same."""
    told = {transition.incident.id for transition in notice.transitions}
    for incident in state.incidents():
        if incident.id in told and incident.thread == notice.thread and incident.thread_subject is None:
            others = {code: subject for code, subject in subjects.items() if code}
            state = state.changed(replace(incident, thread_subject=subjects[""], thread_subjects=others))
    return state
