"""Names as numbers: people, routes and failures are stored once, and rows carry their numbers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import TypeVar

from tracker.event import ANONYMOUS, Failure
from tracker.pseudonyms import pseudonym
from tracker.source import Source
from tracker.sqlite.parts import PIECE, parts
from tracker.sqlite.tombstones import Tombstones

ROUTE_CAP = 5_000
"""The most (endpoint, method, feature) triples stored; later ones become `(other)`."""
FAILURE_CAP = 20_000
"""The most failures stored; later ones become `(other)`."""
SOURCE_CAP = 10_000
"""The most pairs of release and instance stored; later ones become `(other)`."""
OTHER = "(other)"
_CACHE_CAP = 50_000
_CACHED_BYTES = 4_000_000

Key = TypeVar("Key")


class Dictionaries:
    """The numbers of names in one database; those asked for lately are remembered until `forget`.

    With a `key`, people stand there by their pseudonyms. What somebody did before they were erased is anonymous.
    """

    def __init__(self, db: sqlite3.Connection, key: bytes | None = None) -> None:
        self._db, self._key = db, key
        self._tombstones = Tombstones(db)
        self.forget()

    def forget(self) -> None:
        """Ask the database anew from now on."""
        self._users: dict[str, int] = {}
        self._routes: dict[tuple[str, str, str], int] = {}
        self._failures: dict[Failure, int] = {}
        self._sources: dict[Source, int] = {}
        self._erased: dict[str, int] = {}
        self.anonymous: int | None = None
        self._cached = 0

    def begin(self) -> None:
        """Call when a transaction begins: others may have erased somebody since the last one."""
        self._tombstones.forget()

    def user(self, name: str, at_us: int) -> int:
        """The number of the user of an event at this moment, made if they are new. Raises TypeError for what is no
        text."""
        number = self._users.get(name)
        if number is None and type(name) is str and name != ANONYMOUS:
            erased_us = self._tombstones.erased_us(self._stored(name))
            if erased_us is not None:
                self._erased[name] = erased_us
        if self._erased and at_us <= self._erased.get(name, -1):
            return self.user(ANONYMOUS, at_us)
        if number is None:
            number = self._person(name)
            if name == ANONYMOUS:
                self.anonymous = number
        return number

    def all_of(
        self,
        users: Sequence[str],
        routes: tuple[Sequence[str], ...],
        at_us: Sequence[int],
        between: Callable[[], bool] | None = None,
    ) -> tuple[Sequence[int], Sequence[int]] | None:
        """The numbers of the users and of the routes of events at these moments, as `user` and `route` make them; None
        where they have to be asked for one by one: somebody was erased, or there are too many names to remember. There
        is at least one event.

        `routes` are the endpoints, the methods and the features. `between` is called between two parts of the people
        who are not remembered, see `parts`: the database is asked for each.
        """
        for known in (False, True):
            if self._erased:
                break
            with suppress(KeyError):
                # itemgetter makes no calls, so what it fetches of many names overlaps, which takes a quarter less. One
                # name more, since it gives no tuple of a single one.
                people = itemgetter(*users, users[0])(self._users)[:-1]
                # The tuples from zip are not kept: so many new ones would trigger the garbage collector.
                triples = zip(*routes, strict=True)
                return people, [*map(self._routes.__getitem__, triples)]
            if not known:
                new = {name: at for name, at in zip(users, at_us, strict=True) if name not in self._users}
                for some in parts([*new.items()], PIECE, between):
                    for name, at in some:
                        self.user(name, at)
                for triple in {triple for triple in zip(*routes, strict=True) if triple not in self._routes}:
                    self.route(*triple)
        return None

    def route(self, endpoint: str, method: str, feature: str) -> int:
        """The number of a route's names; that of `(other)` where there are too many."""
        triple = (endpoint, method, feature)
        number = self._routes.get(triple)
        if number is None:
            names = ("endpoint", "method", "feature")
            number = self._number(self._routes, triple, "guardian_route", names, triple, ROUTE_CAP)
        return number

    def failure(self, failure: Failure) -> int:
        """The number of a failure; that of `(other)` where there are too many."""
        number = self._failures.get(failure)
        if number is None:
            names, values = ("kind", "message", "location"), tuple(failure)
            number = self._number(self._failures, failure, "guardian_failure", names, values, FAILURE_CAP)
        return number

    def source(self, source: Source, at_us: int) -> int:
        """The number of a release and instance; that of `(other)` where there are too many. `at_us` is when its first
        event was that is known here."""
        number = self._sources.get(source)
        if number is None:
            names, values = ("release", "instance"), tuple(source)
            number = self._number(self._sources, source, "guardian_source", names, values, SOURCE_CAP)
            earlier = "UPDATE guardian_source SET first_us = ?2 WHERE id = ?1 AND coalesce(first_us, ?2 + 1) > ?2"
            self._db.execute(earlier, (number, at_us))
        return number

    def _person(self, name: str) -> int:
        """The number of a user, made if they are new.

        Version 0.1 stored every name in lower case. A name without an @ goes on under such a row as long as it is the
        only spelling that comes; with the second one each has a row of its own, and the old one keeps what it has.
        """
        if type(name) is not str:
            raise TypeError("a name is not a text")
        if self._key is None and name != name.lower():
            lowered = (
                "SELECT u.id, s.spelling FROM guardian_spelling s JOIN guardian_user u ON u.id = s.user "
                "WHERE u.email = ?"
            )
            row = self._db.execute(lowered, (name.lower(),)).fetchone()
            if row is not None:
                spelling = name if row[1] in (None, name) else ""
                self._db.execute("UPDATE guardian_spelling SET spelling = ? WHERE user = ?", (spelling, row[0]))
                if spelling:
                    known: int = row[0]
                    self._users[name] = known
                    return known
                self._users.clear()
                # Other processes may know the old row by its first spelling.
                epoch = os.urandom(8).hex()
                self._db.execute("REPLACE INTO guardian_meta (key, value) VALUES ('dictionary_epoch', ?)", (epoch,))
        return self._number(self._users, name, "guardian_user", ("email",), (self._stored(name),))

    def _stored(self, name: str) -> str:
        return name if self._key is None or name == ANONYMOUS else pseudonym(self._key, name)

    def _number(
        self,
        cache: dict[Key, int],
        key: Key,
        table: str,
        names: tuple[str, ...],
        values: tuple[str, ...],
        cap: int | None = None,
    ) -> int:
        """The id of a dictionary row, made if it is missing; that of `(other)` where the table has `cap` rows."""
        if not all(type(value) is str for value in values):
            raise TypeError("a name is not a text")
        where = " AND ".join(f"{name} = ?" for name in names)
        known = f"SELECT id FROM {table} WHERE {where}"
        row = self._db.execute(known, values).fetchone()
        if row is None:
            if cap is not None and self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] >= cap:
                values = (OTHER,) * len(values)
            marks = ", ".join("?" * len(values))
            self._db.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
            row = self._db.execute(known, values).fetchone()
        # Bounded in bytes too: a name may have hundreds of characters, a failure's location thousands.
        self._cached += sum(len(value) if value.isascii() else 4 * len(value) for value in values)
        if len(cache) >= _CACHE_CAP or self._cached >= _CACHED_BYTES:
            for each in (self._users, self._routes, self._failures):
                each.clear()
            self._cached = 0
        number: int = row[0]
        cache[key] = number
        return number
