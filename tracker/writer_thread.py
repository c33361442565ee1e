"""The process's single writer thread: it waits for events, takes a batch, and retries until it is committed."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

from tracker.buffer import Buffer
from tracker.error_text import AuthoredTexts
from tracker.flat_events import FlatEvents
from tracker.heartbeat import Pulse
from tracker.pacing import BACKOFF, Pacing
from tracker.saying import announce, say
from tracker.sink import Heartbeat, Opener, Pace, Sink, Unavailable, Unusable
from tracker.tally import Tally
from tracker.tracebacks import class_name
from tracker.unverified import verify

_MOST = 5_000  # events at once, where so many wait: what a batch costs beside its events is shared by more
_HOPE_SECONDS = 10.0  # how long after a database turned out to be unusable it is tried again


class WriterThread(Pacing):
    """Stores the events of `buffer`, and the heartbeats of `pulse` with the counts of `tally`, into what `opener`
    opens, at the `pace` of the store. `name` is what the log calls the database.

    The thread is started by `start` when there is something to do. All is changed under the buffer's lock.
    """

    def __init__(
        self,
        opener: Opener,
        buffer: Buffer,
        tally: Tally,
        pulse: Pulse,
        *,
        texts: AuthoredTexts,
        pace: Pace,
        name: str,
    ) -> None:
        super().__init__(buffer, pace)
        self._open, self._tally, self._pulse, self._texts, self._name = opener, tally, pulse, texts, name
        self.inside = threading.Lock()  # held while the thread is inside the store
        self.thread: threading.Thread | None = None
        self._tried = 0  # how many of the oldest events the store was given and has not answered for
        self._hopeless_at = 0.0  # when the database could not be used
        self._announced = False
        self._told = pace.prompt  # whether it was said that this process lives

    def start(self) -> None:
        """Start the thread unless it runs; the lock is held."""
        if self.thread is not None:
            return
        self.deadline = None
        # A daemon thread, so that a hanging database cannot keep the host from exiting. close() drains it, at exit too.
        thread = threading.Thread(target=self._live, name="usage-tracker", daemon=True)
        with suppress(RuntimeError):  # no new threads in an interpreter that is ending
            thread.start()
            self.thread, self.asleep = thread, False

    def announce(self) -> None:
        """Say once where events go."""
        if not self._announced:
            self._announced = True
            announce("The tracker records into %s", self._name)

    def reopened(self) -> bool:
        """Whether to retry an unusable database: the file may have been repaired or restored."""
        if not self._buffer.room and time.monotonic() - self._hopeless_at > _HOPE_SECONDS:
            self._buffer.room = self._buffer.size
            return True
        return False

    def _live(self) -> None:
        try:
            self._run()
        except BaseException as error:
            # Whatever the error, the next event starts a new thread.
            with self._buffer.lock:
                self.thread, self.asleep = None, True
            self._tally.count("unrecorded", f"the writer stopped: {class_name(type(error))}")

    def _run(self) -> None:
        self.announce()
        sink: Sink | None = None
        if not self._pace.prompt:
            # A process that is stopped soon after its start has no time to load Google's library then. A failure is
            # reported, and tried again, when something is due.
            with self.inside, suppress(Exception):
                sink = self._opened()
        failures = 0
        while True:
            self.rest(failures)
            batch = self._next_batch()
            if batch is None:
                break
            if not batch and not self._pulse.is_due:
                with suppress(Exception):
                    self._texts.read_on()
                continue
            with self.inside:
                try:
                    if sink is not None and sink.moved():
                        self._leave(sink)
                        sink = None
                    sink = sink or self._opened()
                    self._store(sink, batch)
                except Unavailable as error:
                    failures += 1
                    if failures == len(BACKOFF):
                        say(logging.WARNING, "The tracker cannot write to %s and tries on: %s", self._name, error)
                    if error.reopen:
                        _close(sink)
                        sink = None
                except Unusable as error:
                    self._give_up(error)
                    break
                except Exception as error:
                    # A bug of ours must cost only this batch, not the thread and all later events.
                    kind = class_name(type(error))
                    say(logging.ERROR, "The tracker could not store %d events (%s).", len(batch), kind)
                    self._taken(len(batch), 0)
                else:
                    if failures >= len(BACKOFF):
                        say(logging.WARNING, "The tracker writes to %s again", self._name)
                    failures, self._hopeless_at = 0, 0.0
                    self._pulse.beat()
        with self.inside:
            _close(sink)

    def _opened(self) -> Sink:
        """The store, with a first heartbeat unless it ends: the process may be killed before its first batch."""
        sink = self._open()
        if not self._told and self.deadline is None:
            sink.write((), heartbeat=self._heartbeat)
            self._told = True
            self._pulse.beat()
        return sink

    def _next_batch(self) -> FlatEvents | None:
        """The events to store next, which may be none; None where the thread is to end."""
        with self._buffer.lock:
            self.wake.clear()
            if self.abandoned and self.deadline is None:
                self.deadline = time.monotonic() + self._pace.ending
            batch = self._first()
            if self.deadline is None or (batch and time.monotonic() < self.deadline):
                return batch
            self.thread, self.asleep = None, True
            # Events before this line found a running thread; later ones start another.
            if batch or not self._buffer.values:
                return None
            self.thread, self.asleep = threading.current_thread(), False
            return self._first()

    def _first(self) -> FlatEvents:
        """The events to store at once: where there is time, whole batches, and the rest with the next one. It would
        take a statement for each power of two in its number. No fewer than were tried in vain, see Sink.write."""
        most, waiting = max(self._batch, _MOST), self._buffer.waiting
        if waiting >= self._batch and self.calm():
            most = max(self._tried, min(most, waiting) // self._batch * self._batch)
        batch = self._buffer.first(most)
        self._tried = len(batch)
        return batch

    def _leave(self, sink: Sink) -> None:
        """Let go of a database file that is no longer where it was."""
        say(logging.WARNING, "The file %s was removed or replaced: the tracker goes on in a new one.", self._name)
        self._tally.count("file", "the database file was removed or replaced while the app was running")
        sink.leave()

    def _store(self, sink: Sink, batch: FlatEvents) -> None:
        """Commit a batch and remove it from the buffer. Events committed to a file that has since moved stay in that
        file."""
        news = self._tally.news()
        try:
            verify(batch, self._texts)
            between = self.give_way if self.calm() else None
            stored = sink.write(batch, heartbeat=self._heartbeat, notes=news, between=between)
        except BaseException:
            self._tally.untold(news)
            raise
        if not sink.moved():
            self._taken(len(batch), stored)
        else:
            self._tally.untold()

    def _heartbeat(self, stored: int, poison: int) -> Heartbeat:
        with self._buffer.lock:
            return self._pulse.row(self._buffer.counts(), stored, poison)

    def _taken(self, number: int, stored: int) -> None:
        """Remove this many events from the buffer: some are stored, the rest is lost."""
        buffer = self._buffer
        with buffer.lock:
            self._busy_at = time.monotonic()
            buffer.take(number, stored)
            self._tried = 0
            self._flood = number >= self._batch
            if buffer.waiting >= self._batch or buffer.awaited or self.deadline is not None:
                self.wake.set()

    def _give_up(self, error: Exception) -> None:
        if not self._hopeless_at:
            say(logging.ERROR, "The tracker stops recording into %s: %s. The app goes on.", self._name, error)
        self._hopeless_at = time.monotonic()
        with self._buffer.lock:  # at once: an event may start another thread, which would lose the same ones
            lost = self._buffer.waiting
            self._buffer.room = self._tried = 0
            self._buffer.take(lost, 0)
            self.thread, self.asleep = None, True
        if lost:
            self._tally.count("dropped", "the database cannot be used", lost)


def _close(sink: Sink | None) -> None:
    if sink is not None:
        sink.close()
