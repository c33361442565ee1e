"""Who hears of which transition, and when: bundling, quiet hours, silence, the hourly budget, threads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from guardian.alerting.incidents import SECOND, Transition
from guardian.alerting.rules import Rule

Reason = Literal["quiet", "budget"]
Form = Literal["single", "bundle", "digest", "overflow"]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets it: the channels (among them "mail") and the mail's recipients, empty for the admins."""

    channels: tuple[str, ...]
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A transition that waits: for the end of quiet hours, or for room in the budget."""

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
) -> Plan:
    """What to say of this minute's transitions and of what was held back until now.

    `admins` is how many mails an audience without recipients of its own means.
    """
    waiting = [h for h in held if h.until_us > now_us]
    ready = [h for h in held if h.until_us <= now_us]
    fresh: dict[Audience, list[Transition]] = {}
    for transition in _worth_telling(transitions, waiting, now_us):
        rule = rules[transition.incident.rule]
        audience = Audience(rule.channels, rule.recipients)
        until = quiet_until(rule.quiet_hours, now_us, zone)
        if until is not None:
            waiting.append(Held(transition, audience, until, "quiet"))
        elif any(w.transition.incident.id == transition.incident.id for w in waiting):
            why = next(w for w in waiting if w.transition.incident.id == transition.incident.id)
            waiting.append(replace(why, transition=transition))
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
