"""People under pseudonyms: no name in the database, one key beside it, and nothing stored where there is none."""

import os
import re
import sqlite3
import stat
import threading

import pytest

from tests.support.events import event as made
from tracker import Recorder, UsageTrackingMiddleware
from tracker.event import ANONYMOUS
from tracker.pseudonyms import NoKey, key_path, make_key, pseudonym, read_key, renew_key

T = 1_700_000_000_000_000


def event(user, number=0):
    return made(T + number, user=user)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guardian.db"


def record(path, *users, **settings):
    recorder = Recorder(path, pseudonymous=True, **settings)
    for number, user in enumerate(users):
        recorder.add(event(user, number))
    recorder.close()
    return recorder


def users(path):
    db = sqlite3.connect(path)
    try:
        return [name for (name,) in db.execute("SELECT user_email FROM feature_usage ORDER BY timestamp")]
    finally:
        db.close()


def test_a_pseudonym_is_the_same_for_a_name_and_a_key_and_tells_neither():
    one = pseudonym(b"k" * 32, "ada@example.com")
    assert one == pseudonym(b"k" * 32, "ada@example.com") and re.fullmatch("person-[0-9a-f]{32}", one)
    assert one != pseudonym(b"l" * 32, "ada@example.com") != pseudonym(b"k" * 32, "ben@example.com")


def test_everybody_but_anonymous_is_stored_under_a_pseudonym(path):
    record(path, "ada@example.com", ANONYMOUS, "auth0|5F7c", "ada@example.com")
    key = read_key(path)
    ada, other = pseudonym(key, "ada@example.com"), pseudonym(key, "auth0|5F7c")
    assert users(path) == [ada, ANONYMOUS, other, ada]
    everything = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"ada@" not in everything and b"5F7c" not in everything


def test_the_key_stays_over_restarts_and_one_that_was_removed_makes_everybody_new(path):
    record(path, "ada@example.com")
    record(path, "ada@example.com")
    os.unlink(key_path(path))
    record(path, "ada@example.com")
    first, second, third = users(path)
    assert first == second != third


def test_the_key_is_closed_to_others(path):
    record(path, "ada@example.com")
    assert stat.S_IMODE(os.stat(key_path(path)).st_mode) & 0o007 == 0
    made = sorted(each.name for each in path.parent.iterdir() if "pseudonyms" in each.name)
    assert made == ["guardian.db.pseudonyms"]


def test_all_who_make_the_key_at_once_have_the_same(path):
    found, start = [], threading.Barrier(8)

    def make():
        start.wait()
        found.append(make_key(path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 8 and set(found) == {read_key(path)}


def test_the_key_is_made_on_a_file_system_without_hard_links_too(path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert make_key(path) == make_key(path) == read_key(path)
    assert [each.name for each in path.parent.iterdir()] == ["guardian.db.pseudonyms"]


@pytest.mark.parametrize("text", ["", "secret", "g" * 64, "\xff" * 64, "a" * 65])
def test_without_a_proper_key_nothing_is_stored_and_it_is_said(path, text, caplog):
    with open(key_path(path), "w", encoding="latin-1") as file:
        file.write(text)
    with pytest.raises(NoKey):
        read_key(path)
    recorder = record(path, "ada@example.com")
    assert recorder.stats() == (1, 0, 1, 0)
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == [
        f"The tracker stops recording into {path}: {key_path(path)} holds no key: put back the one that it had, "
        "or remove it, and all become new people. The app goes on."
    ]
    assert not path.exists()


def test_no_key_is_made_unless_it_is_asked_for(path):
    recorder = Recorder(path)
    recorder.add(event("ada@example.com"))
    assert recorder.close()
    assert users(path) == ["ada@example.com"] and read_key(path) is None


async def app(scope, receive, send):
    scope["state"]["email"] = "ada@example.com"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def nothing(*_):
    return {}


async def test_two_middlewares_of_a_process_keep_to_what_each_was_told(path):
    plain = UsageTrackingMiddleware(app, database=path)
    veiled = UsageTrackingMiddleware(app, database=path, pseudonymous=True)
    for each in (veiled, plain):
        await each({"type": "http", "method": "GET", "path": "/chat", "headers": [], "state": {}}, nothing, nothing)
        assert each.recorder.close()
    assert users(path) == [pseudonym(read_key(path), "ada@example.com"), "ada@example.com"]


def test_what_cannot_be_is_refused(path):
    assert UsageTrackingMiddleware(app, pseudonymous="yes").problem == "pseudonymous = 'yes' must be True or False"
    given = UsageTrackingMiddleware(app, recorder=Recorder(path), pseudonymous=True)
    assert given.problem.startswith("pseudonymous is set, but a recorder was given")


def test_a_renewed_key_is_another_one_and_keeps_its_mode_but_for_others(path):
    assert not renew_key(path), "there is none"
    record(path, "ada@example.com")
    before, where = read_key(path), key_path(path)
    for mode, after in ((0o600, 0o600), (0o664, 0o660)):
        os.chmod(where, mode)
        assert renew_key(path)
        assert read_key(path) != before
        assert stat.S_IMODE(os.stat(where).st_mode) == after
    assert sorted(each.name for each in path.parent.glob("*.pseudonyms*")) == ["guardian.db.pseudonyms"]
    record(path, "ada@example.com")
    [old, new] = users(path)
    assert (old, new) == (pseudonym(before, "ada@example.com"), pseudonym(read_key(path), "ada@example.com"))
