"""Where the events of a process go: what a store has to do for the tracker, and which one an address means.

A store is a folder beside this file. Nothing else in the tracker knows which one is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, Protocol

from tracker.event import Event
from tracker.firestore.address import is_firestore, parse
from tracker.source import Source


class Unavailable(Exception):
    """The store accepts nothing for now, because it is locked, full or gone: the same batch is retried.

    The message says why, for the log. With `reopen` this sink is finished: open another one.
    """

    def __init__(self, why: str, *, reopen: bool = True) -> None:
        super().__init__(why)
        self.reopen = reopen


class Unusable(Exception):
    """The store cannot be used as it is: corrupt, or of a newer version. The message says why, for the log."""


class Heartbeat(NamedTuple):
    """What a recorder reports about itself with a batch: times in Unix microseconds, counts since it started."""

    recorder: str
    started_us: int
    seen_us: int
    accepted: int
    stored: int
    dropped: int
    version: str


Beat = Callable[[int, int], Heartbeat]
"""Called with how many events of a batch are stored and how many never can be; returns the heartbeat to store along."""


class Sink(Protocol):
    """A store that is open for writing. It belongs to one thread at a time."""

    def write(
        self,
        events: Iterable[Event],
        *,
        heartbeat: Beat | None = None,
        notes: Iterable[tuple[str, str, int]] = (),
        between: Callable[[], bool] | None = None,
    ) -> int:
        """Take a batch, all or nothing, and return how many of it are stored: an event that cannot be stored costs only
        itself. The heartbeat, and `notes` of kind, detail and count, are stored with it. Between two parts of the work
        `between` is called, so that other threads can have the interpreter. Where it answers False, or is None, the
        rest is done at once.

        Raises Unavailable and Unusable; nothing of the batch is stored then, or nobody knows: the events of the next
        call begin with those of this one.
        """

    def moved(self) -> bool:
        """Whether what was opened is no longer what the address means: open another one, after `leave`."""

    def leave(self) -> None:
        """Close a store that has moved, without harming what is now in its place; never raises."""

    def close(self) -> None:
        """Close it; never raises, and may be called twice."""


class Pace(NamedTuple):
    """A store is written to when `batch` events wait, or after `interval` seconds; where it is `prompt`, as soon as
    nothing more comes for a moment. The first batch of a process waits at most `first` seconds, since nobody knows yet
    what would be lost with it. So that many instances do not write at once, each varies the interval by up to
    `jitter` of it. The end of the process waits at most `ending` seconds for what is to be stored: hosts are killed
    ten seconds after they are told to end (Docker, Cloud Run; Kubernetes 30)."""

    interval: float
    batch: int
    prompt: bool = True
    jitter: float = 0.0
    ending: float = 3.5
    first: float = math.inf


SQLITE_PACE = Pace(1.0, 4_096)
"""Twice as many as go into the table of requests with one statement."""
FIRESTORE_PACE = Pace(15.0, 5_000, prompt=False, jitter=0.2, ending=8.0, first=1.0)
"""A document costs as much for one event as for thousands. The long `ending` is for a process that ends early, which
still has to load the library, connect, and look up the names of all its people."""

Opener = Callable[[], Sink]
"""Opens a sink, in the thread that will write to it. Raises Unavailable and Unusable."""


def opener(database: str, *, pseudonymous: bool = False, made_by: Source | None = None) -> Opener:
    """How to open the store of an address; nothing is opened, or made, yet. `made_by` goes with its events."""
    if is_firestore(database):
        return _firestore(database, pseudonymous, made_by)
    from tracker.sqlite.sink import SqliteSink  # imported here, so that the event's types load no database

    return partial(SqliteSink, database, pseudonymous=pseudonymous, made_by=made_by)


def _firestore(database: str, pseudonymous: bool, made_by: Source | None) -> Opener:
    from tracker.firestore.sink import FirestoreSink, Waiting

    if pseudonymous:
        from tracker.firestore.pseudonyms import key_apart

        key_apart()  # one that is none is said at the start
    parse(database)
    return partial(FirestoreSink, database, Waiting(made_by), pseudonymous=pseudonymous)


def pace(database: str) -> Pace:
    """The default pace for the store of an address."""
    return FIRESTORE_PACE if is_firestore(database) else SQLITE_PACE
