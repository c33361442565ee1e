"""What is known of a firing rule: the incident, what changes of it, and what is remembered. `life` makes them.

Times are Unix microseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from guardian.core.time import moment
from guardian.settings.kinds import Severity

SECOND, MINUTE = 1_000_000, 60_000_000
REOPEN_WITHIN = 3600
"""An incident that fires again within this many seconds of its end goes on: same thread, no new incident."""

Status = Literal["pending", "open", "acknowledged", "resolved"]
GOING_ON: tuple[Status, ...] = ("open", "acknowledged")
"""What has been told, and is not over."""
End = Literal["resolved", "closed", "removed", "unwatched"]
Change = Literal["opened", "reopened", "flapping", "reminder", "unsilenced"] | End
"""What is told of an incident: `unsilenced` is that it still fires after a silence, `closed` that a person ended it,
`removed` that its rule was taken out of the settings, `unwatched` that a changed rule no longer watches it, or would no
longer fire: of both nobody knows whether it is well."""
ENDS: Collection[Change] = ("resolved", "closed", "removed", "unwatched")
"""The changes by which an incident is over."""
UNKNOWN: Collection[End | None] = ("removed", "unwatched")
"""The ends after which nobody looks any more: what fires later is another incident."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets a message: the channels (among them "mail") and the mail's recipients. Mail without recipients stands
    for the admins: they are not known, as in a preview, or an older version did not record them."""

    channels: tuple[str, ...]
    recipients: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every address and every channel but mail."""
        return (*self.recipients, *(channel for channel in self.channels if channel != "mail"))

    def joined(self, other: Audience | None) -> Audience:
        """These and the others, each once."""
        if other is None:
            return self
        channels = dict.fromkeys((*other.channels, *self.channels))
        return Audience(tuple(channels), tuple(dict.fromkeys((*other.recipients, *self.recipients))))


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
    never; `thread` and `thread_subject` tell to which mail thread it belongs, `thread_subjects` what its subject is in
    other languages, by code; names are marked in them (`guardian.core.mentions`). `value` and `facts` are those of the
    latest firing verdict, `peak` is the worst value so far. `of_user` says whether the subject is a person's name, None
    where an older version did not note it.

    `end` says how it ended, None while it goes on. `heard` is who was told of a beginning and of no end since, and
    `readers` are the `Audience.names` that have its thread (None: all, in an older version). `under` is the
    key in `AlertState.former` of the rule that it last fired by, "" where that is the present one. While it is
    pending, `held_us` is how long it has held, up to the latest request at `data_us`.
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
    thread_subjects: Mapping[str, str] = field(default_factory=dict)
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
    end: End | None = None
    heard: Audience | None = None
    readers: tuple[str, ...] | None = None
    under: str = ""
    held_us: int = 0
    data_us: int = 0

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
        """How many seconds it lasted in all, without the time between an end and the next beginning; None while it goes
        on. A minute or more is counted in whole minutes, from the minute of `first_us` to that of `over_us`."""
        over_us = self.over_us
        if over_us is None:
            return None
        exact = max(0, over_us - self.first_us - self.calm_us)
        if exact < MINUTE:
            return exact // SECOND
        if self.calm_us:
            return (exact + MINUTE // 2) // MINUTE * 60
        return (over_us // MINUTE - self.first_us // MINUTE) * 60

    def ended(self, end: End, now_us: int) -> Incident:
        """It, over by something else than a verdict."""
        return replace(self, status="resolved", resolved_us=now_us, well_since_us=now_us, end=end, flapping=False)

    def kept(self, now_us: int) -> bool:
        """Whether it may still matter: it goes on, or ended less than `REOPEN_WITHIN` ago, or the silence lasts."""
        if self.resolved_us is None or self.silenced(now_us):
            return True
        return self.resolved_us >= now_us - REOPEN_WITHIN * SECOND

    def reopens(self, now_us: int) -> bool:
        """Whether it goes on where it fires again now."""
        if self.end in UNKNOWN:
            return False
        return self.resolved_us is None or self.resolved_us >= now_us - REOPEN_WITHIN * SECOND

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
    """What a rule's step needs from before, per subject: the latest incident (see `Incident.kept`), how many there
    were, the last ok verdict, and since when it is judged afresh ("marked as fixed"). `ahead_us` are bursts,
    from their first error to their last, that a clock which was ahead had put into a time that was still to come."""

    latest: Mapping[str, Incident] = field(default_factory=dict)
    number: Mapping[str, int] = field(default_factory=dict)
    last_good_us: Mapping[str, int] = field(default_factory=dict)
    fixed_us: Mapping[str, int] = field(default_factory=dict)
    ahead_us: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def was_told(self, subject: str, facts: Mapping[str, Any]) -> bool:
        """Whether it was told of this burst before its time came."""
        onset_us, ended_us = self.ahead_us.get(subject, (0, 0))
        return "ended_us" in facts and onset_us <= facts["onset_us"] and facts["ended_us"] <= ended_us


NOTHING_KNOWN = Memory()
"""What is remembered of a rule that was never judged."""


def was_open(incident: Incident, start: datetime, end: datetime) -> bool:
    """Whether the incident was open at any time within [start, end)."""
    if incident.opened_us is None or moment(incident.opened_us) >= end:
        return False
    return incident.resolved_us is None or moment(incident.resolved_us) >= start
