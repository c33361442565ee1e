"""What every store must do to give and take everything that is kept."""

from datetime import UTC, datetime

import numpy as np
import pytest

from guardian.core.summary import Route
from guardian.core.time import micros
from guardian.core.totals import Totals
from guardian.stores.alert_state import INCIDENT_JSON, STATE_JSON
from guardian.stores.importing import IMPORTED
from guardian.stores.moving import HEAVY, STRETCH_US, TABLES, Bucket, Facts, Lead, Move, Recorded, fingerprints
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.contract.test_alerts import incident, remembering
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker.event import Failure
from tracker.source import Source

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
US = micros(NOW) // STRETCH_US * STRETCH_US
PERIOD = {"schedule": "daily", "start_us": 1, "end_us": US}
ROWS = {
    "secret": {"name": "links", "value": "s3cret"},
    "tombstone": {"hash": b"h" * 32, "erased_us": US},
    "person": {"name": "ada@example.com"},
    "period": {**PERIOD, "claimed_us": US, "edition": 2, "doubted": True},
    "report": {"id": 7, **PERIOD, "created_us": US, "body": b"r" * 1_500_000},
    "outbox": {
        "key": "report/daily", "id": 9, "recipient": "a@example.com", "channel": "mail", "kind": "report",
        "severity": "info", "subject": "x", "body": b"m" * 10, "people": b"p", "status": "pending", "attempts": 2,
        "created_us": 1, "next_us": 2, "sent_us": None, "transport": "smtp", "last_error": "refused",
    },
    "number": {"name": "mails", "value": 12},
    "alert_state": {"name": "now", "body": STATE_JSON.dump_json(remembering(incident("a"))).decode()},
    "incident": {"id": "a", "body": INCIDENT_JSON.dump_json(incident("a")).decode()},
    "used_link": {"nonce": "n", "used_us": US},
    "unsubscribed": {"schedule": "daily", "recipient": "a@example.com", "at_us": US},
    "watch": {
        **PERIOD, "claimed_us": None, "mails": 0, "told_us": US, "tries": 1, "next_us": 2, "edition": 1,
    },
    "outage": {
        "channel": "mail", "recipient": "a@example.com", "dead_id": 4, "name": "o", "since_us": US,
        "audience": [["mail", "b@example.com"], ["slack", "ops"]],
    },
    "signed_in": {"cookie": b"c" * 32, "address": "a@example.com", "began_us": 1, "seen_us": 2},
    "recorder": {
        "recorder": "r", "started_us": 1, "seen_us": 2, "accepted": 3, "stored": 2, "dropped": 1, "version": "1.0",
    },
    "note": {"recorder": "r", "kind": "token", "detail": "expired", "count": 3, "seen_us": 2},
    "import_key": {"name": "import_key", "value": "k" * 32},
    "mark": {"start_us": US, "marks": b"12345678"},
    "release": {"release": "v1", "first_us": US},
    "feature": {"name": "chat"},
    "session": {
        "person": "ada@example.com", "start_us": 1, "end_us": 2, "ip_address": "192.0.2.0", "user_agent": None,
    },
}  # fmt: skip
"""A row of each table."""


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
def database(request, tmp_path):
    return tmp_path / "guardian.db" if request.param == "sqlite" else address_in(tmp_path)


@pytest.fixture
async def stores(database):
    stores = await backend(database).open(NO_BOOK)
    yield stores
    await stores.close()


@pytest.fixture
def moving(stores, database):
    moving = backend(database).moving()
    yield moving
    moving.close()


def rows(moving, table):
    return [dict(row) for some in moving.rows(table) for row in some]


def test_each_table_has_its_row_here():
    assert {table: tuple(row) for table, row in ROWS.items()} == {name: table.fields for name, table in TABLES.items()}
    assert set(TABLES) > HEAVY


async def test_a_row_comes_back_once_as_it_was_put_and_goes(moving):
    moving.put("person", [ROWS["person"]])
    moving.replace({US: [Recorded(event(US + 5), Source("", IMPORTED))]})
    for table in sorted(moving.takes - {"number", "person"}):
        for _ in range(2):
            moving.put(table, [ROWS[table]])
        assert ROWS[table] in rows(moving, table), table
        assert len(rows(moving, table)) == len(fingerprints(moving, table)), table
        moving.delete(table, [TABLES[table].key(ROWS[table])])
        assert ROWS[table] not in rows(moving, table), table
    moving.delete("person", [("ada@example.com",)])
    assert rows(moving, "person") == []


