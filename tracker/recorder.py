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
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from tracker.address import why_not_opened
from tracker.error_text import AuthoredTexts, Frame, location_of, reason_phrase
from tracker.event import Event, Failure
from tracker.process import watch
from tracker.saying import announce, say
from tracker.sqlite.migrations import NewerDatabase
from tracker.sqlite.writer import Writer

HEARTBEAT_SECONDS = 30.0
"""An idle process says that it lives this often."""
CLOSE_SECONDS = 3.5
"""`close` waits at most this long, all its calls together."""
QUIET_SECONDS = 0.05
"""What waits is stored once nothing more has come for this long."""
_BACKOFF = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_CLOSING_BACKOFF = 0.01
_LOCK_SECONDS = 0.05  # one attempt's wait for another process' lock: a fork waits for it, too
_LATE_SECONDS = 0.25  # how long a request that comes after the end waits for its event to be stored
_ENDING_SECONDS = 5.0
_HOPE_SECONDS = 10.0  # how long after a database turned out to be unusable it is tried again
_LOOK_SECONDS = 1.0  # how often a thread at rest looks whether its recorder was abandoned
_AWAKE_SECONDS = 10.0  # how long after the last event the thread looks for the next one by itself
_MOST_NOTES = 100
_serial = itertools.count(1)
_SAID = {
    "token_refused": "A token counted for nothing: %s. Each reason is said once; the report counts them.",
    "name_refused": "A user could not be named: %s. Said once; the report counts them.",
}


class Stats(NamedTuple):
    """Numbers of one process since it started; `accepted = stored + dropped + queued` at all times."""

    accepted: int
    stored: int
    dropped: int
    queued: int


class Unverified:
    """A failure whose text has yet to be compared with the literals of the app's code, and whose place has yet to be
    found among its frames: both in the writer thread.

    `candidate` may be what a client sent: it stays out of `repr`, is compared, and forgotten. `endpoint` is the
    function that answered, or None; it tells which package is the app's own. `message` are words of ours that are kept
    as they are.
    """

    __slots__ = ("candidate", "endpoint", "frames", "kind", "message")

    def __init__(
        self,
        kind: str,
        candidate: str | None,
        endpoint: Any,
        frames: Sequence[Frame] = (),
        message: str | None = None,
    ) -> None:
        self.kind, self.candidate, self.endpoint = kind, candidate, endpoint
        self.frames, self.message = frames, message

    def learn(self, kind: str, frames: Sequence[Frame]) -> None:
        """Take over an exception that came to light after the answer, if nobody has looked yet."""
        self.kind, self.frames = kind, frames

    def __repr__(self) -> str:
        return f"Unverified({self.kind!r})"


