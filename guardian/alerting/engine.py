"""One minute of alerting as one pure function, `advance`: the daemon calls it with the present, the backtest with the
past, the preview with invented traffic."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from guardian.alerting.affected import noted, timed
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import ENDS, NOTHING_KNOWN, SECOND, Change, Incident, Memory, Transition
from guardian.alerting.kinds import judge, kind_of
from guardian.alerting.life import after_verdicts
from guardian.alerting.maintenance import Maintenance
from guardian.alerting.notices import Budget, Held, Notice, phase, plan
from guardian.alerting.unwatched import edited, removed, without_unwatched
from guardian.alerting.verdicts import SinceMaintenance
from guardian.core.time import moment

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

ALIVE_WITHIN = 600
"""Seconds without any event after which subjects without a verdict count as unknown rather than well."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the settings say: rules, the time zone of quiet hours, maintenance, the message budget, the admins."""

    rules: tuple[Rule, ...]
    zone: ZoneInfo
    maintenance: tuple[Maintenance, ...] = ()
    per_hour: int = 60
    reserve: int = 10
    admins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertState:
    """What one minute hands to the next: `minute` is the last one judged (minutes since 1970, None: none was), `spent`
    the messages of the last hour as (µs, how many), `last_told` when (µs) each phase of a rule was last announced.

    `maintained_us` is the last moment inside a maintenance window (0: none yet). `rules` are the rules of incidents
    that may still have something to announce, even after they left the settings. `former` holds, by `Incident.under`,
    rules that were changed while an incident was firing: as long as the old rule still calls it bad, the incident is
    not called well. `probes` holds each rule's latest answers, oldest first, as (µs, good). `version` is set by the
    store; 0: never stored.
    """

    minute: int | None = None
    memories: Mapping[str, Memory] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    spent: tuple[tuple[int, int], ...] = ()
    last_told: Mapping[str, int] = field(default_factory=dict)
    maintained_us: int = 0
    rules: Mapping[str, Rule] = field(default_factory=dict)
    former: Mapping[str, Rule] = field(default_factory=dict)
    probes: Mapping[str, tuple[tuple[int, bool], ...]] = field(default_factory=dict)
    version: int = field(default=0, compare=False)

    def incidents(self) -> list[Incident]:
        """The incidents that go on, ended less than an hour ago, or are silenced."""
        return [incident for memory in self.memories.values() for incident in memory.latest.values()]

    def by_id(self) -> dict[str, Incident]:
        """The same incidents by id."""
        return {incident.id: incident for incident in self.incidents()}

    def changed(self, *incidents: Incident) -> AlertState:
        """This state with incidents in a new version."""
        latest: dict[str, dict[str, Incident]] = {}
        for each in incidents:
            latest.setdefault(each.rule, {**self.memories[each.rule].latest})[each.subject] = each
        memories = {name: replace(self.memories[name], latest=new) for name, new in latest.items()}
        return replace(self, memories={**self.memories, **memories}) if incidents else self


def advance(
    state: AlertState,
    snapshot: Snapshot,
    around: Surroundings,
    *,
    passed: Iterable[Snapshot] = (),
    idle: Collection[str] = (),
) -> tuple[AlertState, list[Transition], Sequence[Notice]]:
    """Judge every rule on one snapshot. Returns the new state, the transitions, and what is to be sent.

    `passed` are the snapshots of the minutes before it in which nobody was watching, in order. Each of them is judged,
    but messages are only written about the outcome. `idle` names rules that need not be judged: see `Outlook`.
    """
    transitions: list[Transition] = []
    for each in chain(passed, (snapshot,)):
        state, changes = _judge_minute(state, each, around, idle)
        transitions += changes
    after, notices = tell(state, transitions, snapshot.now_us, around)
    return after, transitions, notices


def _judge_minute(
    state: AlertState, snapshot: Snapshot, around: Surroundings, idle: Collection[str]
) -> tuple[AlertState, list[Transition]]:
    """The state after judging every rule on one snapshot, and the transitions; nothing is announced yet."""
    now_us = snapshot.now_us
    # A maintenance window may end with the minute that is judged.
    edges = (now_us, now_us - MINUTE_US)
    muted = any(span.covers(moment(us)) for span in around.maintenance for us in edges)
    maintained_us = now_us if muted else state.maintained_us
    alive = snapshot.counts(ALIVE_WITHIN).requests > 0
    memories: dict[str, Memory] = {}
    transitions: list[Transition] = []
    former = state.former
    for rule in around.rules:
        memory = state.memories.get(rule.name, NOTHING_KNOWN)
        if rule.name in idle:
            memories[rule.name] = memory
            continue
        since = memory.fixed_us if muted or not maintained_us else SinceMaintenance(memory.fixed_us, maintained_us)
        verdicts = judge(rule, snapshot, since, memory.latest)
        verdicts = [v for v in verdicts if not memory.was_told(v.subject, v.facts)] if memory.ahead_us else verdicts
        memory, former = edited(memory, state.rules.get(rule.name), rule, former)
        memory, gone = without_unwatched(memory, rule, verdicts, former, snapshot, since, alive)
        transitions += gone
        before = memory.latest
        fresh = partial(kind_of(rule).fresh, rule, snapshot)
        memory, changes = after_verdicts(rule, verdicts, memory, now_us, alive=alive, muted=muted, fresh=fresh)
        latest = {
            subject: timed(rule, incident, before.get(subject), snapshot, since.get(subject, 0))
            for subject, incident in memory.latest.items()
        }
        for change in changes:
            subject = change.incident.subject
            newest = memory.latest[subject] is change.incident
            incident = noted(rule, latest[subject] if newest else change.incident, snapshot)
            if newest:
                latest[subject] = incident
            transitions.append(replace(change, incident=incident))
        memories[rule.name] = replace(memory, latest=latest)
    for name in sorted(state.memories.keys() - memories.keys()):
        memory, changes = removed(state.memories[name], now_us)
        transitions += changes
        if memory.latest:
            memories[name] = memory
    used = {i.under for memory in memories.values() for i in memory.latest.values() if i.status != "resolved"}
    former = {key: rule for key, rule in former.items() if key in used}
    rules = {**state.rules, **{rule.name: rule for rule in around.rules if rule.name in state.rules}}
    state = replace(
        state, minute=snapshot.minute, memories=memories, maintained_us=maintained_us, rules=rules, former=former
    )
    return state, transitions


