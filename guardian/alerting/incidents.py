"""The life of a firing rule: pending → open → (acknowledged) → resolved, as a pure step from verdicts to transitions.

Times are Unix microseconds. Nothing here knows of mails: `notify` decides who hears of which transition, and when.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from guardian.alerting.kinds import kind_of
from guardian.alerting.verdicts import Verdict
from guardian.settings.kinds import Severity

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

SECOND, MINUTE = 1_000_000, 60_000_000
REOPEN_WITHIN = 3600
"""An incident that fires again within this many seconds of its end goes on: same thread, no new incident."""
FLAP_SPAN, FLAP_OPENINGS = 2 * 3600, 3
"""Flapping is this many openings within this many seconds; it is said once."""
FLAP_CALM = 1800
"""A flapping incident must be well for this many seconds before it counts as resolved."""
FIX_LASTS = 7 * 86400
"""How many seconds "marked as fixed" cuts windows short: as long as the longest window that a rule may have."""

Status = Literal["pending", "open", "acknowledged", "resolved"]
Change = Literal["opened", "reopened", "flapping", "reminder", "unsilenced", "resolved", "closed", "removed"]
"""What is told of an incident: `unsilenced` is that it still fires after a silence, `closed` that a person ended it,
`removed` that its rule was taken out of the settings."""
ENDS: Collection[Change] = ("resolved", "closed", "removed")
"""The changes by which an incident is over."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One firing rule for one subject.

    `since_us` is the first firing verdict, `opened_us` when it had held for the rule's `for`. What requests say of its
    beginning and end: `onset_us` is the first bad one, or the last sign of life where it shows by absence, and
    `recovery_us` the first good one after it; None where they do not tell. Texts ask `first_us`, `over_us` and
    `lasted_s`, which do. `last_good_us` is the last good request before the onset, or the last ok verdict (None: none
    was seen). `well_since_us` is the first ok verdict since it last fired, None while it fires. `again_us` is the onset
    since it was last over, `calm_us` how long (µs) it was over in all until then. What lies before `judged_from_us` no
    longer counted when it last fired: it was marked as fixed, or there was maintenance; 0: all counts.
    `openings` are the latest times it opened or opened again. `closing` says that a person ended it, of which the
    others have yet to hear; `acted` that somebody ever did anything about it, `acknowledged_by` who did since it last
    opened. `earlier` counts the incidents of the same rule and subject before this one. `users` is the most verified
    users that it was seen to concern, `names` the first few. `told_us` is when a message last spoke of it, None for
    never; `thread` and `thread_subject` tell to which mail thread it belongs. `value` and `facts` are those of the
    latest firing verdict, `peak` is the worst value so far. `of_user` says whether the subject is a person's name, None
    where an older version did not note it. In `thread_subject` names are marked (`guardian.core.mentions`).
    """

    id: str
    rule: str
    subject: str
    severity: Severity
    status: Status
    since_us: int
    last_good_us: int | None = None
    opened_us: int | None = None
    onset_us: int | None = None
    recovery_us: int | None = None
    judged_from_us: int = 0
    fired_us: int = 0
    well_since_us: int | None = None
    resolved_us: int | None = None
    again_us: int | None = None
    calm_us: int = 0
    acknowledged_by: str | None = None
    acted: bool = False
    silenced_until_us: int | None = None
    fixed_us: int | None = None
    thread: str | None = None
    thread_subject: str | None = None
    openings: tuple[int, ...] = ()
    flapping: bool = False
    closing: bool = False
    earlier: int = 0
    users: int = 0
    names: tuple[str, ...] = ()
    told_us: int | None = None
    value: float | None = None
    peak: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    of_user: bool | None = None

    @property
    def first_us(self) -> int:
        """When it began, as far as is known: with the onset, or with the first firing verdict."""
        return self.since_us if self.onset_us is None else self.onset_us

    @property
    def over_us(self) -> int | None:
        """When it ended, as far as is known: with the recovery, or with the first ok verdict; None while it goes on."""
        if self.status != "resolved":
            return None
        found = (self.recovery_us, self.well_since_us, self.resolved_us)
        return next((at for at in found if at is not None), None)

    @property
    def lasted_s(self) -> int | None:
        """How many seconds it went on in all, without the time between an end and the next beginning; None while it
        does. From a minute on it is whole minutes: those from the minute of `first_us` to the minute of `over_us`."""
        over_us = self.over_us
        if over_us is None:
            return None
        exact = max(0, over_us - self.first_us - self.calm_us)
        if exact < MINUTE:
            return exact // SECOND
        if self.calm_us:
            return (exact + MINUTE // 2) // MINUTE * 60
        return (over_us // MINUTE - self.first_us // MINUTE) * 60

    def silenced(self, now_us: int) -> bool:
        """Whether nobody wants to hear of it now."""
        return self.silenced_until_us is not None and now_us < self.silenced_until_us


@dataclass(frozen=True, slots=True)
class Transition:
    """Something about an incident that may be worth a mail."""

    incident: Incident
    change: Change
    at_us: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What a rule's step needs from before, per subject: the latest incident (ended ones for `REOPEN_WITHIN` seconds),
    how many there were, the last ok verdict, and since when it is judged afresh ("marked as fixed")."""

    latest: Mapping[str, Incident] = field(default_factory=dict)
    number: Mapping[str, int] = field(default_factory=dict)
    last_good_us: Mapping[str, int] = field(default_factory=dict)
    fixed_us: Mapping[str, int] = field(default_factory=dict)


