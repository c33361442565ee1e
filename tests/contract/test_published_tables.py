"""The published tables have the same rows whatever the database is, of a person and of a window."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.exporting import COLUMNS
from guardian.core.time import micros
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker.event import ANONYMOUS, Failure

DAY = datetime(2026, 3, 2, tzinfo=UTC)
BOOM = Failure("KeyError", "no such thread", "app.py:7 chat")


def at(minutes):
    return DAY + timedelta(minutes=minutes)


EVENTS = [
    *(made(micros(at(minute)), user="ada@example.com", ms=90) for minute in (0, 10, 45, 200)),
    *(made(micros(at(minute)), user="bob@example.com", status=500, failure=BOOM) for minute in (5, 30)),
    made(micros(at(7)), user=ANONYMOUS, status=404, failure=Failure("HTTP 404", "HTTP 404")),
    made(micros(at(1430)), user="ada@example.com"),
    made(micros(at(1450)), user="ada@example.com"),
]
"""Ada is there over midnight, too."""


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
async def repository(request, tmp_path):
    place = tmp_path / "guardian.db" if request.param == "sqlite" else address_in(tmp_path)
    store = await backend(place).open_events(NO_BOOK)
    await store.write(EVENTS)
    yield store
    await store.close()


async def rows(repository, table, start, end):
    return [row async for some in repository.rows(table, start, end) for row in some]


@pytest.mark.parametrize(
    ("table", "start", "end", "when"),
    [
        ("feature_usage", 0, 1440, [0, 5, 7, 10, 30, 45, 200, 1430]),
        ("feature_usage", 10, 45, [10, 30]),
        ("user_errors", 0, 9000, [5, 7, 30]),
        ("user_errors", 40, 9000, []),
    ],
)
async def test_the_requests_of_a_window_are_in_the_order_of_time(repository, table, start, end, when):
    found = await rows(repository, table, at(start), at(end))
    assert [row["timestamp"] for row in found] == [at(minute).isoformat(timespec="microseconds") for minute in when]
    assert all(tuple(row) == COLUMNS[table] for row in found)
    assert len({row["id"] for row in found}) == len(found)


async def test_a_row_says_what_the_event_was(repository):
    [row] = await rows(repository, "user_errors", at(5), at(6))
    del row["id"]
    when = at(5).isoformat(timespec="microseconds")
    assert row == {
        "user_email": "bob@example.com", "endpoint": "/chat", "method": "GET", "error_type": "KeyError",
        "error_code": 500, "error_message": "no such thread", "stack_trace": "app.py:7 chat", "timestamp": when,
        "created_at": when,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        (-60, 1440, [("ada", 0, 10), ("ada", 45, 45), ("ada", 200, 200), ("ada", 1430, 1450), ("bob", 5, 30)]),
        (100, 1429, [("ada", 200, 200)]),
        (1429, 1500, [("ada", 1430, 1450)]),
        (1440, 1500, []),
    ],
)
async def test_sessions_are_those_that_began_in_the_window(repository, start, end, wanted):
    found = await rows(repository, "user_sessions", at(start), at(end))
    assert all(tuple(row) == COLUMNS["user_sessions"] for row in found)
    ends = sorted((row["user_email"].partition("@")[0], row["session_end"]) for row in found)
    assert ends == sorted((name, at(last).isoformat(timespec="microseconds")) for name, _, last in wanted)
    assert all(row["duration_seconds"] == (last - first) * 60 for row, (_, first, last) in zip(
        sorted(found, key=lambda row: (row["user_email"], row["session_start"])), wanted, strict=True
    ))  # fmt: skip


async def test_the_rows_of_a_person_have_the_same_columns(repository):
    for table, found in (await repository.export_user("bob@example.com")).items():
        assert found and all(tuple(row) == COLUMNS[table] for row in found)
