"""An event that was queued in the app while its user was erased does not bring the name back."""

import pytest

from tests.support.events import event as made
from tracker.event import ANONYMOUS, Client
from tracker.pseudonyms import pseudonym
from tracker.sqlite.tombstones import tombstone
from tracker.sqlite.writer import Writer

T = 1_700_000_100_000_000
ADA, BEN = "ada@example.com", "ben@example.com"


def event(at_us, user=ADA):
    return made(at_us, user=user, client=Client("198.51.100.1", "curl/8"))


@pytest.fixture
def writer(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"))
    yield writer
    writer.close()


def erase(writer, name, erased_us):
    """As the daemon does it."""
    db = writer.db
    db.execute("CREATE TABLE IF NOT EXISTS guardian_secret (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    db.execute("INSERT OR IGNORE INTO guardian_secret VALUES ('tombstones', 'a key of the daemon')")
    db.execute("CREATE TABLE IF NOT EXISTS guardian_tombstones (hash BLOB PRIMARY KEY, erased_us INTEGER NOT NULL)")
    stone = tombstone(name, "a key of the daemon")
    db.execute("REPLACE INTO guardian_tombstones VALUES (?, ?)", (stone, erased_us))
    db.execute("DELETE FROM guardian_session WHERE user IN (SELECT id FROM guardian_user WHERE email = ?)", (name,))
    db.execute("UPDATE guardian_user SET email = 'erased-1' WHERE email = ?", (name,))
    db.execute("REPLACE INTO guardian_meta VALUES ('dictionary_epoch', hex(randomblob(8)))")


def users(writer):
    return [name for (name,) in writer.db.execute("SELECT user_email FROM feature_usage ORDER BY timestamp")]


def sessions(writer):
    return writer.db.execute("SELECT user_email FROM user_sessions ORDER BY 1").fetchall()


def test_what_was_queued_before_an_erasure_is_anonymous_and_has_no_session(writer):
    writer.write([event(T), event(T + 1, BEN)])
    erase(writer, ADA, T + 100)
    assert writer.write([event(T + 2), event(T + 3, BEN), event(T + 100)]) == 3
    assert users(writer) == ["erased-1", BEN, ANONYMOUS, BEN, ANONYMOUS]
    assert sessions(writer) == [(BEN,)]
    assert writer.db.execute("SELECT 1 FROM guardian_user WHERE email = ?", (ADA,)).fetchone() is None


def test_who_comes_back_after_it_is_somebody_new(writer):
    writer.write([event(T)])
    erase(writer, ADA, T + 100)
    writer.write([event(T + 101), event(T + 50)])
    writer.write([event(T + 60), event(T + 102)])
    assert users(writer) == ["erased-1", ANONYMOUS, ANONYMOUS, ADA, ADA]


def test_who_was_erased_before_anything_was_stored_stays_away_too(writer):
    writer.write([event(T, BEN)])
    erase(writer, ADA, T + 100)
    writer.write([event(T + 1)])
    assert users(writer) == [BEN, ANONYMOUS]


def test_a_second_erasure_counts_from_its_own_time(writer):
    erase(writer, ADA, T + 100)
    writer.write([event(T + 101)])
    erase(writer, ADA, T + 200)
    writer.write([event(T + 150)])
    assert users(writer) == ["erased-1", ANONYMOUS]


def test_under_pseudonyms_it_is_the_pseudonym_that_was_erased(tmp_path):
    key = b"k" * 32
    writer = Writer(str(tmp_path / "guardian.db"), key=key)
    writer.write([event(T)])
    erase(writer, pseudonym(key, ADA), T + 100)
    writer.write([event(T + 2)])
    assert users(writer) == ["erased-1", ANONYMOUS]
    writer.close()


@pytest.mark.parametrize("name", [None, 7, ["a"], "\ud800"])
def test_a_name_that_is_none_costs_its_event_also_then(writer, name):
    erase(writer, ADA, T + 100)
    assert writer.write([event(T, name), event(T, BEN)]) == 1