def step(
    rule: Rule, verdicts: Sequence[Verdict], memory: Memory, now_us: int, *, alive: bool, muted: bool = False
) -> tuple[Memory, list[Transition]]:
    """What the verdicts of one minute make of a rule's incidents, and what is to be told.

    `alive` says whether any event came lately: a subject without a verdict is then well, otherwise unknown, and the
    unknown never resolves anything. With `muted` (a maintenance window) nothing opens.
    """
    if not memory.latest and not memory.fixed_us and all(verdict.state != "firing" for verdict in verdicts):
        # The common minute, in which nothing fires and nothing fired lately.
        well = {v.subject: now_us for v in verdicts if v.state == "ok"}
        return (Memory({}, memory.number, {**memory.last_good_us, **well}, {}) if well else memory), []
    old_end = now_us - REOPEN_WITHIN * SECOND
    latest = {s: i for s, i in memory.latest.items() if i.resolved_us is None or i.resolved_us >= old_end}
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
        new, change = _advance(rule, old, verdict, now_us, muted)
        if old is None and new is not None:
            new = replace(new, earlier=number.get(subject, 0), last_good_us=last_good.get(subject))
        elif new is not None and change in ("reopened", "flapping"):
            new = replace(new, last_good_us=last_good.get(subject, new.last_good_us))
        if verdict.state == "ok" and subject in _watched(rule, said):
            last_good[subject] = now_us
        if new is None:
            if old is not None:
                del latest[subject]
            continue
        if new.status != "pending" and (old is None or old.status == "pending"):
            number[subject] = number.get(subject, 0) + 1
        latest[subject] = new
        if change:
            transitions.append(Transition(new, change, now_us))
    return Memory(latest, number, last_good, fixed), transitions


def _watched(rule: Rule, said: Mapping[str, Verdict]) -> Iterable[str]:
    """The subjects whose last good moment is worth keeping: not every user who ever met no error."""
    return said if kind_of(rule).keeps_good else ()


def _advance(
    rule: Rule, old: Incident | None, verdict: Verdict, now_us: int, muted: bool
) -> tuple[Incident | None, Change | None]:
    """The incident after one verdict (None: there is none), and what changed."""
    if verdict.state == "firing":
        return _fire(rule, old, verdict, now_us, muted)
    if old is None or old.status == "resolved":
        return old, None
    if verdict.state == "no_data":
        return old, None
    if old.status == "pending":
        return None, None
    well_since = now_us if old.well_since_us is None else old.well_since_us
    wait = max(rule.resolve_after, FLAP_CALM if old.flapping else 0)
    if now_us - well_since >= wait * SECOND:
        done = replace(old, status="resolved", well_since_us=well_since, resolved_us=now_us)
        if old.flapping:
            done = replace(done, flapping=False, openings=())
        return done, "resolved"
    return replace(old, well_since_us=well_since), None


def _fire(
    rule: Rule, old: Incident | None, verdict: Verdict, now_us: int, muted: bool
) -> tuple[Incident | None, Change | None]:
    seen: dict[str, Any] = {
        "fired_us": now_us, "well_since_us": None, "recovery_us": None,
        "value": verdict.value, "facts": verdict.facts,
    }  # fmt: skip
    if old is None:
        if muted:
            return None, None
        incident_id = blake2b(f"{rule.name}\n{verdict.subject}\n{now_us}".encode(), digest_size=8).hexdigest()
        old = Incident(
            incident_id, rule.name, verdict.subject, rule.severity, "pending", since_us=now_us,
            of_user=kind_of(rule).of_one_user,
        )  # fmt: skip
    peak = _worse(rule, old.peak, verdict.value)
    if old.status == "pending":
        new = replace(old, **seen, peak=peak)
        if muted or now_us - new.since_us < rule.for_ * SECOND:
            return new, None
        return replace(new, status="open", opened_us=now_us, openings=(now_us,)), "opened"
    if old.status == "resolved":
        if muted:
            return old, None
        openings = (*(at for at in old.openings if now_us - at <= FLAP_SPAN * SECOND), now_us)
        calm_us = old.calm_us + now_us - (old.over_us or now_us)
        new = replace(old, **seen, peak=peak, status="open", resolved_us=None, openings=openings)
        new = replace(new, again_us=now_us, calm_us=calm_us)
        if not new.silenced(now_us):
            new = replace(new, acknowledged_by=None)
        if len(openings) >= FLAP_OPENINGS:
            return replace(new, flapping=True), "flapping"
        return new, "reopened"
    new = replace(old, **seen, peak=peak)
    return new, _reminder(rule, new, now_us)


def _worse(rule: Rule, peak: float | None, value: float | None) -> float | None:
    if peak is None or value is None:
        return value if peak is None else peak
    return kind_of(rule).worse(peak, value)


def _reminder(rule: Rule, incident: Incident, now_us: int) -> Change | None:
    """A repeat is due for an incident that fires and that nobody has taken on, counted from the last mail about it."""
    if incident.status != "open" or incident.silenced(now_us):
        return None
    told_us, silent_us = incident.told_us, incident.silenced_until_us
    if silent_us is not None and (told_us is None or told_us < silent_us):
        return "unsilenced"
    return "reminder" if told_us is not None and 0 < rule.repeat * SECOND <= now_us - told_us else None
