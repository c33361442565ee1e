"""Who hears of which transition, and when: bundling, quiet hours, silence, the hourly budget, threads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from guardian.alerting.incidents import SECOND, Transition
from guardian.alerting.rules import Rule

Reason = Literal["quiet", "budget", "group"]
Form = Literal["single", "bundle", "digest", "overflow"]
PHASES = {"opened": "opening", "reopened": "opening", "resolved": "end"}
"""The changes that are told together with others of their rule."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets it: the channels (among them "mail") and the mail's recipients, empty for the admins."""

    channels: tuple[str, ...]
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A transition that waits: for the end of quiet hours, for room in the budget, or for others of its rule."""

    transition: Transition
    audience: Audience
    until_us: int
    why: Reason


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to be written: about one incident, several that opened together, or what was held back.

    `thread` is the name of the thread, `first` says whether this message begins it.
    """

    form: Form
    transitions: tuple[Transition, ...]
    audience: Audience
    thread: str
    first: bool
    at_us: int

    @property
    def critical(self) -> bool:
        """Whether it may use the part of the budget kept for critical ones."""
        return any(t.incident.severity == "critical" for t in self.transitions)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send now, what to keep back, and which incident (id) is thereby told of in which thread."""

    notices: tuple[Notice, ...]
    held: tuple[Held, ...]
    told: Mapping[str, str]
    messages: int


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `per_hour` messages an hour, the last `reserve` of them for critical ones; `spent` in the last hour."""

    per_hour: int = 60
    reserve: int = 10
    spent: int = 0

    def allows(self, messages: int, critical: bool) -> bool:
        """Whether so many more may go out now."""
        return self.spent + messages <= self.per_hour - (0 if critical else self.reserve)


def quiet_until(quiet: tuple[int, int] | None, now_us: int, zone: ZoneInfo) -> int | None:
    """The end (µs) of the quiet hours that now lies in, None outside them; `quiet` is minutes since local midnight."""
    if quiet is None or quiet[0] == quiet[1]:
        return None
    local = datetime.fromtimestamp(now_us / SECOND, UTC).astimezone(zone)
    minute = local.hour * 60 + local.minute
    start, end = quiet
    inside = start <= minute < end if start < end else minute >= start or minute < end
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if minute >= end else 0)
    until = datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=zone)
    return int(until.timestamp()) * SECOND


def plan(
    transitions: Sequence[Transition],
    held: Sequence[Held],
    rules: Mapping[str, Rule],
    *,
    now_us: int,
    zone: ZoneInfo,
    budget: Budget,
    admins: int = 1,
    last_told: Mapping[str, int] | None = None,
) -> Plan:
    """What to say of this minute's transitions and of what was held back until now.

    `admins` is how many mails an audience without recipients of its own means; `last_told` says when (µs) an opening
    or an end of a rule was last told, by `phase`.
    """
    waiting = [h for h in held if h.until_us > now_us]
    ready = [h for h in held if h.until_us <= now_us]
    fresh: dict[Audience, list[Transition]] = {}
    worth = _worth_telling(transitions, waiting, now_us)
    for h in _gathered(ready, {transition.incident.id for transition in worth}, now_us):
        until = quiet_until(rules[h.transition.incident.rule].quiet_hours, now_us, zone)
        if until is None:
            fresh.setdefault(h.audience, []).append(h.transition)
        else:
            waiting.append(replace(h, until_us=until, why="quiet"))
    ready = [h for h in ready if h.why != "group"]
    for transition in worth:
        rule = rules[transition.incident.rule]
        audience = Audience(rule.channels, rule.recipients)
        until = quiet_until(rule.quiet_hours, now_us, zone)
        name = phase(transition)
        together = (last_told or {}).get(name, -now_us) + rule.group_interval * SECOND if name else 0
        if until is not None:
            waiting.append(Held(transition, audience, until, "quiet"))
        elif any(w.transition.incident.id == transition.incident.id for w in waiting):
            why = next(w for w in waiting if w.transition.incident.id == transition.incident.id)
            waiting.append(replace(why, transition=transition))
        elif together > now_us:
            waiting.append(Held(transition, audience, together, "group"))
        else:
            fresh.setdefault(audience, []).append(transition)
    notices: list[Notice] = []
    spent_before = budget.spent
    for notice in [*_released(ready, now_us), *_grouped(fresh, now_us)]:
        messages = _messages(notice.audience, admins)
        if budget.allows(messages, notice.critical):
            budget = replace(budget, spent=budget.spent + messages)
            notices.append(notice)
            continue
        until = min((w.until_us for w in waiting if w.why == "budget"), default=now_us + 3600 * SECOND)
        waiting += [Held(t, notice.audience, until, "budget") for t in notice.transitions]
    told = {t.incident.id: t.incident.thread or n.thread for n in notices for t in n.transitions}
    return Plan(tuple(notices), tuple(waiting), told, budget.spent - spent_before)


