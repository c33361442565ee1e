"""Names of users that were read before: a report asks for the same thousands as the one before it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from guardian.stores.sqlite.buckets import epoch

MOST = 20_000
"""How many names are kept, some 3 MB. Where there would be more, only those that are asked for now are kept."""
_EMAILS = "SELECT u.id, u.email FROM json_each(?) j CROSS JOIN guardian_user u ON u.id = j.value"
_LAST = "SELECT coalesce(max(id), 0) FROM guardian_user"


def read_names(db: sqlite3.Connection, numbers: Sequence[int]) -> list[tuple[int, str]]:
    """The recorded name of each of these users, with the number."""
    return db.execute(_EMAILS, (json.dumps(numbers),)).fetchall()


class Names:
    """The names of users by number, as recorded, in states of one database with the same epoch: until somebody is
    erased, numbers keep their names. Several threads may use it at once."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._counted = 0, 0
        self._newest: tuple[int, str] | None = None

    def of(self, db: sqlite3.Connection, numbers: Sequence[int]) -> Mapping[int, str]:
        """The names of these users, and maybe of others. Do not iterate over it: another thread may add some."""
        known = self._known
        missing = [number for number in numbers if number not in known]
        if missing and len(known) + len(missing) > MOST:
            known, missing = {}, list(numbers)
            self._known = known
        if missing:
            read = read_names(db, missing)
            known.update(read)
            self._newest = max(filter(None, (self._newest, *read)), default=None)
        return known

    def fit(self, db: sqlite3.Connection) -> bool:
        """Whether the newest user whose name was read still has that name. Numbers are given in order, so those before
        have theirs too."""
        if self._newest is None:
            return True
        number, name = self._newest
        found = db.execute("SELECT email FROM guardian_user WHERE id = ?", (number,)).fetchone()
        return found is not None and found[0] == name

    def count(self, db: sqlite3.Connection) -> int:
        """How many users there are. Counting all of them visits every page of an index, so it is done once, and then
        only new ones are counted."""
        last = _last(db)
        until, number = self._counted
        if not 0 < until <= last:
            (number,) = db.execute("SELECT count(*) FROM guardian_user").fetchone()
        elif until < last:
            (more,) = db.execute("SELECT count(*) FROM guardian_user WHERE id > ?", (until,)).fetchone()
            number += more
        self._counted = last, number
        return number


class KeptNames:
    """The names of one database that its readers share. Nobody who was erased is among them: erasing begins a new
    epoch. Nor does it outlast a backup that is copied over the file: the newest user is not there then, or another one
    has got the number since."""

    def __init__(self) -> None:
        self._now: tuple[str | None, Names] = None, Names()

    def now(self, db: sqlite3.Connection) -> Names:
        """Those of the state that this connection sees. Call it inside the transaction that asks for names."""
        current, (before, names) = epoch(db), self._now
        if current != before or not names.fit(db):
            names = Names()
            self._now = current, names
        return names


def _last(db: sqlite3.Connection) -> int:
    """The number of the newest user; 0 without any."""
    last: int = db.execute(_LAST).fetchone()[0]
    return last
