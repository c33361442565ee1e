"""The life of an incident: pending → open → (acknowledged) → resolved, as a pure function from verdicts to transitions.
Mails are not decided here: `notices` says who hears of which transition, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from guardian.alerting.incidents import MINUTE, SECOND, SUBJECTS, Change, Incident, Memory, Transition
from guardian.alerting.kinds import kind_of
from guardian.alerting.verdicts import Verdict

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

DATA_GAP = 600
"""A gap of more seconds than this between two requests counts as one minute towards a rule's `for`: nothing is known of
the time in between."""
FLAP_SPAN, FLAP_OPENINGS = 2 * 3600, 3
"""An incident flaps with this many openings within this many seconds; it is announced once."""
FLAP_CALM = 1800
"""A flapping incident must be well for this many seconds before it counts as resolved."""
FIX_LASTS = 7 * 86400
"""How many seconds "marked as fixed" is remembered: the length of the longest window that a rule may have."""


def after_verdicts(
    rule: Rule,
    verdicts: Sequence[Verdict],
    memory: Memory,
    now_us: int,
    *,
    alive: bool,
    muted: bool = False,
    fresh: Callable[[str], bool] = lambda subject: True,
) -> tuple[Memory, list[Transition]]:
    """A rule's memory after the verdicts of one minute, and the transitions.

    With `alive` (some event came lately) a subject without a verdict is well; without, it is unknown, which never
    resolves anything. With `muted` (a maintenance window) nothing opens and no reminder is due. `fresh` says whether a
    subject's verdict rests on anything from the last minute: only such minutes count towards a rule's `for`.
    """
    if not memory.latest and not memory.fixed_us and all(verdict.state != "firing" for verdict in verdicts):
        # The common case: nothing fires, and nothing fired lately.
        well = {v.subject: now_us for v in verdicts if v.state == "ok"}
        return (replace(memory, last_good_us={**memory.last_good_us, **well}) if well else memory), []
    latest = {s: i for s, i in memory.latest.items() if i.kept(now_us)}
    number, last_good = dict(memory.number), dict(memory.last_good_us)
    fixed = {s: at for s, at in memory.fixed_us.items() if at >= now_us - FIX_LASTS * SECOND}
    said = {verdict.subject: verdict for verdict in verdicts}
    transitions: list[Transition] = []
    unsaid = (s for s, i in latest.items() if s not in said and (i.status != "resolved" or i.closing))
    for subject in [*said, *unsaid]:
        verdict = said.get(subject) or Verdict(rule.name, subject, "ok" if alive else "no_data")
        old = latest.get(subject)
        if old is not None and old.closing:
            old = latest[subject] = replace(old, closing=False)
            transitions.append(Transition(old, "closed", now_us))
        past = None
        if old is not None and verdict.state == "firing" and not old.reopens(now_us):
            old, past = None, old
        if verdict.state == "firing" and old is None and not muted:
            old = _begun(rule, verdict, now_us, number.get(subject, 0), past)
            old = replace(old, earlier=number.get(subject, 0), last_good_us=last_good.get(subject))
        new, change = _advance(rule, old, verdict, now_us, muted, fresh)
        if new is not None and change in ("reopened", "flapping"):
            new = replace(new, last_good_us=last_good.get(subject, new.last_good_us))
        if verdict.state == "ok" and subject in _watched(rule, said):
            last_good[subject] = now_us
        if new is None:
            if old is not None:
                latest.pop(subject, None)
            continue
        if new.status != "pending" and old is not None and old.status == "pending":
            number[subject] = number.pop(subject, 0) + 1  # in order of their latest incident
        latest[subject] = new
        if change:
            transitions.append(Transition(new, change, now_us))
    ahead = {s: span for s, span in memory.ahead_us.items() if span[1] >= now_us - FIX_LASTS * SECOND}
    forgotten = list(number)[: max(0, len(number) - SUBJECTS)]
    number = {subject: count for subject, count in number.items() if subject not in forgotten} if forgotten else number
    return Memory(latest, number, last_good, fixed, ahead), transitions


def _watched(rule: Rule, said: Mapping[str, Verdict]) -> Iterable[str]:
    """The subjects whose last good moment is remembered (see `Kind.keeps_good`)."""
    return said if kind_of(rule).keeps_good else ()


def _advance(
    rule: Rule, old: Incident | None, verdict: Verdict, now_us: int, muted: bool, fresh: Callable[[str], bool]
) -> tuple[Incident | None, Change | None]:
    """The incident after one verdict (None: there is no incident), and what changed."""
    if old is None or (old.status == "pending" and muted):
        return None, None  # After maintenance, the time that the rule must hold starts over.
    if verdict.state == "firing":
        return _fire(rule, old, verdict, now_us, muted, fresh)
    if old.status == "resolved":
        return old, None
    if verdict.state == "no_data":
        return old, None
    if old.status == "pending":
        return None, None
    well_since = now_us if old.well_since_us is None else old.well_since_us
    wait = max(rule.resolve_after, FLAP_CALM if old.flapping else 0)
    if now_us - well_since >= wait * SECOND:
        done = replace(old, status="resolved", well_since_us=well_since, resolved_us=now_us, end="resolved")
        if old.flapping:
            done = replace(done, flapping=False, openings=())
        return done, "resolved"
    return replace(old, well_since_us=well_since), None


def _begun(rule: Rule, verdict: Verdict, now_us: int, number: int, past: Incident | None) -> Incident:
    """A new, pending incident; a silence of the one before (`past`) still applies. `number` keeps ids unique even if
    the clock was set back."""
    name = f"{rule.name}\n{verdict.subject}\n{now_us}" + (f"\n{number}" if number else "")
    incident_id = blake2b(name.encode(), digest_size=8).hexdigest()
    new = Incident(
        incident_id, rule.name, verdict.subject, rule.severity, "pending", since_us=now_us,
        of_user=kind_of(rule).of_one_user, data_us=now_us,
    )  # fmt: skip
    if past is not None and past.silenced(now_us):
        new = replace(new, silenced_until_us=past.silenced_until_us, acknowledged_by=past.acknowledged_by)
    return new


def _fire(
    rule: Rule, old: Incident, verdict: Verdict, now_us: int, muted: bool, fresh: Callable[[str], bool]
) -> tuple[Incident | None, Change | None]:
    seen: dict[str, Any] = {
        "fired_us": now_us, "well_since_us": None, "recovery_us": None, "under": "",
        "value": verdict.value, "facts": verdict.facts,
    }  # fmt: skip
    peak = _worse(rule, old.peak, verdict.value)
    if old.status == "pending":
        new = replace(old, **seen, peak=peak)
        if rule.for_ and old.since_us < now_us and fresh(verdict.subject):
            gap_us = now_us - old.data_us
            new = replace(
                new, data_us=now_us, held_us=old.held_us + (gap_us if gap_us <= DATA_GAP * SECOND else MINUTE)
            )
        if new.held_us < rule.for_ * SECOND:
            return new, None
        return replace(new, status="open", opened_us=now_us, openings=(now_us,)), "opened"
    if old.status == "resolved":
        if muted:
            return old, None
        openings = (*(at for at in old.openings if now_us - at <= FLAP_SPAN * SECOND), now_us)
        calm_us = old.calm_us + now_us - (old.over_us or now_us)
        new = replace(old, **seen, peak=peak, status="open", resolved_us=None, end=None, openings=openings)
        new = replace(new, again_us=now_us, calm_us=calm_us)
        if not new.silenced(now_us):
            new = replace(new, acknowledged_by=None)
        if len(openings) >= FLAP_OPENINGS:
            return replace(new, flapping=True), "flapping"
        return new, "reopened"
    new = replace(old, **seen, peak=peak)
    return new, None if muted else _reminder(rule, new, now_us)


def _worse(rule: Rule, peak: float | None, value: float | None) -> float | None:
    if peak is None or value is None:
        return value if peak is None else peak
    return kind_of(rule).worse(peak, value)


def _reminder(rule: Rule, incident: Incident, now_us: int) -> Change | None:
    """A reminder, if one is due: for a firing incident that nobody has acknowledged, counted from the last message
    about it."""
    if incident.status != "open" or incident.silenced(now_us):
        return None
    told_us, silent_us = incident.told_us, incident.silenced_until_us
    if silent_us is not None and (told_us is None or told_us < silent_us):
        return "unsilenced"
    return "reminder" if told_us is not None and 0 < rule.repeat * SECOND <= now_us - told_us else None