def phase(transition: Transition) -> str | None:
    """What this transition is told together with: "error_rate opening", "error_rate end"; None for what never waits."""
    which = PHASES.get(transition.change)
    return f"{transition.incident.rule} {which}" if which else None


def _gathered(ready: Sequence[Held], besides: set[str], now_us: int) -> list[Held]:
    """What waited for others of its rule, each incident once; without those that are over before anybody heard, that
    somebody silenced, or that are among `besides`: of them something newer is told."""
    newest = {h.transition.incident.id: h for h in ready if h.why == "group"}
    return [
        h
        for incident_id, h in newest.items()
        if incident_id not in besides
        and not (h.transition.incident.status == "resolved" and h.transition.incident.told_us is None)
        and not h.transition.incident.silenced(now_us)
    ]


def _worth_telling(transitions: Iterable[Transition], waiting: Sequence[Held], now_us: int) -> list[Transition]:
    """Without what is silenced, and without the end of what nobody heard of; several about one incident are one."""
    newest: dict[str, Transition] = {}
    opened = {w.transition.incident.id for w in waiting}
    for transition in transitions:
        incident = transition.incident
        if transition.change in ("opened", "reopened", "flapping"):
            opened.add(incident.id)
        if incident.silenced(now_us):
            continue
        if transition.change == "resolved" and incident.told_us is None and incident.id not in opened:
            continue
        newest[incident.id] = transition
    return list(newest.values())


def _grouped(fresh: Mapping[Audience, Sequence[Transition]], now_us: int) -> list[Notice]:
    """One notice for all that opened together; one each for the rest, or one for those that share a thread."""
    notices = []
    for audience, transitions in fresh.items():
        groups: dict[str, list[Transition]] = {}
        for transition in transitions:
            incident = transition.incident
            groups.setdefault(f"{incident.thread}/{transition.change}" if incident.thread else "", []).append(
                transition
            )
        for name, group in groups.items():
            first = not name
            thread = group[0].incident.id if first else group[0].incident.thread or ""
            form: Form = "single" if len(group) == 1 else "bundle"
            notices.append(Notice(form, tuple(group), audience, thread, first, now_us))
    return notices


def _released(ready: Sequence[Held], now_us: int) -> list[Notice]:
    """One digest an audience of what was held back; of each incident only its latest state."""
    groups: dict[tuple[Audience, Reason], dict[str, Transition]] = {}
    for h in ready:
        groups.setdefault((h.audience, h.why), {})[h.transition.incident.id] = h.transition
    notices = []
    for (audience, why), newest in groups.items():
        form: Form = "digest" if why == "quiet" else "overflow"
        thread = f"{form}-{min(newest)}-{now_us // SECOND}"
        notices.append(Notice(form, tuple(newest.values()), audience, thread, True, now_us))
    return notices


def _messages(audience: Audience, admins: int) -> int:
    mails = (len(audience.recipients) or admins) if "mail" in audience.channels else 0
    return mails + sum(channel != "mail" for channel in audience.channels)
