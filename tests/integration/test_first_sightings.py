"""When each error first came, whatever is sealed, came late, was imported or deleted: single requests say the same."""

import asyncio
import random
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.time import micros
from guardian.stores.importing import IMPORTED
from guardian.stores.sqlite import sightings
from guardian.stores.sqlite.decoded import decoded
from guardian.stores.sqlite.events import SqliteRepository
from guardian.stores.sqlite.imported import OWN
from tests.support.events import event as made
from tracker.event import Failure

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 4
ACTS = ("write", "write", "seal", "purge", "purge errors")
EVERYTHING = """
    SELECT kind, location, feature, e.id >> 10 FROM guardian_request e
    JOIN guardian_failure f ON f.id = e.failure JOIN guardian_route r ON r.id = e.route
"""


def failed(minutes, chance):
    failure = Failure(f"E{chance.randrange(3)}", "no", chance.choice(("", "app.py:1 f", "app.py:2 f\napp.py:3 g")))
    return made(
        START + timedelta(minutes=minutes), feature=f"r{chance.randrange(40)}", status=500, failure=failure
    )  # fmt: skip


def read(path, only=""):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return sightings.read_first_sightings(db, only)


def told_by_each(path, where=""):
    """The same from single requests, one by one."""
    found = {}
    with closing(sqlite3.connect(path)) as db:
        for kind, location, feature, at in db.execute(EVERYTHING + where):
            what = kind, location.rsplit("\n", 1)[-1] or feature
            found[what] = min(at, found.get(what, at))
    return found


async def happen(repository, act, chance):
    at = START + timedelta(minutes=chance.randrange(DAYS * 1440))
    if act == "write":
        await repository.write([failed(chance.randrange(DAYS * 1440), chance) for _ in range(chance.randrange(1, 9))])
    elif act == "seal":
        await repository.seal(at)
    elif act == "purge":
        await repository.purge(events_before=at - timedelta(days=2), summaries_before=START - timedelta(days=9))
    else:
        await repository.purge_errors(at - timedelta(days=1))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), acts=st.lists(st.sampled_from(ACTS), min_size=3, max_size=9))
def test_the_first_time_of_each_error_is_that_of_its_first_request(seed, acts):
    async def live(path):
        chance, repository = random.Random(seed), await SqliteRepository.open(path)
        for act in ("write", *acts):
            await happen(repository, act, chance)
            assert read(path) == told_by_each(path)
        await repository.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder) / "guardian.db"))


async def test_the_requests_of_sealed_days_are_not_looked_up_one_by_one(tmp_path, monkeypatch):
    path, chance, spans = tmp_path / "guardian.db", random.Random(1), []
    repository = await SqliteRepository.open(path)
    await repository.write([failed(minutes, chance) for minutes in range(0, DAYS * 1440, 10)])
    await repository.seal(START + timedelta(days=DAYS, hours=2))
    await repository.close()
    monkeypatch.setattr(sightings, "ids", lambda *span: spans.append(span) or (0, 0))
    assert read(path) == told_by_each(path)
    assert all(end <= micros(START) or start >= micros(START + timedelta(days=DAYS)) for start, end in spans)


async def test_what_is_read_once_of_the_whole_past_is_not_kept(tmp_path):
    path, chance = tmp_path / "guardian.db", random.Random(1)
    repository = await SqliteRepository.open(path)
    await repository.write([failed(minutes, chance) for minutes in range(0, DAYS * 1440, 10)])
    await repository.seal(START + timedelta(days=DAYS, hours=2))
    await repository.close()
    before = decoded().kept()
    assert read(path)
    assert decoded().kept() == before


@pytest.mark.parametrize("sealed", [True, False])
async def test_rules_look_at_what_was_not_imported(tmp_path, sealed):
    path, chance = tmp_path / "guardian.db", random.Random(2)
    repository = await SqliteRepository.open(path)
    await repository.write([failed(minutes, chance) for minutes in range(0, 3000, 300)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO guardian_source (id, release, instance) VALUES (7, '', ?)", (IMPORTED,))
        db.execute("UPDATE guardian_request SET source = 7 WHERE route % 2 = 0")
    if sealed:
        await repository.seal(START + timedelta(days=DAYS))
    await repository.close()
    assert read(path, OWN) == told_by_each(path, " WHERE source IS NULL") != told_by_each(path)
    assert read(path) == told_by_each(path)
