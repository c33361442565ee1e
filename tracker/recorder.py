"""A bounded buffer between the requests of a process and its one writer thread."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from tracker.event import Event
from tracker.schema import NewerDatabase
from tracker.writer import Writer

log = logging.getLogger("tracker")

HEARTBEAT_SECONDS = 30.0
"""An idle process says that it lives this often."""
_BACKOFF = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class Stats(NamedTuple):
    """Numbers of one process since it started; `accepted = stored + dropped + queued` at all times."""

    accepted: int
    stored: int
    dropped: int
    queued: int


Finish = Callable[[Event], Event]
"""A last step on each event before it is stored, run in the writer thread."""


class Recorder:
    """Takes events from requests and stores them in `database`, in batches, from a thread of its own.

    `add` never blocks and never raises; when `buffer_size` events wait, the newest is dropped and counted. A batch
    goes out when `batch_size` events wait or the oldest has waited `flush_interval` seconds. An event leaves the
    buffer only when its batch has been committed. A database that cannot be used at all (corrupt, of a newer version)
    is said once in the log; from then on events are dropped and counted, and the host goes on serving.
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        buffer_size: int = 10_000,
        flush_interval: float = 1.0,
        batch_size: int = 500,
        finish: Finish | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if buffer_size < 1 or batch_size < 1 or flush_interval <= 0:
            raise ValueError("buffer_size and batch_size must be at least 1, and flush_interval above 0 seconds")
        self._database = os.fspath(database)
        self._size = buffer_size
        self._interval = flush_interval
        self._batch = batch_size
        self._finish = finish
        self._clock = clock
        self._reset()
        _recorders.add(self)

    def _reset(self) -> None:
        """A fresh start: in a forked child the parent's events, lock and thread are not ours."""
        self._buffer: deque[Event] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._closing = False
        self._broken = False
        self._accepted = self._stored = self._dropped = 0
        self._started_us = int(self._clock() * 1_000_000)
        self.id = f"{socket.gethostname()}:{os.getpid()}:{self._started_us}"

    def add(self, event: Event) -> None:
        """Take one event; called from the event loop or from any thread."""
        with self._lock:
            self._accepted += 1
            if len(self._buffer) >= self._size or self._broken:
                self._dropped += 1
                return
            self._buffer.append(event)
            if self._thread is None:
                self._start()
            if len(self._buffer) == self._batch:
                self._wake.set()

    def stats(self) -> Stats:
        """The four numbers, taken at one moment."""
        with self._lock:
            return Stats(self._accepted, self._stored, self._dropped, len(self._buffer))

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything accepted so far has been stored or dropped; False if that took over `timeout` s."""
        with self._lock:
            if not self._buffer:
                return True
            goal = self._accepted
            if self._thread is None:
                self._start()
            self._wake.set()
            return self._idle.wait_for(
                lambda: self._stored + self._dropped >= goal or not self._buffer or self._thread is None, timeout
            ) and (self._stored + self._dropped >= goal or not self._buffer)

    def close(self, timeout: float = 5.0) -> bool:
        """Store what waits and end the thread; False if that took over `timeout` s. Later events start it again."""
        with self._lock:
            thread = self._thread
            if thread is None:
                return True
            self._closing = True
            self._wake.set()
        thread.join(timeout)
        return not thread.is_alive()

    def _start(self) -> None:
        self._closing = False
        self._wake.clear()
        # A daemon thread: a database that hangs must not keep the host from ending. close() drains, at exit too.
        self._thread = threading.Thread(target=self._run, name="usage-tracker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        writer: Writer | None = None
        try:
            failures, last_beat = 0, 0.0
            while True:
                wait = _BACKOFF[min(failures, len(_BACKOFF)) - 1] if failures else self._interval
                self._wake.wait(wait)
                with self._lock:
                    self._wake.clear()
                    closing = self._closing
                    batch = list(islice(self._buffer, self._batch))
                    if closing and (not batch or failures > len(_BACKOFF)):
                        return
                now = self._clock()
                if not batch and now - last_beat < HEARTBEAT_SECONDS:
                    continue
                try:
                    if writer is None:
                        writer = Writer(self._database)
                    self._write(writer, batch)
                    failures, last_beat = 0, now
                except (NewerDatabase, sqlite3.DatabaseError) as error:
                    if not _usable(error):
                        self._give_up(error)
                        return
                    failures += 1
                    if failures == len(_BACKOFF):
                        log.warning("The tracker cannot write to %s and tries again: %s", self._database, error)
        finally:
            if writer is not None:
                with suppress(sqlite3.Error):
                    writer.close()
            with self._lock:
                self._thread = None
                if self._buffer and not self._closing and not self._broken:
                    self._start()
                self._idle.notify_all()

    def _write(self, writer: Writer, batch: list[Event]) -> None:
        """Commit a batch and take it off the buffer."""
        finished = batch if self._finish is None else [self._finished(event) for event in batch]
        with self._lock:
            counts = (self._accepted, self._stored + len(batch), self._dropped)
        now_us = int(self._clock() * 1_000_000)
        stored = writer.write(finished, heartbeat=(self.id, self._started_us, now_us, *counts, VERSION))
        with self._lock:
            for _ in batch:
                self._buffer.popleft()
            self._stored += stored
            self._dropped += len(batch) - stored
            if self._closing or len(self._buffer) >= self._batch:
                self._wake.set()
            self._idle.notify_all()

    def _finished(self, event: Event) -> Event:
        try:
            assert self._finish is not None
            return self._finish(event)
        except Exception:
            # The text of one error is not worth the event.
            return event if event.failure is None else event._replace(failure=event.failure._replace(message=""))

    def _give_up(self, error: Exception) -> None:
        log.error("The tracker stops recording into %s: %s. The app goes on.", self._database, error)
        with self._lock:
            self._broken = True
            self._dropped += len(self._buffer)
            self._buffer.clear()


VERSION = "0.1.0"
"""What the heartbeat says of the program that wrote it."""

_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _usable(error: Exception) -> bool:
    """Whether trying again may help: a locked or full database, not a corrupt file or a newer layout.

    sqlite3 raises DatabaseError itself, not one of its subclasses, for SQLITE_CORRUPT and SQLITE_NOTADB.
    """
    return not isinstance(error, NewerDatabase) and type(error) is not sqlite3.DatabaseError


def _drain_all() -> None:
    for recorder in list(_recorders):
        recorder.close(timeout=5.0)


def _reset_all() -> None:
    for recorder in list(_recorders):
        recorder._reset()


atexit.register(_drain_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
