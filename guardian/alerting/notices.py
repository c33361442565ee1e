"""Who is told of which transition, and when: bundling, quiet hours, silences, the hourly budget, threads. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from guardian.alerting.incidents import ENDS, SECOND, Audience, Change, Incident, Transition
from guardian.core.time import moment

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

Reason = Literal["new", "quiet", "budget", "group", "silence"]
Form = Literal["single", "bundle", "digest", "overflow"]
PHASES = {"opened": "opening", "reopened": "opening", "resolved": "end"}
"""The changes that are announced together with others of their rule."""
OPENINGS: Collection[Change] = ("opened", "reopened", "flapping")
REMINDERS: Collection[Change] = ("reminder", "unsilenced")


@dataclass(frozen=True, slots=True)
class Held:
    """A transition that waits: for the end of quiet hours or of a silence, for room in the budget, or for others of its
    rule. "new" means that it has not waited yet."""

    transition: Transition
    audience: Audience
    until_us: int
    why: Reason

    def refreshed(self, incidents: Mapping[str, Incident]) -> Held:
        """The same with the incident's current version, if it is among these (by id)."""
        old = self.transition.incident
        return replace(self, transition=replace(self.transition, incident=incidents.get(old.id, old)))


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to be written: about one incident, several that opened together, or what was held back. `thread` is
    the name of its thread, `first` whether this message starts it. `rules` are those of its incidents. `newcomers` are
    those in its audience who have had no message of the thread yet.
    """

    form: Form
    transitions: tuple[Transition, ...]
    audience: Audience
    thread: str
    first: bool
    at_us: int
    rules: Mapping[str, Rule] = field(default_factory=dict)
    newcomers: Collection[str] = ()

    def begins_for(self, name: str) -> bool:
        """Whether this is the first message of the thread for this recipient or channel."""
        return self.first or name in self.newcomers

    @property
    def name(self) -> str:
        """A name that no other notice of its thread has."""
        what = "\n".join(f"{t.incident.id} {t.change}" for t in self.transitions)
        return f"{self.form}-{self.at_us}-{blake2b(what.encode(), digest_size=6).hexdigest()}"

    @property
    def critical(self) -> bool:
        """Whether it may use the part of the budget reserved for critical messages."""
        return any(t.incident.severity == "critical" for t in self.transitions)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send now, what to hold back, and in which of the `threads` each incident (by id) is thereby announced."""

    notices: tuple[Notice, ...]
    held: tuple[Held, ...]
    threads: Mapping[str, str]
    messages: int


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `per_hour` messages an hour, the last `reserve` of them only for critical ones; `spent` went out in the
    last hour.

    A single notice whose messages exceed the budget by themselves is sent all the same, and a critical one after it.
    """

    per_hour: int = 60
    reserve: int = 10
    spent: int = 0

    def allows(self, messages: int, critical: bool) -> bool:
        """Whether this many more may go out now."""
        reserve = max(self.reserve, messages) if self.reserve else 0
        per_hour = max(self.per_hour, messages + reserve)
        return self.spent + messages <= per_hour - (0 if critical else reserve)


def quiet_until(quiet: tuple[int, int] | None, now_us: int, zone: ZoneInfo) -> int | None:
    """The end (µs) of the current quiet hours, None outside them. `quiet` is their start and end, in minutes since
    local midnight."""
    if quiet is None or quiet[0] == quiet[1]:
        return None
    local = moment(now_us).astimezone(zone)
    minute = local.hour * 60 + local.minute
    start, end = quiet
    inside = start <= minute < end if start < end else minute >= start or minute < end
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if minute >= end else 0)
    until = datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=zone)
    # When the clocks go back, the end comes twice, and the first may have passed.
    ends = (int(until.replace(fold=fold).timestamp()) * SECOND for fold in (0, 1))
    return next((end_us for end_us in ends if end_us > now_us), None)


def plan(
    transitions: Sequence[Transition],
    held: Sequence[Held],
    rules: Mapping[str, Rule],
    *,
    now_us: int,
    zone: ZoneInfo,
    budget: Budget,
    admins: tuple[str, ...] = (),
    last_told: Mapping[str, int] | None = None,
) -> Plan:
    """What to send about this minute's transitions and those held back so far: one message for each incident.

    A start goes to the recipients that the rule names now (`admins` where it names none), and to whoever is still
    waiting for the end of an earlier one. Everything later goes to those who were told of the start, whatever the
    settings say by then. `last_told` says when (µs) each `phase` of a rule was last announced.
    """
    waiting: list[Held] = []
    due: list[Held] = []
    for h in _newest(transitions, held):
        incident = h.transition.incident
        rule = rules[incident.rule]
        h = replace(h, audience=_audience(h.transition, rule, admins))
        quiet = quiet_until(rule.quiet_hours, now_us, zone)
        name = phase(h.transition)
        together = (last_told or {}).get(name, -now_us) + rule.group_interval * SECOND if name else 0
        if incident.silenced(now_us):
            if incident.status == "resolved" and incident.silenced_until_us and incident.heard:
                waiting.append(replace(h, until_us=incident.silenced_until_us, why="silence"))
        elif h.until_us > now_us:
            waiting.append(h)
        elif quiet is not None:
            waiting.append(replace(h, until_us=quiet, why="quiet"))
        elif h.why == "new" and together > now_us:
            waiting.append(replace(h, until_us=together, why="group"))
        else:
            due.append(h)
    notices: list[Notice] = []
    spent_before = budget.spent
    for notice in _written(due, now_us):
        messages = messages_of(notice.audience, len(admins) or 1)
        if budget.allows(messages, notice.critical):
            budget = replace(budget, spent=budget.spent + messages)
            notices.append(replace(notice, rules={t.incident.rule: rules[t.incident.rule] for t in notice.transitions}))
            continue
        until = min((w.until_us for w in waiting if w.why == "budget"), default=now_us + 3600 * SECOND)
        waiting += [Held(t, notice.audience, until, "budget") for t in notice.transitions]
    threads = {t.incident.id: t.incident.thread or n.thread for n in notices for t in n.transitions}
    return Plan(tuple(notices), tuple(waiting), threads, budget.spent - spent_before)


def _audience(transition: Transition, rule: Rule, admins: tuple[str, ...]) -> Audience:
    """Who is told: see `plan`."""
    heard = transition.incident.heard
    if heard is not None and transition.change not in OPENINGS:
        return heard
    recipients = (rule.recipients or admins) if "mail" in rule.channels else ()
    return Audience(rule.channels, recipients).joined(heard)


def phase(transition: Transition) -> str | None:
    """The group that this transition is announced with: the rule's name with "opening" or "end"; None for one that
    never waits."""
    which = PHASES.get(transition.change)
    return f"{transition.incident.rule} {which}" if which else None


def _newest(transitions: Iterable[Transition], held: Iterable[Held]) -> list[Held]:
    """For each incident, the latest of what waits and what just happened; without ends of incidents that were never
    announced."""
    entries = {h.transition.incident.id: h for h in held}
    opened = {incident_id for incident_id, h in entries.items() if h.why != "group"}
    for transition in transitions:
        incident = transition.incident
        if transition.change in OPENINGS:
            opened.add(incident.id)
        old = entries.get(incident.id)
        if old is None:
            entries[incident.id] = Held(transition, Audience((), ()), transition.at_us, "new")
        elif transition.change in REMINDERS:  # Says more, and is still unheard.
            entries[incident.id] = replace(old, transition=replace(old.transition, incident=incident))
        else:
            entries[incident.id] = replace(old, transition=transition)
    return [
        h
        for incident_id, h in entries.items()
        if (h.transition.incident.status == "resolved") == (h.transition.change in ENDS)
        and not (h.transition.change in ENDS and h.transition.incident.heard is None and incident_id not in opened)
    ]


def _written(due: Iterable[Held], now_us: int) -> list[Notice]:
    """The notices: a digest for each audience of what quiet hours or the budget held back; one for all incidents that
    opened together; for the rest one each, or one for those that share a thread."""
    groups: dict[tuple[Audience, Form, str], list[Transition]] = {}
    for h in due:
        incident = h.transition.incident
        form: Form = {"quiet": "digest", "budget": "overflow"}.get(h.why, "single")  # type: ignore[assignment]
        thread = ""
        if incident.thread:
            form, thread = "single", f"{incident.thread}/{h.transition.change}"
        groups.setdefault((h.audience, form, thread), []).append(h.transition)
    notices = []
    for (audience, form, name), group in sorted(groups.items(), key=lambda item: item[0][1] == "single"):
        first = group[0].incident
        if form != "single":
            thread = f"{form}-{min(t.incident.id for t in group)}-{now_us // SECOND}"
        else:
            thread, form = first.thread or first.id, "single" if len(group) == 1 else "bundle"
        notices.append(
            Notice(form, tuple(group), audience, thread, not name, now_us, newcomers=_newcomers(group, audience))
        )
    return notices


def _newcomers(group: Sequence[Transition], audience: Audience) -> tuple[str, ...]:
    known = [t.incident.readers for t in group]
    if None in known:
        return ()
    had = {name for names in known for name in names or ()}
    return tuple(name for name in audience.names if name not in had)


def messages_of(audience: Audience, admins: int) -> int:
    """How many messages one notice to this audience means."""
    mails = (len(audience.recipients) or admins) if "mail" in audience.channels else 0
    return mails + sum(channel != "mail" for channel in audience.channels)
