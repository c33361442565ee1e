"""The incident that a firing rule opens, its transitions, and what is remembered between minutes. `life` makes them.

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
"""An incident that fires again within this many seconds of its end is continued, in the same thread, instead of a new
one."""

SUBJECTS = 1_000
"""For this many subjects a rule remembers how many incidents they have had: those that had one most recently. People
come and go, and the state is stored as a whole."""

Status = Literal["pending", "open", "acknowledged", "resolved"]
GOING_ON: tuple[Status, ...] = ("open", "acknowledged")
"""The states of an incident that was announced and goes on."""
End = Literal["resolved", "closed", "removed", "unwatched"]
Change = Literal["opened", "reopened", "flapping", "reminder", "unsilenced"] | End
"""What can happen to an incident. `unsilenced`: it still fires after a silence. `closed`: a person ended it. `removed`:
its rule left the settings. `unwatched`: its changed rule no longer watches the subject, or would not fire any more.
After the last two nobody knows whether all is well."""
ENDS: Collection[Change] = ("resolved", "closed", "removed", "unwatched")
"""The changes that end an incident."""
UNKNOWN: Collection[End | None] = ("removed", "unwatched")
"""The ends after which the subject is no longer watched: if it fires later, that is a new incident."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets a message: the channels ("mail" among them) and the recipients of the mail. Mail without recipients
    means the admins, where they are not known (a preview) or were not recorded (an older version)."""

    channels: tuple[str, ...]
    recipients: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every address and every channel but mail."""
        return (*self.recipients, *(channel for channel in self.channels if channel != "mail"))

    def joined(self, other: Audience | None) -> Audience:
        """Both audiences together, without duplicates."""
        if other is None:
            return self
        channels = dict.fromkeys((*other.channels, *self.channels))
        return Audience(tuple(channels), tuple(dict.fromkeys((*other.recipients, *self.recipients))))


@dataclass(frozen=True, slots=True)
class Incident:
    """One firing rule for one subject.

    `since_us` is the first firing verdict, `opened_us` when it had held for the rule's `for`. `onset_us` and
    `recovery_us` are the start and end as requests show them: the first bad request (or the last sign of life, where
    absence is the problem), and the first good one after it; None where requests do not show it. Texts use `first_us`,
    `over_us` and `lasted_s`, which fall back on the verdicts. `last_good_us` is the last good request before the onset,
    or the last ok verdict (None: none was seen). `well_since_us` is the first ok verdict since it last fired, None
    while it fires. `again_us` is the onset after its latest end, `calm_us` how long (µs) it was over in between, in
    all. When it last fired, nothing before `judged_from_us` counted, because of a fix or maintenance; 0: everything
    did. `openings` are the latest times it opened or opened again. `closing` means that a person ended it and the
    others have yet to be told; `acted` that somebody ever took an action on it; `acknowledged_by` says who did since it
    last opened. `earlier` counts the incidents of the same rule and subject before this one. `users` is the largest
    number of verified users that it was seen to concern, `names` the first few of them. `told_us` is when a message
    last spoke of it, None for never; `thread` and `thread_subject` are its mail thread, `thread_subjects` the subject
    in other languages, by code; names are marked in them (`guardian.core.mentions`). `value` and `facts` are those of
    the latest firing verdict, `peak` is the worst value so far. `of_user` says whether the subject is a person's name,
    None where an older version did not note it.

    `end` says how it ended, None while it goes on. `heard` is who was told of a start and not yet of its end, and
    `readers` are the `Audience.names` that have its thread (None: all, from an older version). `under` is the key in
    `AlertState.former` of the rule that it last fired by, "" if that is the current rule. While it is pending,
    `held_us` is how long it has held, up to the latest request at `data_us`.
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
        """When it started: the onset, or the first firing verdict where no onset is known."""
        return self.since_us if self.onset_us is None else self.onset_us

    @property
    def over_us(self) -> int | None:
        """When it ended: the recovery, or the first ok verdict where no recovery is known. None while it goes on."""
        if self.status != "resolved":
            return None
        found = (self.recovery_us, self.well_since_us, self.resolved_us)
        return next((at for at in found if at is not None), None)

    @property
    def lasted_s(self) -> int | None:
        """How many seconds it lasted in all, not counting the time between an end and the next start; None while it
        goes on. A minute or more is counted in whole minutes, from the minute of `first_us` to that of `over_us`."""
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
        """The incident, ended by something other than a verdict."""
        return replace(self, status="resolved", resolved_us=now_us, well_since_us=now_us, end=end, flapping=False)

    def kept(self, now_us: int) -> bool:
        """Whether it may still matter: it goes on, ended less than `REOPEN_WITHIN` ago, or is silenced."""
        if self.resolved_us is None or self.silenced(now_us):
            return True
        return self.resolved_us >= now_us - REOPEN_WITHIN * SECOND

    def reopens(self, now_us: int) -> bool:
        """Whether firing now continues this incident rather than opening a new one."""
        if self.end in UNKNOWN:
            return False
        return self.resolved_us is None or self.resolved_us >= now_us - REOPEN_WITHIN * SECOND

    def silenced(self, now_us: int) -> bool:
        """Whether it is silenced now."""
        return self.silenced_until_us is not None and now_us < self.silenced_until_us


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an incident that may be worth a message."""

    incident: Incident
    change: Change
    at_us: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What a rule remembers from minute to minute, per subject: the latest incident (see `Incident.kept`), how many
    there were (for `SUBJECTS` of them), the last ok verdict, and when it was marked as fixed. `ahead_us` are bursts
    (first and last error) that were stored under a future time by a clock that ran ahead."""

    latest: Mapping[str, Incident] = field(default_factory=dict)
    number: Mapping[str, int] = field(default_factory=dict)
    last_good_us: Mapping[str, int] = field(default_factory=dict)
    fixed_us: Mapping[str, int] = field(default_factory=dict)
    ahead_us: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def was_told(self, subject: str, facts: Mapping[str, Any]) -> bool:
        """Whether this burst was already announced, under a time that was then in the future."""
        onset_us, ended_us = self.ahead_us.get(subject, (0, 0))
        return "ended_us" in facts and onset_us <= facts["onset_us"] and facts["ended_us"] <= ended_us


NOTHING_KNOWN = Memory()
"""The memory of a rule that was never judged."""


def was_open(incident: Incident, start: datetime, end: datetime) -> bool:
    """Whether the incident was open at any time within [start, end)."""
    if incident.opened_us is None or moment(incident.opened_us) >= end:
        return False
    return incident.resolved_us is None or moment(incident.resolved_us) >= start
