"""The buffer between requests and the writer: bounded, counted, and emptied only into the database."""

import sqlite3
import threading

import pytest

from tests.support.events import event as made
from tests.support.waiting import until
from tracker import Failure, Recorder
from tracker.flat_events import WIDTH
from tracker.heartbeat import HEARTBEAT_SECONDS
from tracker.sink import SQLITE_PACE, Unavailable, pace
from tracker.sqlite.sink import SqliteSink
from tracker.sqlite.writer import Writer
from tracker.tracebacks import Frame
from tracker.unverified import Unverified
from tracker.writer_thread import WriterThread

T = 1_700_000_000_000_000


def event(number=0, user="ada@example.com", status=200, failure=None):
    return made(T + number, user=user, status=status, failure=failure)


def read(path, sql):
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "guardian.db")


@pytest.fixture
def recorder(path):
    recorder = Recorder(path, flush_interval=0.01)
    yield recorder
    recorder.close()


class Blocked:
    """Holds a database's write lock."""

    def __init__(self, path):
        Writer(path).close()
        self.db = sqlite3.connect(path, isolation_level=None)

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_):
        self.db.execute("ROLLBACK")
        self.db.close()


def test_what_is_added_is_stored(recorder, path):
    for number in range(1_200):
        recorder.add(event(number))
    assert recorder.flush()
    assert recorder.stats() == (1_200, 1_200, 0, 0)
    assert read(path, "SELECT count(*), min(id) >> 10, max(id) >> 10 FROM guardian_request") == [(1_200, T, T + 1_199)]


def test_a_full_buffer_drops_the_newest_and_counts_it(path):
    recorder = Recorder(path, buffer_size=10, flush_interval=0.01)
    with Blocked(path):
        for number in range(25):
            recorder.add(event(number))
        assert recorder.stats() == (25, 0, 15, 10)
    assert recorder.flush()
    assert recorder.stats() == (25, 10, 15, 0)
    assert read(path, "SELECT max(id) >> 10 FROM guardian_request") == [(T + 9,)]
    recorder.close()


def test_events_leave_the_buffer_only_when_they_are_in_the_database(path):
    recorder = Recorder(path, flush_interval=0.01)
    with Blocked(path):
        recorder.add(event())
        assert not recorder.flush(timeout=0.3)
        assert recorder.stats() == (1, 0, 0, 1)
    assert recorder.flush()
    assert recorder.close()
    assert read(path, "SELECT count(*) FROM guardian_request") == [(1,)]


@pytest.mark.parametrize(
    ("size", "given", "batch"), [(10_000, None, 4_096), (1_001, None, 500), (1, None, 1), (9, 9, 9)]
)
def test_a_batch_leaves_room_for_what_comes_while_it_is_stored(path, size, given, batch):
    recorder = Recorder(path, buffer_size=size, batch_size=given)
    assert recorder.pause(10)
    events = [event(number) for number in range(batch)]
    recorder._writer.asleep = False  # as while events come
    for each in events[:-1]:
        recorder.add(each)
    assert not recorder._writer.wake.is_set()
    recorder.add(events[-1])
    assert recorder._writer.wake.is_set()
    recorder._writer.asleep = True
    recorder.resume()
    assert recorder.close()


def test_a_full_batch_wakes_the_writer_though_two_threads_add_at_once(path):
    recorder = Recorder(path, batch_size=10)
    assert recorder.pause(10)
    recorder._writer.asleep = False  # as while events come

    class Interrupted(list):
        """Between the look of one thread at how many wait, and its event, comes another's."""

        def extend(self, values):
            if len(self) == 8 * WIDTH:
                super().extend(event(99))
            super().extend(values)

    recorder._buffer.values = Interrupted()
    for number in range(10):
        recorder.add(event(number))
    assert recorder.stats().queued == 11
    assert recorder._writer.wake.is_set()
    recorder._writer.asleep = True
    recorder.resume()
    assert recorder.close()


