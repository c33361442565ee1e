"""A bounded buffer between the requests of a process and its one writer thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from tracker.buffer import Buffer, Stats
from tracker.error_text import AuthoredTexts
from tracker.event import Event
from tracker.flat_events import WIDTH
from tracker.heartbeat import Pulse
from tracker.opening import Opening
from tracker.process import watch
from tracker.saying import say
from tracker.sink import pace
from tracker.source import find_source
from tracker.tally import Tally
from tracker.writer_thread import WriterThread

__all__ = ["Recorder", "Stats"]

_POISON = (None,) * WIDTH  # in place of what is no event
_AT_ONCE = 8 * WIDTH  # where threads add at once, none of them may see the event before the last of a batch
_LATE_SECONDS = 0.25  # how long a request that comes after the end waits for its event to be stored


class Recorder:
    """Takes events from requests and stores them in `database`, in batches, from a thread of its own.

    `add` never raises; when `buffer_size` events wait, the newest is dropped and counted. What waits is stored when
    nothing more has come for 50 ms (a second, where a hundred wait), when `batch_size` events wait (4,096, or half of a
    smaller buffer), or after `flush_interval` seconds (1). An event leaves the buffer only when its batch has been
    committed to the file that is there; a database that is locked or full is retried, and one that was removed or
    replaced is opened again, with a log message. One that cannot be used at all (corrupt, or from a newer version) is
    logged once and retried every ten seconds; meanwhile events are dropped and counted, and the host goes on serving.
    What waits is stored when the process ends, unless it is killed. An event that comes after `close` is stored at
    once. A forked child starts anew. With Firestore, 5,000 events or 15 seconds make a batch, and one alone waits as
    well: a document costs as much. With `pseudonymous` a keyed hash is stored in place of each name: see
    tracker.pseudonyms. `release` is the version of the app; None: see tracker.source.
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        buffer_size: int = 10_000,
        flush_interval: float | None = None,
        batch_size: int | None = None,
        pseudonymous: bool = False,
        release: str | None = None,
        texts: AuthoredTexts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        usual = pace(os.fspath(database))
        batch_size = min(usual.batch, max(1, buffer_size // 2)) if batch_size is None else batch_size
        flush_interval = usual.interval if flush_interval is None else flush_interval
        for name, value in (("buffer_size", buffer_size), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} = {value!r} must be at least 1 event")
        if not 0 < flush_interval <= 3600:
            raise ValueError(f"flush_interval = {flush_interval!r} must be above 0 and at most 3600 seconds")
        self._database = os.fspath(database)
        self._opening = Opening(self._database, pseudonymous, find_source(release))
        self._size = buffer_size
        self._pace = usual._replace(interval=flush_interval, batch=min(batch_size, buffer_size))
        self._texts = texts or AuthoredTexts()
        self._clock = clock
        self.reset()
        watch(self)

    def reset(self) -> None:
        """Start with nothing: in a forked child the parent's events, locks and thread are not ours."""
        pulse = Pulse(self._clock)
        self.id = pulse.id
        self._tally = Tally()
        self._buffer = Buffer(self._size)
        self._writer = WriterThread(
            self._opening, self._buffer, self._tally, pulse,
            texts=self._texts, pace=self._pace, name=self._database,
        )  # fmt: skip
        self._full_at = (self._pace.batch - 1) * WIDTH
        self._apps = 0  # that have started and will say when they end
        self._late = 4 * _LATE_SECONDS  # how long late events may wait, all together
        self._patience = self._pace.ending  # how long close() may wait yet, all its calls together

    def serves(self, app: object) -> None:
        """Say which app's requests these are: where its release is not known, it may be that of its package."""
        self._opening.note(app)

    def add(self, event: Event) -> None:
        """Take one event; called from the event loop or from any thread."""
        buffer, writer = self._buffer, self._writer
        waiting = len(buffer.values)
        if waiting >= buffer.room * WIDTH and not writer.reopened():
            buffer.lose()
            self.note("dropped", "the buffer was full" if buffer.room else "the database cannot be used")
            return
        # A plain tuple's values are appended in one step, a named one's by iteration, where another thread's might come
        # between. What is no tuple, or one of another length, would shift all that follow.
        buffer.values.extend(event[:] if isinstance(event, tuple) and len(event) == WIDTH else _POISON)
        if writer.asleep:
            with buffer.lock:
                writer.start()
                writer.wake.set()
        elif self._full_at <= waiting < self._full_at + _AT_ONCE:
            writer.wake.set()

    def hurry(self) -> None:
        """After `close`, wait briefly for events to be stored: a cancelled request may be the last thing the process
        does."""
        if self._writer.ended_at is not None and self._late > 0:
            began = time.monotonic()
            self.flush(min(self._late, _LATE_SECONDS))
            self._late -= time.monotonic() - began

    def add_lost(self, why: str) -> None:
        """Count an event that could not even be created; `why` is one of our own words."""
        self._buffer.lose()
        self.note("unrecorded", why)

    def note(self, kind: str, detail: str, count: int = 1) -> None:
        """Count a problem; the count is stored with the heartbeat, and the problem is logged once."""
        self._tally.count(kind, detail, count)

    def stats(self) -> Stats:
        """The four numbers, taken at one moment."""
        with self._buffer.lock:
            return self._buffer.counts()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until what is queued now has been stored or dropped; False if `timeout` seconds were not enough."""
        buffer, writer = self._buffer, self._writer
        with buffer.lock:
            if buffer.values:
                writer.start()
            if writer.deadline is not None:  # after a failed close: the thread may be in its last attempt
                writer.deadline = max(writer.deadline, time.monotonic() + timeout)
            goal = buffer.await_all()
            writer.wake.set()
            return buffer.await_goal(goal, timeout)

    def open(self) -> None:
        """Say that an app has started which will close this when it ends."""
        with self._buffer.lock:
            self._apps += 1
            self._writer.ended_at, self._patience, self._late = None, self._pace.ending, 4 * _LATE_SECONDS
        self._writer.announce()

    @property
    def ending(self) -> float:
        """How many seconds the end of the process waits at most for what is to be stored."""
        return self._pace.ending

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be stored."""
        return not self._buffer.values

    def drain(self, timeout: float | None = None) -> bool:
        """Store what waits, as the end is near; False if `timeout` seconds (`ending`) were not enough, and events still
        wait.

        The thread ends by itself.
        """
        buffer = self._buffer
        return self._end(timeout, lambda thread, seconds: buffer.gone.wait_for(lambda: not buffer.values, seconds))

    def close(self, timeout: float | None = None) -> bool:
        """Store what waits and end the thread; False if `timeout` seconds (`ending`) were not enough, and events still
        wait.

        An event that is added later starts the thread again.
        """
        lock = self._buffer.lock

        def join(thread: threading.Thread, seconds: float) -> None:
            lock.release()
            try:
                thread.join(seconds)
            finally:
                lock.acquire()

        return self._end(timeout, join)

    def _end(self, timeout: float | None, wait: Callable[[threading.Thread, float], object]) -> bool:
        began = time.monotonic()
        buffer, writer = self._buffer, self._writer
        with buffer.lock:
            writer.ended_at = began
            if buffer.values:
                writer.start()
            # The limit covers all calls, from the lifespan and at exit: hosts allow only seconds.
            timeout = max(0.05, self._patience if timeout is None else min(timeout, self._patience))
            writer.deadline = began + timeout
            writer.wake.set()
            if writer.thread is not None and writer.thread is not threading.current_thread():
                wait(writer.thread, timeout)
            self._patience -= time.monotonic() - began
            waiting = buffer.waiting
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
        """Say that nobody uses this recorder any more: the thread stores what waits, and ends within a second.

        For a finalizer: the garbage collector may run it in any thread, also one that holds our lock, so none is taken.
        """
        self._writer.abandoned = True

    def release(self) -> None:
        """Store what waits and end the thread, without waiting for it; what comes later is stored at once.

        As long as another app of this process has started and not ended, nothing is done.
        """
        writer = self._writer
        with self._buffer.lock:
            self._apps = max(0, self._apps - 1)
            if self._apps:
                writer.ended_at = None
                return
            writer.ended_at = time.monotonic()
            if writer.thread is not None:
                writer.deadline = time.monotonic() + self.ending
                writer.wake.set()

    def pause(self, timeout: float) -> bool:
        """Keep the writer out of the store until `resume`; False if `timeout` seconds were not enough."""
        writer = self._writer
        writer.kept_out = True  # the caller, which forks, holds up all of the host
        try:
            return writer.inside.acquire(timeout=timeout)
        finally:
            writer.kept_out = False

    def resume(self) -> None:
        """Let the writer go on after `pause`."""
        self._writer.inside.release()
