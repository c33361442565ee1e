"""The part of `Moving` on a SQLite file for single events, and for summaries whose events are gone."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from guardian.core.storage import StorageError
from guardian.core.totals import Totals, renumbered
from guardian.stores.moving import STRETCH_US, Bucket, Facts, Recorded, places
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import AT_US, DAY, EVER, HOUR, MINUTES5, ids, meta, set_meta, time_of
from guardian.stores.sqlite.damage import readable
from guardian.stores.sqlite.database import cannot_open
from guardian.stores.sqlite.routes import all_routes
from guardian.stores.sqlite.sealing import join
from tracker.event import ANONYMOUS, Event, Failure
from tracker.pseudonyms import key_path
from tracker.source import Source
from tracker.sqlite.activity import Activity
from tracker.sqlite.batch import batch_of
from tracker.sqlite.connection import connect, undo
from tracker.sqlite.dictionaries import Dictionaries
from tracker.sqlite.rows import insert
from tracker.sqlite.sessions import extend_sessions

NAME = "coalesce(nullif(s.spelling, ''), u.email)"
USERS = "guardian_user u LEFT JOIN guardian_spelling s ON s.user = u.id"
"""Reads people under their recorded names; for names that an old version stored in lower case, with the known
spelling."""
_EVENTS = """
    SELECT e.id, e.user, r.endpoint, r.method, r.feature, e.status % 1000, e.duration_us, f.kind, f.message,
           f.location, e.latency_us, o.release, o.instance
    FROM guardian_request e JOIN guardian_route r ON r.id = e.route LEFT JOIN guardian_failure f ON f.id = e.failure
    LEFT JOIN guardian_source o ON o.id = e.source WHERE e.id >= ? AND e.id < ? ORDER BY e.id
"""


class SqliteMovingEvents:
    """A connection to one SQLite file that has its tables. Raises StorageError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = connect(str(path), synchronous="FULL", timeout=10.0, create=False)
        except sqlite3.Error as error:
            raise StorageError(cannot_open(path, error)) from error
        self._names: dict[int, str] = {}
        self._dictionaries = Dictionaries(self._db)

    def outside(self) -> list[str]:
        """See Moving: the pseudonym key is a separate file."""
        key = key_path(self._path)
        return [f"the key of the pseudonyms, {key}: copy it beside the new file"] if os.path.exists(key) else []

    def facts(self) -> Facts:
        """See Moving."""
        with readable(self._path):
            return Facts(*(meta(self._db, each) for each in ("purged_until_us", "forgotten_until_us", "purged_events")))

    def put_facts(self, facts: Facts) -> None:
        """See Moving."""
        with self._transaction() as db:
            set_meta(db, "purged_until_us", facts.purged_us)
            set_meta(db, "forgotten_until_us", facts.forgotten_us)
            set_meta(db, "sealed_until_us", facts.purged_us)
            set_meta(db, "purged_events", facts.purged)

    def bucket_starts(self) -> list[int]:
        """See Moving."""
        facts = self.facts()
        with readable(self._path):
            return seals.starts(self._db, MINUTES5, facts.forgotten_us, facts.purged_us)

    def buckets(self, starts: Sequence[int]) -> Iterator[Bucket]:
        """See Moving."""
        with readable(self._path):
            routes = all_routes(self._db)
            for start in starts:
                totals = seals.read(self._db, MINUTES5, start)
                users, people = places((totals.users[:, 0], totals.used[:, 0]))
                numbers, used = places((totals.used[:, 1], totals.statuses[:, 0], totals.durations[:, 0]))
                names = [self._name(user) for user in users]
                yield Bucket(start, renumbered(totals, people, used), names, [routes[number] for number in numbers])

    def put_buckets(self, buckets: Sequence[Bucket]) -> None:
        """See Moving. Deletes the hours and days around them, which are joined again later."""
        names = self._dictionaries
        with self._transaction() as db:
            for bucket in buckets:
                people = np.array([names.user(name, EVER) for name in bucket.people], np.int64)
                routes = np.array([names.route(r.endpoint, r.method, r.feature) for r in bucket.routes], np.int64)
                for span in (HOUR, DAY):
                    seals.put(db, span, bucket.start_us // span * span, Totals.of([]))
                seals.put(db, MINUTES5, bucket.start_us, renumbered(bucket.totals, people, routes))

    def join_buckets(self) -> None:
        """See Moving."""
        with readable(self._path):
            join(self._db, 0)

    def stretches(self) -> dict[int, int]:
        """See Moving."""
        start = f"{AT_US} / {STRETCH_US} * {STRETCH_US}"
        sql = f"SELECT {start}, count(*) FROM guardian_request WHERE id >= ? GROUP BY 1"
        with readable(self._path):
            return dict(self._db.execute(sql, ids(self.facts().purged_us, 0)[:1]))

    def events(self, starts: Sequence[int]) -> dict[int, list[Recorded]]:
        """See Moving."""
        with readable(self._path):
            return {
                start: [self._recorded(row) for row in self._db.execute(_EVENTS, ids(start, start + STRETCH_US))]
                for start in starts
            }

    def replace(self, stretches: Mapping[int, Sequence[Recorded]]) -> None:
        """See Moving. Each stretch is replaced in one transaction."""
        with self._transaction() as db:
            sealed_us, groups = meta(db, "sealed_until_us"), defaultdict[Source | None, list[Event]](list)
            for start, recorded in stretches.items():
                db.execute("DELETE FROM guardian_request WHERE id >= ? AND id < ?", ids(start, start + STRETCH_US))
                if start < sealed_us:
                    db.execute("INSERT OR IGNORE INTO guardian_dirty VALUES (?)", (start,))
                for event, source in recorded:
                    groups[source].append(event)
            nobody, activity = self._dictionaries.user(ANONYMOUS, 0), Activity()
            for source, events in groups.items():
                batch = batch_of(events, self._dictionaries)
                insert(db, batch, None if source is None else self._source(source))
                activity.add(batch.at_us, batch.user, batch.duration_us, nobody)
            extend_sessions(db, activity)

    def close(self) -> None:
        """See Moving."""
        self._db.close()

    def _name(self, user: int) -> str:
        if user not in self._names:
            sql = f"SELECT {NAME} FROM {USERS} WHERE u.id = ?"
            self._names[user] = str(self._db.execute(sql, (user,)).fetchone()[0])
        return self._names[user]

    def _recorded(self, row: tuple[int, int, str, str, str, int, int, str, str, str, int | None, str, str]) -> Recorded:
        number, user, endpoint, method, feature, status, duration, kind, message, location, latency, *source = row
        failure = None if kind is None else Failure(kind, message, location)
        at = time_of(number)
        event = Event(at, self._name(user), endpoint, method, feature, status, duration, failure, latency)
        return Recorded(event, None if source[0] is None else Source(*source))

    def _source(self, source: Source) -> int:
        """The number of a source. The moment of its first event is not set: it is moved separately."""
        self._db.execute("INSERT OR IGNORE INTO guardian_source (release, instance) VALUES (?, ?)", source)
        sql = "SELECT id FROM guardian_source WHERE release = ? AND instance = ?"
        return int(self._db.execute(sql, source).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction: everything written inside is committed, or nothing."""
        with readable(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._dictionaries.begin()
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._dictionaries.forget()
                undo(self._db)
                raise
