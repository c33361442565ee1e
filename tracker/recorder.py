"""A bounded buffer between the requests of a process and its one writer thread."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from tracker.error_text import AuthoredTexts, reason_phrase
from tracker.event import Event, Failure
from tracker.process import watch
from tracker.schema import NewerDatabase
from tracker.writer import Writer

log = logging.getLogger("tracker")

HEARTBEAT_SECONDS = 30.0
"""An idle process says that it lives this often."""
_BACKOFF = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
_LOCK_SECONDS = 2.0  # one attempt's wait for another process' lock; the buffer holds meanwhile
_serial = itertools.count(1)


class Stats(NamedTuple):
    """Numbers of one process since it started; `accepted = stored + dropped + queued` at all times."""

    accepted: int
    stored: int
    dropped: int
    queued: int


class Unverified(NamedTuple):
    """A failure whose text has yet to be compared with the literals of the app's code, in the writer thread.

    `candidate` may be what a client sent: it stays out of `repr`, is compared, and forgotten. `endpoint` is the
    function that answered, or None; it tells which package is the app's own.
    """

    kind: str
    candidate: str | None
    endpoint: Any
    location: str = ""

    def __repr__(self) -> str:
        return f"Unverified({self.kind!r})"


class Recorder:
    """Takes events from requests and stores them in `database`, in batches, from a thread of its own.

    `add` never blocks and never raises; when `buffer_size` events wait, the newest is dropped and counted. A batch
    goes out when `batch_size` events wait, or after `flush_interval` seconds. An event leaves the buffer only when its
    batch has been committed; a database that is locked or full is tried again. One that cannot be used at all
    (corrupt, of a newer version) is said once in the log; from then on events are dropped and counted, and the host
    goes on serving. What waits is stored when the process ends, unless it is killed. A forked child starts anew.
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        buffer_size: int = 10_000,
        flush_interval: float = 1.0,
        batch_size: int = 500,
        texts: AuthoredTexts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for name, value in (("buffer_size", buffer_size), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} = {value!r} must be at least 1 event")
        if not 0 < flush_interval <= 3600:
            raise ValueError(f"flush_interval = {flush_interval!r} must be above 0 and at most 3600 seconds")
        self._database = os.fspath(database)
        self._size = self._room = buffer_size
        self._interval = flush_interval
        self._batch = min(batch_size, buffer_size)
        self._texts = texts or AuthoredTexts()
        self._clock = clock
        self.reset()
        watch(self)

    def reset(self) -> None:
        """Start with nothing: in a forked child the parent's events, locks and thread are not ours."""
        self._buffer: deque[Event] = deque()
        self._lock = threading.Lock()
        self._gone = threading.Condition(self._lock)  # notified when events have left the buffer
        self._inside = threading.Lock()  # held while the thread is inside SQLite
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._room = self._size  # none is left once the database has turned out to be unusable
        self._stored = self._dropped = 0
        self._left = self._goal = 0  # events that have left the buffer, and how many of them somebody waits for
        self._deadline: float | None = None  # set by close()
        self._started_us = self._now_us()
        self.id = f"{socket.gethostname()}:{os.getpid()}:{self._started_us}:{next(_serial)}"

    def add(self, event: Event) -> None:
        """Take one event; called from the event loop or from any thread."""
        # Without the lock: appending is atomic, and every other change of the buffer is the writer's.
        waiting = len(self._buffer)
        if waiting >= self._room:
            self.add_lost()
            return
        self._buffer.append(event)
        if self._thread is None:
            with self._lock:
                self._start()
        elif waiting == self._batch - 1:
            self._wake.set()

    def add_lost(self) -> None:
        """Count an event that could not even be made."""
        with self._lock:
            self._dropped += 1

    def stats(self) -> Stats:
        """The four numbers, taken at one moment."""
        with self._lock:
            return self._counts()

    def _counts(self) -> Stats:
        queued = len(self._buffer)
        return Stats(self._stored + self._dropped + queued, self._stored, self._dropped, queued)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until what is queued now has been stored or dropped; False if `timeout` seconds were not enough."""
        with self._lock:
            goal = self._left + len(self._buffer)
            if self._buffer:
                self._start()
            self._goal = max(self._goal, goal)
            self._wake.set()
            return self._gone.wait_for(lambda: self._left >= goal, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Store what waits and end the thread; False if `timeout` seconds were not enough, and events still wait.

        An event that is added later starts the thread again.
        """
        with self._lock:
            if self._buffer:
                self._start()
            thread = self._thread
            self._deadline = time.monotonic() + timeout
            self._wake.set()
        if thread is not None:
            thread.join(timeout)
        with self._lock:
            return not self._buffer

    def pause(self, timeout: float) -> bool:
        """Keep the writer out of SQLite until `resume`; False if `timeout` seconds were not enough."""
        return self._inside.acquire(timeout=timeout)

    def resume(self) -> None:
        """Let the writer go on after `pause`."""
        self._inside.release()

    def _start(self) -> None:
        """Start the writer unless it runs; the lock is held."""
        if self._thread is not None:
            return
        self._deadline = None
        # A daemon thread: a database that hangs must not keep the host from ending. close() drains, at exit too.
        thread = threading.Thread(target=self._run, name="usage-tracker", daemon=True)
        with suppress(RuntimeError):  # no new threads in an interpreter that is ending
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        writer: Writer | None = None
        failures, beat = 0, float("-inf")
        while True:
            self._wake.wait(_BACKOFF[min(failures, len(_BACKOFF)) - 1] if failures else self._interval)
            with self._lock:
                self._wake.clear()
                # By number: an iteration would fail on what is added meanwhile.
                batch = [self._buffer[i] for i in range(min(len(self._buffer), self._batch))]
                if self._deadline is not None and not (batch and time.monotonic() < self._deadline):
                    self._thread = None
                    # An event that came before this line found a thread, one that comes now starts another.
                    if batch or not self._buffer:
                        break
                    self._thread = threading.current_thread()
                    self._wake.set()
                    continue
            if not batch and 0 <= self._clock() - beat < HEARTBEAT_SECONDS:
                continue
            with self._inside:
                try:
                    writer = writer or Writer(self._database, timeout=_LOCK_SECONDS)
                    self._store(writer, batch)
                except sqlite3.OperationalError as error:
                    # Locked, full, not there yet: the buffer holds, and the next attempt opens the file anew.
                    failures += 1
                    if failures == len(_BACKOFF):
                        log.warning("The tracker cannot write to %s and tries on: %s", self._database, error)
                    writer = _close(writer)
                except Exception as error:
                    if _is_hopeless(error):
                        self._give_up(error)
                        break
                    # A fault of ours costs this batch, not the thread and all that comes after.
                    log.error("The tracker could not store %d events (%s).", len(batch), type(error).__name__)
                    self._taken(len(batch), 0)
                else:
                    if failures >= len(_BACKOFF):
                        log.warning("The tracker writes to %s again", self._database)
                    failures, beat = 0, self._clock()
        with self._inside:
            _close(writer)

    def _store(self, writer: Writer, batch: list[Event]) -> None:
        """Commit a batch and take it off the buffer."""
        stored = writer.write([self._verified(event) for event in batch], heartbeat=self._heartbeat)
        self._taken(len(batch), stored)

    def _taken(self, number: int, stored: int) -> None:
        """Take so many events off the buffer: some are stored now, the rest is lost."""
        with self._lock:
            for _ in range(number):
                self._buffer.popleft()
            self._stored += stored
            self._dropped += number - stored
            self._left += number
            if len(self._buffer) >= self._batch or self._left < self._goal or self._deadline is not None:
                self._wake.set()
            self._gone.notify_all()

    def _heartbeat(self, stored: int, poison: int) -> tuple[Any, ...]:
        """The row of guardian_recorder, as it is true once a batch of so many events is committed."""
        with self._lock:
            accepted, before, dropped, _ = self._counts()
        counts = (accepted, before + stored, dropped + poison)
        return (self.id, self._started_us, self._now_us(), *counts, _version())

    def _verified(self, event: Event) -> Event:
        """The event with the app author's words in place of a text that nobody has vouched for."""
        failure: Any = event.failure
        if type(failure) is not Unverified:
            return event
        try:
            message = self._texts.message(failure.candidate, event.status, failure.endpoint)
        except Exception:  # reading an app's code may go wrong in its own ways; the event is worth more than its text
            message = reason_phrase(event.status)
        return event._replace(failure=Failure(failure.kind, message, failure.location))

    def _give_up(self, error: Exception) -> None:
        log.error("The tracker stops recording into %s: %s. The app goes on.", self._database, error)
        with self._lock:
            self._room, self._thread = 0, None
        self._taken(len(self._buffer), 0)

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


def _is_hopeless(error: Exception) -> bool:
    """Whether the file is not a database, is corrupt, or is of a newer version.

    sqlite3 raises DatabaseError itself, not one of its subclasses, for SQLITE_CORRUPT and SQLITE_NOTADB.
    """
    return isinstance(error, NewerDatabase) or type(error) is sqlite3.DatabaseError


def _close(writer: Writer | None) -> None:
    if writer is not None:
        with suppress(sqlite3.Error):
            writer.close()


def _version() -> str:
    """The version of the program that wrote a heartbeat; "unknown" where it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError, version  # heavy, and only the writer thread needs it

    try:
        return version("usage-guardian")
    except PackageNotFoundError:
        return "unknown"
