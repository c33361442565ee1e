"""From where sessions came, in the columns of the published table, where the app's owner asked for it."""

import sqlite3

import pytest

from tests.support.events import event as made
from tracker import UsageTrackingMiddleware
from tracker.event import ANONYMOUS, Client
from tracker.sqlite.connection import connect
from tracker.sqlite.migrations import migrate, prepare
from tracker.sqlite.schema import TRACKER_MIGRATIONS
from tracker.sqlite.writer import Writer

T = 1_700_000_100_000_000
MINUTE = 60_000_000


def event(minute=0, address=None, agent=None, user="ada@example.com"):
    client = Client(address, agent) if address or agent else None
    return made(T + minute * MINUTE, user=user, client=client)


@pytest.fixture
def writer(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"))
    yield writer
    writer.close()


def sessions(db):
    columns = "SELECT user_email, ip_address, user_agent FROM user_sessions ORDER BY session_start, user_email"
    return db.execute(columns).fetchall()


ADA = "ada@example.com"


def test_a_session_has_the_first_address_and_user_agent_that_are_known_of_it(writer):
    writer.write([event(1), event(3, "198.51.100.2"), event(2, "198.51.100.1", "curl/8"), event(100, None, "Lynx")])
    writer.write([event(0, "198.51.100.9"), event(4, "198.51.100.3")])
    assert sessions(writer.db) == [(ADA, "198.51.100.1", "curl/8"), (ADA, None, "Lynx")]


def test_without_a_client_the_columns_stay_empty(writer):
    writer.write([event()])
    assert sessions(writer.db) == [(ADA, None, None)]


def test_of_an_anonymous_request_nothing_is_kept(writer):
    writer.write([event(0, "198.51.100.1", "curl/8", ANONYMOUS), event(1, user="ben@example.com")])
    assert sessions(writer.db) == [("ben@example.com", None, None)]
    assert writer.db.execute("SELECT count(*) FROM guardian_session_client").fetchone() == (0,)


def test_sessions_that_a_late_event_joins_keep_the_earlier_client(writer):
    writer.write([event(0, "198.51.100.1"), event(40, "198.51.100.2")])
    writer.write([event(20)])
    assert sessions(writer.db) == [(ADA, "198.51.100.1", None)]
    assert writer.db.execute("SELECT count(*) FROM guardian_session_client").fetchone() == (1,)


def test_a_session_that_goes_takes_its_client_along(writer):
    writer.write([event(0, "198.51.100.1", "curl/8")])
    writer.db.execute("DELETE FROM guardian_session")
    assert writer.db.execute("SELECT count(*) FROM guardian_session_client").fetchone() == (0,)


@pytest.mark.parametrize("client", [Client(7, None), Client(None, b"curl"), Client("\ud800", None)])
def test_a_client_that_cannot_be_stored_costs_its_event_and_no_other(writer, client):
    assert writer.write([event(1)._replace(client=client), event(2, "198.51.100.1")]) == 1
    assert sessions(writer.db) == [(ADA, "198.51.100.1", None)]


def test_a_database_from_before_gets_the_columns(tmp_path):
    db = connect(str(tmp_path / "guardian.db"))
    before = [each for each in TRACKER_MIGRATIONS if each[0] != "events/0003_clients"]
    migrate(db, before, owner="tracker")
    Writer(db).write([event(0)])
    prepare(db)
    Writer(db).write([event(100, "198.51.100.1", "curl/8")])
    assert sessions(db) == [(ADA, None, None), (ADA, "198.51.100.1", "curl/8")]
    db.close()


async def ask(middleware, peer="10.0.0.1"):
    headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"user-agent", b"curl/8\x1b")]

    async def nothing(*_):
        return {}

    scope = {"type": "http", "method": "GET", "path": "/chat", "headers": headers, "client": (peer, 1), "state": {}}
    await middleware(scope, nothing, nothing)


async def app(scope, receive, send):
    scope["state"]["email"] = ADA
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, (None, None)),
        ({"client_address": "full"}, ("10.0.0.1", None)),
        ({"client_address": "truncated", "trusted_proxies": ["10.0.0.0/8"]}, ("203.0.113.0", None)),
        ({"user_agent": "full"}, (None, "curl/8")),
        ({"client_address": "on"}, (None, None)),
    ],
)
async def test_the_middleware_stores_what_was_asked_for_and_no_more(tmp_path, settings, kept):
    middleware = UsageTrackingMiddleware(app, database=tmp_path / "guardian.db", **settings)
    await ask(middleware)
    assert middleware.recorder.close()
    db = sqlite3.connect(tmp_path / "guardian.db")
    assert sessions(db) == [(ADA, *kept)]
    db.close()
    assert (middleware.problem is None) == (settings.get("client_address") != "on")
