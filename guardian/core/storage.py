"""What a store of events reports about itself, and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RecorderHealth:
    """What one writing process of the host app last said of itself; accepted = stored + dropped + queued."""

    id: str
    started_at: datetime
    seen_at: datetime
    accepted: int
    stored: int
    dropped: int
    version: str

    @property
    def queued(self) -> int:
        """Events that wait to be stored; in a process that has ended, that are lost."""
        return self.accepted - self.stored - self.dropped


@dataclass(frozen=True, slots=True)
class RecorderNote:
    """Something that one writing process of the host app could not make out, or lost.

    `kind` is one of those of `core.note_words.KINDS` or, of a newer tracker, another; `detail` the reason in one
    sentence; `count` how often it was so since the process started, `seen_at` when it last was.
    """

    recorder: str
    kind: str
    detail: str
    count: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Signs:
    """What a store shows of whether events arrive. Each is what the method of `UsageRepository` gives alone:
    `recorders`, the `newest` event, how many events are `ahead`, `notes`, and `unmerged` bytes."""

    recorders: list[RecorderHealth]
    newest: datetime | None
    ahead: int
    notes: list[RecorderNote]
    unmerged: int


@dataclass(frozen=True, slots=True)
class StorageStats:
    """How much is stored. `oldest` and `newest` are times of events, None where there is none.

    `purged` counts the events that retention has deleted since the store was made; `totals_since` is the start of the
    oldest summary, with the totals of each user, None where there is none. `place` is what people know the store by, as
    the path of its file; "" where that is not known.
    """

    events: int
    users: int
    oldest: datetime | None
    newest: datetime | None
    size_bytes: int
    purged: int = 0
    totals_since: datetime | None = None
    place: str = ""


class StorageError(Exception):
    """The store cannot answer; the message is one sentence for the person who runs Guardian."""


class WindowGone(StorageError):
    """The window reaches back into what retention has deleted."""
