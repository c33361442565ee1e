"""The answers of the endpoints on Guardian's own state: its health and its status. See `guardian.web.answers`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class RecorderTotals(BaseModel):
    """The sums of the host's writing processes of the last 7 days; accepted = stored + dropped + queued."""

    processes: int
    accepted: int
    stored: int
    dropped: int
    queued: int


class ProcessTotals(BaseModel):
    """One writing process of the last day, without its name; accepted = stored + dropped + queued. What a process that
    is silent has queued is lost."""

    accepted: int
    stored: int
    dropped: int
    queued: int
    last_heartbeat_age_seconds: int


class Health(BaseModel):
    """Whether all is well; `reasons` say why not. Ages are seconds, None where there was no event or heartbeat.

    `notes` count, by kind, what the processes could not make out, such as refused tokens; the status says more.
    """

    status: Literal["ok", "degraded"]
    reasons: list[str]
    recorder: RecorderTotals
    processes: list[ProcessTotals]
    notes: dict[str, int]
    last_event_age_seconds: int | None
    last_heartbeat_age_seconds: int | None


NotReady = Literal["database-lost", "database-unusable", "no-leader", "step-failing", "mail-unsent"]
"""Why the promise does not hold: the file is gone or replaced; it does not answer; no process leads; a step failed
three times in a row, or hangs; a message has waited for 15 minutes."""


class Readiness(Health):
    """The health, and why Guardian does not do what it is for; an empty list where it does."""

    not_ready: list[NotReady]


class Covers(BaseModel):
    """A window [start, end)."""

    start: datetime
    end: datetime


class ScheduleStatus(BaseModel):
    """A schedule: what it last covered, and when the next report goes out."""

    name: str
    when: str
    recipients: int
    last_period_end: datetime | None
    next_at: datetime
    next_covers: Covers
    sentence: str


class Dead(BaseModel):
    """A mail or message that cannot be delivered, and why."""

    id: int
    kind: str
    channel: str
    recipient: str
    created_at: datetime
    error: str | None


class TransportStatus(BaseModel):
    """A transport; while `closed_until` lies ahead it is left alone, because its server could not be reached."""

    name: str
    closed_until: datetime | None


class UndeliveredStatus(BaseModel):
    """What a recipient of a channel does not get: messages that wait too long, and that were given up.

    `told` are the channels on which somebody was told.
    """

    channel: str
    recipient: str
    waiting: int
    dead: int
    since: datetime | None
    error: str
    told: list[str]


class StepStatus(BaseModel):
    """How the last run of a step went; `error` None means well."""

    ended_at: datetime
    error: str | None


class RecorderStatus(BaseModel):
    """One writing process of the host app."""

    id: str
    started_at: datetime
    seen_at: datetime
    accepted: int
    stored: int
    dropped: int
    queued: int
    version: str


class Note(BaseModel):
    """Something to know of the recording, in a sentence with its cure. `count` is how often; `detail` may be empty."""

    kind: str
    count: int
    detail: str
    text: str
    cure: str


class StorageStatus(BaseModel):
    """How much is stored."""

    events: int
    users: int
    oldest: datetime | None
    newest: datetime | None
    size_bytes: int


class Status(BaseModel):
    """The state of everything; `leading` is False in a process that stands by. Other keys may stand beside these."""

    model_config = ConfigDict(extra="allow")

    leading: bool
    now: datetime
    schedules: list[ScheduleStatus]
    outbox: dict[str, int]
    dead: list[Dead]
    transports: list[TransportStatus]
    undelivered: list[UndeliveredStatus]
    steps: dict[str, StepStatus]
    recorders: list[RecorderStatus]
    notes: list[Note]
    storage: StorageStatus