def test_the_sum_holds_at_every_moment_while_threads_add_and_the_writer_writes(path):
    recorder = Recorder(path, buffer_size=50, batch_size=7, flush_interval=0.001)
    each, done, wrong = 1_500, threading.Event(), []

    def add(which):
        for number in range(each):
            recorder.add(event(number, user="\ud800" if number % 100 == 0 else f"user{which}@example.com"))

    def watch():
        while not done.is_set():
            accepted, stored, dropped, queued = recorder.stats()
            if accepted != stored + dropped + queued or queued > 50 + 3:
                wrong.append((accepted, stored, dropped, queued))

    watcher = threading.Thread(target=watch)
    watcher.start()
    adders = [threading.Thread(target=add, args=(which,)) for which in range(3)]
    for thread in adders:
        thread.start()
    for thread in adders:
        thread.join()
    assert recorder.flush()
    done.set()
    watcher.join()
    recorder.close()
    accepted, stored, _, queued = recorder.stats()
    assert (accepted, queued, wrong) == (3 * each, 0, [])
    assert read(path, "SELECT count(*) FROM guardian_request") == [(stored,)]


def test_what_an_unusable_database_costs_is_counted_once(path, monkeypatch):
    """Though an event that comes at that moment starts another thread, which gives the same events up."""
    with open(path, "wb") as file:
        file.write(b"no database" * 1_000)
    taken = WriterThread._taken

    def late(self, number, stored):
        with self._buffer.lock:
            self._buffer.take(self._buffer.waiting, 0)
        taken(self, number, stored)

    monkeypatch.setattr(WriterThread, "_taken", late)
    recorder = Recorder(path)
    assert recorder.pause(10)
    for number in range(5):
        recorder.add(event(number))
    recorder.resume()
    assert recorder.close()
    assert recorder.stats() == (5, 0, 5, 0)


def test_a_poison_event_costs_one_event(recorder, path):
    for user in ("ada@example.com", "\ud800", "bob@example.com"):
        recorder.add(event(user=user))
    assert recorder.flush()
    assert recorder.stats() == (3, 2, 1, 0)
    assert read(path, "SELECT accepted, stored, dropped FROM guardian_recorder") == [(3, 2, 1)]


def test_an_event_that_could_not_be_made_counts_as_dropped(recorder):
    recorder.add_lost("KeyError")
    assert recorder.stats() == (1, 0, 1, 0)


def test_nothing_touches_the_file_before_the_first_event(path, tmp_path):
    recorder = Recorder(path)
    assert recorder.flush() and recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_after_it_was_closed_the_next_event_starts_it_again(recorder, path):
    others = set(threading.enumerate())  # of other tests, on their way out
    for number in range(3):
        recorder.add(event(number))
        assert recorder.close()
        assert recorder.stats() == (number + 1, number + 1, 0, 0)
    assert not set(threading.enumerate()) - others


def test_a_close_in_vain_keeps_what_waits_for_a_later_one(path):
    recorder = Recorder(path, flush_interval=0.01)
    with Blocked(path):
        recorder.add(event())
        assert not recorder.close(timeout=0.1)
        assert recorder.stats().queued == 1
    assert recorder.flush() and recorder.close()
    assert recorder.stats() == (1, 1, 0, 0)


class Texts:
    def __init__(self, answer):
        self.answer, self.asked, self.thread = answer, [], None

    def message(self, candidate, status, endpoint):
        self.asked.append((candidate, status, endpoint))
        self.thread = threading.current_thread().name
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_text_is_compared_in_the_writer_thread_and_only_the_answer_is_stored(path):
    texts = Texts("Not Found")
    recorder = Recorder(path, texts=texts)
    frames = (Frame(__file__, __name__, 1, "event"), Frame("/app/hunter2.py", "a", 1, "f"))
    recorder.add(event(status=404, failure=Unverified("HTTP 404", "no ada@example.com", len, frames)))
    assert recorder.close()
    assert (texts.asked, texts.thread) == ([("no ada@example.com", 404, len)], "usage-tracker")
    [(kind, message, location)] = read(path, "SELECT kind, message, location FROM guardian_failure")
    assert (kind, message, location.rpartition("/")[2]) == ("HTTP 404", "Not Found", "test_recorder.py:1 event")


def test_an_event_outlives_a_fault_in_comparing_its_text(path):
    recorder = Recorder(path, texts=Texts(RuntimeError("no source")))
    recorder.add(event(status=404, failure=Unverified("HTTP 404", "secret", None)))
    assert recorder.close()
    assert read(path, "SELECT kind, message FROM guardian_failure") == [("HTTP 404", "Not Found")]


