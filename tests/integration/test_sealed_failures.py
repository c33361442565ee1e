"""The failed requests of sealed days and of the latest hours, noted beside their summaries: the index alone would say
the same."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardian.core.activity import ERRORS_PER_USER
from guardian.core.time import micros, moment
from guardian.stores.sqlite.buckets import DAY, HOUR, SPANS, time_of
from guardian.stores.sqlite.connections import in_one_state
from guardian.stores.sqlite.events import SqliteRepository
from guardian.stores.sqlite.seal_keys import seal_range, seal_start
from guardian.stores.sqlite.sealed_failures import stretches
from guardian.stores.sqlite.seals import FAILED, WHERE
from tests.support.events import event as made
from tests.support.events import failures_in
from tracker.event import Failure

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 4
WHOLE = (START - timedelta(days=1), START + timedelta(days=DAYS + 1))


def failed(minutes, user="ada@example.com", feature="chat"):
    at = START + timedelta(minutes=minutes)
    return made(at, user=user, feature=feature, status=404, failure=Failure("HTTP 404", "Not Found"))


def noted(path, span=DAY):
    sql = f"SELECT id FROM guardian_seal WHERE {WHERE} ORDER BY 1"
    with closing(sqlite3.connect(path)) as db:
        return [seal_start(key) for (key,) in db.execute(sql, seal_range(FAILED, span, 0, 2**62))]


def day(number):
    return micros(START + timedelta(days=number))


def hour(number):
    return micros(START + timedelta(hours=number))


async def open_at(folder):
    return await SqliteRepository.open(folder / "guardian.db")


async def test_each_sealed_day_has_its_failed_requests_noted_and_only_those(tmp_path):
    repository = await open_at(tmp_path)
    await repository.write([failed(10), failed(1500), failed(1501), failed(3000)])
    await repository.seal(START + timedelta(days=2, hours=3))
    assert noted(tmp_path / "guardian.db") == [day(0), day(1)]
    found = await failures_in(repository, *WHOLE)
    assert [e.at_us for e in found["ada@example.com"]] == [failed(m).at_us for m in (10, 1500, 1501, 3000)]
    await repository.close()


async def test_a_failed_request_that_comes_late_is_told_before_and_after_its_day_is_sealed_anew(tmp_path):
    repository = await open_at(tmp_path)
    await repository.write([failed(10), failed(2000)])
    await repository.seal(START + timedelta(days=DAYS))
    await repository.write([failed(5, "bob@example.com")])
    for _ in range(2):
        assert set(await failures_in(repository, *WHOLE)) == {"ada@example.com", "bob@example.com"}
        await repository.seal(START + timedelta(days=DAYS))
    await repository.close()


async def test_what_another_version_sealed_anew_is_noted_anew(tmp_path):
    repository = await open_at(tmp_path)
    await repository.write([failed(10)])
    await repository.seal(START + timedelta(days=DAYS))
    with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as db:
        before = db.execute(f"SELECT * FROM guardian_seal WHERE {WHERE}", seal_range(FAILED, DAY, 0, 2**62)).fetchone()
        await repository.write([failed(20)])
        await repository.seal(START + timedelta(days=DAYS))
        db.execute("REPLACE INTO guardian_seal VALUES (?, ?, ?)", before)  # it knew nothing of this row
    for _ in range(2):
        assert len((await failures_in(repository, *WHOLE))["ada@example.com"]) == 2
        await repository.seal(START + timedelta(days=DAYS))
    await repository.close()


async def test_a_database_of_before_has_its_days_noted_when_it_is_sealed_next(tmp_path):
    repository = await open_at(tmp_path)
    await repository.write([failed(10), failed(1500)])
    await repository.seal(START + timedelta(days=DAYS))
    with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as db:
        db.executemany(
            f"DELETE FROM guardian_seal WHERE {WHERE}", [seal_range(FAILED, each, 0, 2**62) for each in SPANS]
        )
    assert len((await failures_in(repository, *WHOLE))["ada@example.com"]) == 2
    await repository.seal(START + timedelta(days=DAYS))
    assert noted(tmp_path / "guardian.db") == [day(0), day(1)]
    await repository.close()


async def test_nothing_is_noted_any_more_of_a_day_whose_single_events_are_deleted(tmp_path):
    repository = await open_at(tmp_path)
    await repository.write([failed(10), failed(1500), failed(3000)])
    await repository.seal(START + timedelta(days=DAYS))
    cut = START + timedelta(days=1, hours=2)
    await repository.purge(events_before=cut, summaries_before=START - timedelta(days=9))
    await repository.seal(START + timedelta(days=DAYS))
    assert noted(tmp_path / "guardian.db") == [day(2)]
    assert len((await failures_in(repository, *WHOLE))["ada@example.com"]) == 1
    await repository.close()


async def test_the_text_of_an_error_that_is_deleted_is_gone_from_its_day_too(tmp_path):
    repository = await open_at(tmp_path)
    told = failed(10)._replace(failure=Failure("KeyError", "a text", "app.py:3 load"))
    await repository.write([told, failed(1500)])
    await repository.seal(START + timedelta(days=DAYS))
    assert await repository.purge_errors(START + timedelta(days=1)) == 1
    for days_noted in ([day(1)], [day(0), day(1)]):
        assert noted(tmp_path / "guardian.db") == days_noted
        found = await failures_in(repository, *WHOLE)
        assert found["ada@example.com"][0].failure == Failure("KeyError", "KeyError")
        await repository.seal(START + timedelta(days=DAYS))
    await repository.close()


async def test_the_hours_of_the_latest_days_are_noted_too(tmp_path):
    repository, path = await open_at(tmp_path), tmp_path / "guardian.db"
    await repository.write([failed(10), failed(1500), failed(2900), failed(2990), failed(3000), failed(3100)])
    await repository.seal(START + timedelta(days=2, hours=3, minutes=5))
    assert noted(path, HOUR) == [hour(0), hour(25), hour(48), hour(49), hour(50)]
    await repository.write([failed(4330)])
    await repository.seal(START + timedelta(days=3, hours=1, minutes=5))
    assert noted(path, HOUR) == [hour(25), hour(48), hour(49), hour(50), hour(51), hour(72)]
    await repository.close()


async def test_a_window_inside_two_days_is_read_from_hours_and_from_single_requests_at_its_edges(tmp_path):
    repository = await open_at(tmp_path)
    minutes = (1380, 1430, 1500, 1501, 1570, 1700)  # the hours 23, 25, 26 and 28
    await repository.write([failed(minute) for minute in minutes])
    await repository.seal(START + timedelta(days=1, hours=7))
    window = START + timedelta(minutes=1420), START + timedelta(minutes=1690)
    found = await failures_in(repository, *window)
    assert [e.at_us for e in found["ada@example.com"]] == [failed(m).at_us for m in (1430, 1500, 1501, 1570)]
    await repository.close()


async def test_of_a_day_in_which_a_long_window_begins_or_ends_the_part_inside_is_read_from_its_columns(tmp_path):
    repository, path = await open_at(tmp_path), tmp_path / "guardian.db"
    await repository.write([failed(minute, feature=f"at_{minute}") for minute in (60, 700, 1500, 2000, 3400, 9000)])
    await repository.seal(START + timedelta(days=7))  # no hours of the first days are noted any more

    def read(first, last):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            return in_one_state(
                db,
                lambda db: [
                    (start, end, time_of(keys).tolist())
                    for start, end, (keys, *_) in stretches(db, hour(first), hour(last))
                ],
            )

    at = {minute: micros(START + timedelta(minutes=minute)) for minute in (700, 1500, 2000)}
    assert read(8, 33) == [(hour(8), day(1), [at[700]]), (day(1), hour(33), [at[1500]])]
    assert read(8, 34) == [(hour(8), day(1), [at[700]]), (day(1), hour(34), [at[1500], at[2000]])]
    assert read(21, 25) == [(hour(21), day(1), [])]
    assert read(22, 26) == []
    await repository.close()


async def test_a_failed_request_that_comes_late_is_told_before_and_after_its_hour_is_sealed_anew(tmp_path):
    repository, now = await open_at(tmp_path), START + timedelta(hours=9)
    await repository.write([failed(10), failed(70), failed(190)])
    await repository.seal(now)
    await repository.write([failed(75, "bob@example.com")])
    for _ in range(2):
        assert set(await failures_in(repository, START, now)) == {"ada@example.com", "bob@example.com"}
        await repository.seal(now)
    assert noted(tmp_path / "guardian.db", HOUR) == [hour(0), hour(1), hour(3)]
    await repository.close()


async def test_the_text_of_an_error_that_is_deleted_is_gone_from_its_hour_too(tmp_path):
    repository, now = await open_at(tmp_path), START + timedelta(hours=9)
    told = failed(70)._replace(failure=Failure("KeyError", "a text", "app.py:3 load"))
    await repository.write([failed(10), told, failed(130)])
    await repository.seal(now)
    assert await repository.purge_errors(START + timedelta(minutes=100)) == 2
    for hours_noted in ([hour(2)], [hour(0), hour(1), hour(2)]):
        assert noted(tmp_path / "guardian.db", HOUR) == hours_noted
        found = await failures_in(repository, START, now)
        assert [e.failure for e in found["ada@example.com"]][:2] == [
            Failure("HTTP 404", "HTTP 404"), Failure("KeyError", "KeyError")
        ]  # fmt: skip
        await repository.seal(now)
    await repository.close()


async def test_sealing_writes_nothing_if_there_is_nothing_new(tmp_path):
    repository = await open_at(tmp_path)
    await repository.write([failed(10), failed(1500), failed(3000)])
    await repository.seal(START + timedelta(days=DAYS))
    with closing(sqlite3.connect(tmp_path / "guardian.db")) as db:
        changes = "PRAGMA data_version"
        before = db.execute(changes).fetchone()
        await repository.seal(START + timedelta(days=DAYS))
        assert db.execute(changes).fetchone() == before
    await repository.close()


one = st.tuples(st.integers(0, DAYS * 1440), st.sampled_from("aaab"), st.sampled_from(("chat", "load")))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(one, max_size=80),
    st.lists(one, max_size=4),
    st.integers(0, DAYS * 1440),
    st.integers(1, DAYS * 1440),
    st.sampled_from(((), ("chat",))),
)  # fmt: skip
def test_any_window_has_the_newest_failed_requests_of_the_plain_table(
    tmp_path_factory, rows, late, first, length, features
):
    folder = tmp_path_factory.mktemp("law")
    asyncio.run(_equal_the_plain(folder, rows, late, first, length, features))


async def _equal_the_plain(folder, rows, late, first, length, features):
    repository = await open_at(folder)
    await repository.write([failed(*row) for row in sorted(rows)])
    await repository.seal(START + timedelta(days=DAYS - 1, hours=5))
    await repository.write([failed(*row) for row in sorted(late)])
    start, end = START + timedelta(minutes=first), START + timedelta(minutes=first + length)
    with closing(sqlite3.connect(folder / "guardian.db")) as db:
        sql = "SELECT user_email, timestamp, feature_name FROM feature_usage WHERE timestamp >= ? AND timestamp < ?"
        window = [at.isoformat(timespec="microseconds") for at in (start, end)]
        table = db.execute(f"{sql} ORDER BY timestamp", window).fetchall()
    wanted = [row for row in table if not features or row[2] in features]
    names = {row[0] for row in wanted}
    expected = {name: sorted(row[1:] for row in wanted if row[0] == name)[-ERRORS_PER_USER:] for name in names}
    found = await failures_in(repository, start, end, features=features)
    await repository.close()
    told = {name: sorted((_iso(e), e.feature) for e in failed) for name, failed in found.items()}
    assert told == expected


def _iso(event):
    return moment(event.at_us).isoformat(timespec="microseconds")
