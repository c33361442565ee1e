"""The list of people is what plain SQL over the published tables gives: searched, sorted, and any page of it."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardian.core.time import micros, moment
from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event as made
from tests.support.rosters import chosen
from tracker.event import Failure

START = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("ada@example.com", "Adam", "bob@example.com", "carla@example.com", "anonymous", "Émile")
ORDERS = {
    "requests": "n DESC",
    "errors": "bad DESC, n DESC",
    "seen": "last DESC, n DESC",
}
EVERYBODY = """
    SELECT user_email, count(*) AS n, sum(status_code >= 400) AS bad, max(timestamp) AS last,
           count(DISTINCT feature_name) AS features
    FROM feature_usage WHERE timestamp >= ? AND timestamp < ? AND user_email != 'anonymous' GROUP BY user_email
"""

events = st.lists(
    st.tuples(st.integers(0, 2 * 86400), st.sampled_from(NAMES), st.sampled_from((200, 404)), st.sampled_from("ab")),
    max_size=40,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events, st.integers(0, 86400), st.integers(1, 2 * 86400), st.sampled_from(("", "AD", "example", "é")))
def test_search_sort_and_pages_are_those_of_plain_sql(tmp_path_factory, found, first, length, search):
    folder = tmp_path_factory.mktemp("list")
    asyncio.run(_equal_the_plain(folder / "guardian.db", found, first, length, search))


async def _equal_the_plain(path, found, first, length, search):
    repository = await SqliteRepository.open(path)
    await repository.write(
        [
            made(micros(START) + at * 1_000_000, user=user, feature=feature, status=status,
                 failure=None if status < 400 else Failure("HTTP 404", "Not Found"))
            for at, user, status, feature in sorted(found)
        ]
    )  # fmt: skip
    await repository.seal(START + timedelta(hours=30))
    start, end = START + timedelta(seconds=first), START + timedelta(seconds=first + length)
    everybody = await repository.roster(start, end, back=timedelta(days=30))
    await repository.close()
    window = [at.isoformat(timespec="microseconds") for at in (start, end)]
    with closing(sqlite3.connect(path)) as db:
        db.create_function("folded", 1, str.casefold)
        for sort, order in ORDERS.items():
            sql = f"SELECT * FROM ({EVERYBODY}) WHERE instr(folded(user_email), ?) ORDER BY {order}, folded(user_email)"
            for page in (0, 1):
                rows = db.execute(f"{sql} LIMIT 2 OFFSET ?", (*window, search.casefold(), 2 * page)).fetchall()
                places = chosen(everybody, search=search, sort=sort)[2 * page : 2 * page + 2]
                assert [
                    (p.name, p.requests, p.errors, moment(p.last_us).isoformat(timespec="microseconds"), p.features)
                    for p in everybody.rows(places)
                ] == rows