def test_a_text_that_nobody_has_vouched_for_stays_out_of_repr():
    assert repr(event(failure=Unverified("HTTP 404", "secret", None))).count("secret") == 0
    assert "secret" not in f"{Unverified('HTTP 404', 'secret', None)}"


def test_a_failure_that_is_the_trackers_own_is_stored_as_it_is(recorder, path):
    recorder.add(event(status=500, failure=Failure("Aborted", "response aborted after it had begun")))
    assert recorder.flush()
    assert read(path, "SELECT kind, message FROM guardian_failure") == [
        ("Aborted", "response aborted after it had begun")
    ]


class Clock:
    def __init__(self):
        self.now, self.asked = 1_700_000_000.0, threading.Semaphore(0)

    def __call__(self):
        self.asked.release()
        return self.now

    def wait_until_asked(self, times):
        """Wait until it was asked so often from now on."""
        while self.asked.acquire(blocking=False):
            pass
        for _ in range(times):
            assert self.asked.acquire(timeout=60)


def test_an_idle_process_says_that_it_lives_every_thirty_seconds(path):
    clock = Clock()
    recorder = Recorder(path, flush_interval=0.005, clock=clock)
    recorder.add(event())
    assert recorder.flush()
    first = read(path, "SELECT seen_us FROM guardian_recorder")
    clock.now += HEARTBEAT_SECONDS - 1
    clock.wait_until_asked(20)
    assert read(path, "SELECT seen_us FROM guardian_recorder") == first
    clock.now += 1
    until(lambda: read(path, "SELECT seen_us FROM guardian_recorder") == [(1_700_000_030_000_000,)])
    assert recorder.close()


def test_two_recorders_of_a_process_have_a_row_each(path):
    recorders = [Recorder(path, clock=lambda: 1_700_000_000.0) for _ in range(2)]
    for recorder in recorders:
        recorder.add(event())
        assert recorder.close()
    assert len(read(path, "SELECT id FROM guardian_recorder")) == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"buffer_size": 0}, "buffer_size = 0 must be at least 1 event"),
        ({"batch_size": -1}, "batch_size = -1 must be at least 1 event"),
        ({"flush_interval": 0}, "flush_interval = 0 must be above 0 and at most 3600 seconds"),
        ({"flush_interval": float("nan")}, "flush_interval = nan must be above 0 and at most 3600 seconds"),
    ],
)
def test_settings_that_cannot_be_are_refused(path, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Recorder(path, **settings)


@pytest.mark.parametrize(("database", "seconds"), [("guardian.db", 3.5), ("firestore://project", 8.0)])
def test_the_end_of_a_process_leaves_hosts_time_before_they_kill_it(database, seconds):
    assert pace(database).ending == seconds < 10  # what Docker and Cloud Run give


def test_the_end_waits_as_long_as_the_store_may_take(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tracker.recorder.pace", lambda database: SQLITE_PACE._replace(ending=0.25))
    recorder = Recorder(tmp_path / "guardian.db")
    assert recorder.pause(1)
    recorder.add(event())
    assert not recorder.close()
    assert "1 events could not be stored" in caplog.text and "within 0.2 seconds" in caplog.text
    recorder.resume()
    assert recorder.flush()


def test_a_flush_after_a_close_in_vain_is_not_left_alone_by_a_thread_at_its_end(path, monkeypatch):
    entered, fail, write = threading.Event(), threading.Event(), SqliteSink.write

    def failing_once(self, *values, **named):
        if fail.is_set():
            return write(self, *values, **named)
        entered.set()
        fail.wait()
        raise Unavailable("locked")

    monkeypatch.setattr(SqliteSink, "write", failing_once)
    recorder = Recorder(path)
    recorder.add(event())
    entered.wait()
    assert not recorder.close(timeout=0.05)  # the thread is inside its last try
    flushed = []
    waiter = threading.Thread(target=lambda: flushed.append(recorder.flush(60)))
    waiter.start()
    until(lambda: recorder._buffer.awaited)
    fail.set()
    waiter.join()
    assert flushed == [True]
    assert recorder.stats() == (1, 1, 0, 0)