async def test_numbers_go_on_behind_those_that_were_given(moving, stores):
    moving.put("number", [ROWS["number"], {"name": "reports", "value": 30}])
    assert {"name": "mails", "value": 12} in rows(moving, "number")
    await stores.state.claim_period("daily", NOW, NOW, report={}, mails=[], now=NOW)
    assert [report.id for report in await stores.state.reports()] == [31]


async def test_a_move_is_noted_and_who_leads_is_told(moving, stores):
    assert (moving.move(), moving.lead("daemon")) == (None, Lead())
    moving.note_move(Move("elsewhere", 3))
    moving.note_move(Move("elsewhere", 3, done=True))
    assert moving.move() == Move("elsewhere", 3, done=True)
    token = await stores.state.acquire_lease("daemon", "one", NOW, NOW - NOW.replace(hour=11))
    assert moving.lead("daemon") == Lead("one", micros(NOW.replace(hour=13)), token)


def event(at_us, user="ada@example.com", **values):
    return made(at_us, user=user, path="/chat/{id}", **values)


async def test_a_stretch_has_exactly_the_events_that_were_put_last(moving, stores):
    failed = event(US + 7, "anonymous", failure=Failure("tool", "tool error"), latency_us=5)
    first = [Recorded(event(US + 5), Source("v1", "a")), Recorded(event(US + 5, "erased-0123456789abcdef~1"), None)]
    moving.replace({US: first, US + STRETCH_US: [Recorded(event(US + STRETCH_US), None)]})
    moving.replace({US: first})
    assert moving.stretches() == {US: 2, US + STRETCH_US: 1}
    moving.replace({US: [*first, Recorded(failed, None)], US + STRETCH_US: []})
    assert moving.stretches() == {US: 3}
    assert sorted(moving.events([US])[US], key=repr) == sorted([*first, Recorded(failed, None)], key=repr)
    await stores.events.seal(NOW.replace(hour=13))
    moving.replace({US: first[:1]})
    await stores.events.seal(NOW.replace(hour=13))
    summary = await stores.events.summary(NOW.replace(hour=0), NOW.replace(hour=13))
    assert {name: user.requests for name, user in summary.users.items()} == {"ada@example.com": 1}


async def test_summaries_without_their_events_are_read_as_before_by_5_minutes_hours_and_days(moving, stores):
    day = US // 86_400_000_000 * 86_400_000_000
    totals = [Totals.of([(at + 5, 1, 0, 200, 3, 3), (at + 9, 0, 1, 500, 2, -1)]) for at in (day, day + 3 * STRETCH_US)]
    people, routes = ["ada@example.com", "bob@example.com"], [Route("chat", "/chat", "GET"), Route("x", "/x", "PUT")]
    put = [Bucket(day + n * 3 * STRETCH_US, each, people, routes) for n, each in enumerate(totals)]
    moving.put_facts(Facts(day + 86_400_000_000, 0, 4))
    moving.put_facts(Facts(day, 0, 3))  # never back
    for _ in range(2):
        moving.put_buckets(put)
        moving.join_buckets()
    assert moving.facts() == Facts(day + 86_400_000_000, 0, 4)
    assert moving.bucket_starts() == [each.start_us for each in put]
    for before, after in zip(put, moving.buckets(moving.bucket_starts()), strict=True):
        places = [after.people.index(name) for name in people]
        assert [after.routes[number] for number in np.unique(after.totals.used[:, 1])] == routes
        assert after.totals.users[places, 1:].tolist() == before.totals.users[:, 1:].tolist()
    midnight = NOW.replace(hour=0)
    for end, many in ((midnight.replace(minute=5), 1), (midnight.replace(hour=1), 2), (NOW.replace(day=3, hour=0), 2)):
        summary = await stores.events.summary(midnight, end)
        assert {name: (user.requests, user.errors) for name, user in summary.users.items()} == {
            "ada@example.com": (many, many), "bob@example.com": (many, 0),
        }  # fmt: skip