def set_back(state: AlertState, minute: int) -> AlertState:
    """The state for a clock that was ahead and has been set right: as if the last minute judged were `minute`.

    Moments that are now in the future become the present; an end that lay beyond the last minute judged keeps its
    distance. A burst that was announced is not announced again when the time comes under which its errors are stored.
    """
    now_us, ahead_us = minute * MINUTE_US, (state.minute or minute) * MINUTE_US

    def moved(at: int) -> int:
        return at if at <= now_us else now_us + max(0, at - ahead_us)

    def happened(incident: Incident) -> Incident:
        times = {name: moved(at) for name in _TIMES if (at := getattr(incident, name)) is not None}
        return replace(incident, **times, openings=tuple(map(moved, incident.openings)))  # type: ignore[arg-type]

    def ahead(memory: Memory) -> dict[str, tuple[int, int]]:
        bursts = {i.subject: (i.onset_us, i.facts.get("ended_us", 0)) for i in memory.latest.values()}
        return {subject: (first, last) for subject, (first, last) in bursts.items() if first and last > now_us}

    memories = {
        name: Memory(
            {subject: happened(incident) for subject, incident in memory.latest.items()},
            memory.number,
            {subject: moved(at) for subject, at in memory.last_good_us.items()},
            {subject: moved(at) for subject, at in memory.fixed_us.items()},
            {**memory.ahead_us, **ahead(memory)},
        )
        for name, memory in state.memories.items()
    }

    def waiting(h: Held) -> Held:
        told = replace(h.transition, incident=happened(h.transition.incident), at_us=moved(h.transition.at_us))
        return replace(h, until_us=moved(h.until_us), transition=told)

    return replace(
        state,
        minute=minute,
        memories=memories,
        held=tuple(map(waiting, state.held)),
        spent=tuple((moved(at), number) for at, number in state.spent),
        last_told={name: moved(at) for name, at in state.last_told.items()},
        maintained_us=moved(state.maintained_us),
    )


_TIMES = tuple(f.name for f in fields(Incident) if f.name.endswith("_us") and f.name not in ("calm_us", "held_us"))
"""The fields of an incident that are points in time, not durations."""


def _announced(incident: Incident, change: Change, notice: Notice, thread: str) -> Incident:
    """The incident after this notice: who now expects to hear of its end, and who has its mail thread."""
    readers = incident.readers
    if readers is not None or incident.thread is None:
        readers = tuple(dict.fromkeys((*(readers or ()), *notice.audience.names)))
    heard = None if change in ENDS else notice.audience
    return replace(incident, told_us=notice.at_us, thread=thread, heard=heard, readers=readers)


def tell(
    state: AlertState, transitions: Sequence[Transition], now_us: int, around: Surroundings
) -> tuple[AlertState, Sequence[Notice]]:
    """The messages about these transitions (of one minute, or of several in which nobody was watching) and about those
    held back so far, and the state after they were sent."""
    spent = tuple((at, number) for at, number in state.spent if at > now_us - 3600 * SECOND)
    if not transitions and not any(h.until_us <= now_us for h in state.held):
        return (state if spent == state.spent else replace(state, spent=spent)), ()
    known = state.by_id()
    rules = {**state.rules, **{rule.name: rule for rule in around.rules}}
    held = [h.refreshed(known) for h in state.held]
    budget = Budget(around.per_hour, around.reserve, sum(number for _, number in spent))
    planned = plan(
        transitions, held, rules,
        now_us=now_us, zone=around.zone, budget=budget, admins=around.admins, last_told=state.last_told,
    )  # fmt: skip
    if planned.messages:
        spent = (*spent, (now_us, planned.messages))
    phases = {name: now_us for n in planned.notices for t in n.transitions if (name := phase(t))}
    state = replace(state, held=planned.held, spent=spent, last_told={**state.last_told, **phases})
    for notice in planned.notices:
        for t in notice.transitions:
            if t.incident.id in known:
                state = state.changed(
                    _announced(known[t.incident.id], t.change, notice, planned.threads[t.incident.id])
                )
    going_on = [incident for incident in state.incidents() if incident.status != "resolved"]
    concerned = {i.rule for i in going_on} | {h.transition.incident.rule for h in state.held}
    return replace(state, rules={name: rules[name] for name in sorted(concerned)}), planned.notices