class Recorder:
    """Takes events from requests and stores them in `database`, in batches, from a thread of its own.

    `add` never raises; when `buffer_size` events wait, the newest is dropped and counted. What waits is stored when
    nothing more has come for 50 ms, when `batch_size` events wait, or after `flush_interval` seconds. An event leaves
    the buffer only when its batch has been committed to the file that is there; a database that is locked or full is
    tried again, and one that was removed or replaced under the process is opened anew, and said. One that cannot be
    used at all (corrupt, of a newer version) is said once in the log, and tried again every ten seconds; meanwhile
    events are dropped and counted, and the host goes on serving. What waits is stored when the process ends, unless it
    is killed. An event that comes after `close` is stored at once. A forked child starts anew.
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
        self._asleep = True  # the thread has to be woken, or started, for an event to be stored
        self._busy_at = 0.0
        self._room = self._size  # none is left once the database has turned out to be unusable
        self._stored = self._dropped = 0
        self._left = self._goal = 0  # events that have left the buffer, and how many of them somebody waits for
        self._deadline: float | None = None  # set by close()
        self._ended, self._ended_at = False, 0.0  # by close(), until open()
        self._abandoned = False
        self._hopeless_at = 0.0  # when the database turned out to be unusable
        self._apps = 0  # that have started and will say when they end
        self._late = 4 * _LATE_SECONDS  # how long late events may wait, all together
        self._patience = CLOSE_SECONDS  # how long close() may wait yet
        self._notes: dict[tuple[str, str], int] = {}
        self._new_notes: set[tuple[str, str]] = set()
        self._announced = False
        self._started_us = self._now_us()
        self.id = f"{socket.gethostname()}:{os.getpid()}:{self._started_us}:{next(_serial)}"

    def add(self, event: Event) -> None:
        """Take one event; called from the event loop or from any thread."""
        # Without the lock: appending is atomic, and every other change of the buffer is the writer's.
        waiting = len(self._buffer)
        if not self._room and time.monotonic() - self._hopeless_at > _HOPE_SECONDS:
            self._room = self._size  # the file may have been mended, or put back, since
        if waiting >= self._room:
            with self._lock:
                self._dropped += 1
            self.note("dropped", "the buffer was full" if self._room else "the database cannot be used")
            return
        self._buffer.append(event)
        if self._asleep:
            with self._lock:
                self._start()
                self._wake.set()
        elif waiting == self._batch - 1:
            self._wake.set()

    def hurry(self) -> None:
        """After `close`, wait a moment for what waits: a request that was cancelled may be the process' last act."""
        if self._ended and self._late > 0:
            began = time.monotonic()
            self.flush(min(self._late, _LATE_SECONDS))
            self._late -= time.monotonic() - began

    def add_lost(self, why: str) -> None:
        """Count an event that could not even be made; `why` is a word of ours."""
        with self._lock:
            self._dropped += 1
        self.note("unrecorded", why)

    def note(self, kind: str, detail: str, count: int = 1) -> None:
        """Count something that could not be made out; the count goes with the heartbeat, the log says it once."""
        with self._lock:
            key = (kind, detail)
            if key not in self._notes and len(self._notes) >= _MOST_NOTES:
                key = (kind, "(other)")
            first = key not in self._notes
            self._notes[key] = self._notes.get(key, 0) + count
            self._new_notes.add(key)
        if first and kind in _SAID:
            say(logging.WARNING, _SAID[kind], detail)

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

    def open(self) -> None:
        """Say that an app has started which will close this when it ends."""
        with self._lock:
            self._apps += 1
            self._ended, self._patience, self._late = False, CLOSE_SECONDS, 4 * _LATE_SECONDS
        self._announce()

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            announce("The tracker records into %s", self._database)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be stored."""
        return not self._buffer

    def drain(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Store what waits, as the end is near; False if `timeout` seconds were not enough, and events still wait.

        The thread ends by itself.
        """
        return self._end(timeout, lambda thread, seconds: self._gone.wait_for(lambda: not self._buffer, seconds))

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Store what waits and end the thread; False if `timeout` seconds were not enough, and events still wait.

        An event that is added later starts the thread again.
        """

        def join(thread: threading.Thread, seconds: float) -> None:
            self._lock.release()
            try:
                thread.join(seconds)
            finally:
                self._lock.acquire()

        return self._end(timeout, join)

    def _end(self, timeout: float, wait: Callable[[threading.Thread, float], object]) -> bool:
        began = time.monotonic()
        with self._lock:
            self._ended, self._ended_at = True, began
            if self._buffer:
                self._start()
            # However often it is called, by the lifespan and at the end of the process: hosts have only seconds.
            timeout = max(0.05, min(timeout, self._patience))
            self._deadline = began + timeout
            self._wake.set()
            if self._thread is not None and self._thread is not threading.current_thread():
                wait(self._thread, timeout)
            self._patience -= time.monotonic() - began
            waiting = len(self._buffer)
        if waiting:
            say(
                logging.ERROR,
                "%d events could not be stored into %s within %.1f seconds: they are lost if the process ends now.",
                waiting,
                self._database,
                timeout,
            )
        return not waiting

    def abandon(self) -> None:
        """Say that nobody holds this any more: the thread stores what waits, and ends within a second.

        For a finalizer: the garbage collector may run it in any thread, also one that holds our lock, so none is taken.
        """
        self._abandoned = True

    def release(self) -> None:
        """Store what waits and end the thread, without waiting for it; what comes later is stored at once.

        As long as another app of this process has started and not ended, nothing is done.
        """
        with self._lock:
            self._apps = max(0, self._apps - 1)
            if self._apps:
                self._ended = False
                return
            self._ended, self._ended_at = True, time.monotonic()
            if self._thread is not None:
                self._deadline = time.monotonic() + CLOSE_SECONDS
                self._wake.set()

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
        thread = threading.Thread(target=self._live, name="usage-tracker", daemon=True)
        with suppress(RuntimeError):  # no new threads in an interpreter that is ending
            thread.start()
            self._thread, self._asleep = thread, False

    def _live(self) -> None:
        try:
            self._run()
        except BaseException as error:
            # Whatever it was: the next event starts the thread anew.
            with self._lock:
                self._thread, self._asleep = None, True
            self.note("unrecorded", f"the writer stopped: {type(error).__name__}")

    def _run(self) -> None:
        self._announce()
        writer: Writer | None = None
        failures, beat = 0, float("-inf")
        while True:
            self._rest(failures)
            with self._lock:
                self._wake.clear()
                if self._abandoned and self._deadline is None:
                    self._deadline = time.monotonic() + CLOSE_SECONDS
                # By number: an iteration would fail on what is added meanwhile.
                batch = [self._buffer[i] for i in range(min(len(self._buffer), self._batch))]
                if self._deadline is not None and not (batch and time.monotonic() < self._deadline):
                    self._thread, self._asleep = None, True
                    # An event that came before this line found a thread, one that comes now starts another.
                    if batch or not self._buffer:
                        break
                    self._thread, self._asleep = threading.current_thread(), False
                    self._wake.set()
                    continue
            if not batch and 0 <= self._clock() - beat < HEARTBEAT_SECONDS:
                with suppress(Exception):
                    self._texts.read_on()
                continue
            with self._inside:
                try:
                    if writer is not None and writer.moved():
                        self._replaced(writer)
                        writer = None
                    writer = writer or Writer(self._database, timeout=_LOCK_SECONDS)
                    self._store(writer, batch)
                except sqlite3.OperationalError as error:
                    # Locked, full, not there yet: the buffer holds. Unless it is only locked, it is opened anew.
                    failures += 1
                    if failures == len(_BACKOFF):
                        why = why_not_opened(os.path.abspath(self._database))
                        cure = f", since {why}" if why else ""
                        say(
                            logging.WARNING,
                            "The tracker cannot write to %s and tries on: %s%s",
                            self._database, error, cure,
                        )  # fmt: skip
                    if not _is_busy(error):
                        _close(writer)
                        writer = None
                except Exception as error:
                    if _is_hopeless(error):
                        self._give_up(error)
                        break
                    # A fault of ours costs this batch, not the thread and all that comes after.
                    say(logging.ERROR, "The tracker could not store %d events (%s).", len(batch), type(error).__name__)
                    self._taken(len(batch), 0)
                else:
                    if failures >= len(_BACKOFF):
                        say(logging.WARNING, "The tracker writes to %s again", self._database)
                    failures, beat, self._hopeless_at = 0, self._clock(), 0.0
        with self._inside:
            _close(writer)

    def _rest(self, failures: int) -> None:
        """Wait until there is something to store, and then until nothing more comes, a batch is full or time is up."""
        if failures:
            backoff = _BACKOFF[min(failures, len(_BACKOFF)) - 1]
            self._wake.wait(backoff if self._deadline is None else min(backoff, _CLOSING_BACKOFF))
            return
        if not self._buffer:
            if time.monotonic() - self._busy_at < _AWAKE_SECONDS:
                # To be woken costs a request more than a look now and then costs the process.
                self._wake.wait(min(QUIET_SECONDS, self._interval))
            else:
                self._asleep = True
                if not self._buffer:  # whoever adds from here on wakes us
                    self._wake.wait(min(self._interval, _LOOK_SECONDS))
                self._asleep = False
        end = time.monotonic() + self._interval
        while waiting := len(self._buffer):
            self._wake.clear()
            # After the clearing: whoever sets the event changes one of these before.
            if self._hurried() or self._deadline is not None or self._left < self._goal or waiting >= self._batch:
                return
            left = end - time.monotonic()
            if left <= 0 or self._wake.wait(min(QUIET_SECONDS, left)) or len(self._buffer) == waiting:
                return

    def _hurried(self) -> bool:
        """Whether the end was a moment ago, so that the process may be gone in the next one."""
        return self._ended and time.monotonic() - self._ended_at < _ENDING_SECONDS

    def _replaced(self, writer: Writer) -> None:
        """Let go of a database file that is no longer where it was."""
        say(logging.WARNING, "The file %s was removed or replaced: the tracker goes on in a new one.", self._database)
        self.note("file", "the database file was removed or replaced while the app was running")
        with suppress(sqlite3.Error):
            writer.leave()

    def _store(self, writer: Writer, batch: list[Event]) -> None:
        """Commit a batch and take it off the buffer. What went into a file that is gone meanwhile stays in it."""
        with self._lock:
            notes = [(*key, self._notes[key]) for key in self._new_notes]
            self._new_notes.clear()
        try:
            stored = writer.write([self._verified(event) for event in batch], heartbeat=self._heartbeat, notes=notes)
        except BaseException:
            with self._lock:
                self._new_notes.update((kind, detail) for kind, detail, _ in notes)
            raise
        if not writer.moved():
            self._taken(len(batch), stored)
        else:
            with self._lock:
                self._new_notes.update(self._notes)

    def _taken(self, number: int, stored: int) -> None:
        """Take so many events off the buffer: some are stored now, the rest is lost."""
        with self._lock:
            self._busy_at = time.monotonic()
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
        location = ""
        try:
            location = location_of(failure.frames)
            message = failure.message or self._texts.message(failure.candidate, event.status, failure.endpoint)
        except Exception:  # reading an app's code may go wrong in its own ways; the event is worth more than its text
            message = reason_phrase(event.status)
        return event._replace(failure=Failure(failure.kind, message, location))

    def _give_up(self, error: Exception) -> None:
        if not self._hopeless_at:
            say(logging.ERROR, "The tracker stops recording into %s: %s. The app goes on.", self._database, error)
        self._hopeless_at = time.monotonic()
        with self._lock:
            self._room, self._thread, self._asleep = 0, None, True
            lost = len(self._buffer)
        self._taken(lost, 0)
        if lost:
            self.note("dropped", "the database cannot be used", lost)

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


def _is_hopeless(error: Exception) -> bool:
    """Whether the file is not a database, is corrupt, or is of a newer version.

    sqlite3 raises DatabaseError itself, not one of its subclasses, for SQLITE_CORRUPT and SQLITE_NOTADB.
    """
    return isinstance(error, NewerDatabase) or type(error) is sqlite3.DatabaseError


def _is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has the lock that was wanted; a Python error of sqlite3's own has no code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _close(writer: Writer | None) -> None:
    if writer is not None:
        with suppress(sqlite3.Error):
            writer.close()


@lru_cache(maxsize=1)
def _version() -> str:
    """The version of the program that wrote a heartbeat; "unknown" where it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError, version  # heavy, and only the writer thread needs it

    for name in ("usage-guardian-tracker", "usage-guardian"):
        with suppress(PackageNotFoundError):
            return version(name)
    return "unknown"
