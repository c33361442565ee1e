"""Single events of a SQLite file as columns that grow at the end: known events are neither read nor copied again."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import TypeVar

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns, MinuteCounts
from guardian.stores.people.aliases import Aliases
from guardian.stores.sqlite.buckets import AT_US, epoch, ids
from guardian.stores.sqlite.connections import in_one_state
from guardian.stores.sqlite.earlier import narrowed
from guardian.stores.sqlite.numbers import OUTCOME_BITS, outcome_bits, read_packed, route_bits
from guardian.stores.sqlite.people import person_names
from guardian.stores.sqlite.pieces import Pieces
from guardian.stores.sqlite.rolling import COLUMNS, Rolling
from guardian.stores.sqlite.routes import all_features
from tracker.event import ANONYMOUS
from tracker.sqlite.dictionaries import OTHER

Name = TypeVar("Name")

_STATUS_BITS, _ROUTE_BITS = OUTCOME_BITS, 20
PACKED = f"(user << {_STATUS_BITS + _ROUTE_BITS}) | (route << {_STATUS_BITS}) | status"
"""The SQL that packs three columns into one number, since every number fetched from SQLite takes time."""


def unpacked(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, routes and outcomes, unpacked from `PACKED`."""
    route = packed >> _STATUS_BITS & (1 << _ROUTE_BITS) - 1
    return packed >> _STATUS_BITS + _ROUTE_BITS, route, packed & (1 << _STATUS_BITS) - 1


def _users(db: sqlite3.Connection) -> dict[str, int]:
    """The column with its bits. It may still hold numbers of people who were erased."""
    (most,) = db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'guardian_user'").fetchone()
    return {"user": (most or 0).bit_length()}


class Singles:
    """The single events of a stretch up to the minute `end`, and the numbering of names in their columns.

    Columns handed out are valid until the next call: new events are appended, and old ones removed, in the same arrays.
    `only` is "", or OWN to leave out imported events.
    """

    def __init__(self, db: sqlite3.Connection, aliases: Aliases, only: str = "") -> None:
        self.only = only
        self._aliases, self._epoch = aliases, epoch(db)
        self._users: dict[str, int] = {}
        self._features: dict[str, int] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._names: list[list[str]] = [[], []]
        self._pairs: list[tuple[str, str]] = []
        self._user_codes = np.full(64, -1, dtype=np.int32)
        self._route_codes = np.full(64, -1, dtype=np.int32)
        self._failed_on: dict[int, int] = {}
        self._rows = Rolling()
        self.end = 0
        self.marks: dict[int, int] = {}
        """How many events came late, as far as that is noted, by the minute (its start, µs)."""

    def fits(self, db: sqlite3.Connection, aliases: Aliases, end: int) -> bool:
        """Whether these are the events up to that minute and the names are still valid: nobody was erased since, and no
        error text deleted."""
        return self.end == end and self._epoch == epoch(db) and (aliases is self._aliases or aliases == self._aliases)

    @property
    def columns(self) -> Columns:
        """The events held now."""
        return self._columns(self._rows.arrays)

    def read(self, db: sqlite3.Connection, start_us: int, end_us: int) -> Columns:
        """Read the events of [start, end) without keeping them."""
        if not db.in_transaction:  # one state for all queries
            return in_one_state(db, lambda same: self.read(same, start_us, end_us))
        at_bits = {f"{AT_US} - {start_us}": (end_us - start_us).bit_length()}
        # What may be of any size stands on top: most requests have no failure, and last less than a minute.
        wanted = (
            ("coalesce(failure, 0)", at_bits | route_bits(db) | outcome_bits()),
            ("coalesce(latency_us, duration_us)", _users(db)),
        )
        where = f"id >= ? AND id < ? {narrowed(db, self.only)}"
        found = read_packed(db, wanted, where, ids(start_us, end_us))
        if np.any(found[1][1:] < found[1][:-1]):
            order = np.argsort(found[1], kind="stable")
            found = tuple(each[order] for each in found)
        number, at, route, status, duration_us, user = found
        failure, failed = np.full(len(at), -1, dtype=np.int32), np.flatnonzero(number)
        failure[failed] = self._failed(db, number[failed] << _ROUTE_BITS | route[failed])
        found = (at + start_us, self._user(db, user), self.routes(db, route), status, duration_us, failure)
        return self._columns(dict(zip(COLUMNS, found, strict=True)))

    def add(self, later: Columns, end: int, keep_us: int) -> None:
        """Append these events, which directly follow and reach to the minute `end`; drop those before `keep_us`."""
        self._rows.add(later, end, keep_us)
        self.end = end

    def replace(self, minute: int, anew: Columns) -> None:
        """Replace the events of that minute."""
        self._rows.replace(minute, anew)

    def routes(self, db: sqlite3.Connection, numbers: np.ndarray) -> np.ndarray:
        """For each route number, the index of its feature."""
        self._route_codes = _reaching(self._route_codes, numbers)
        codes: np.ndarray = self._route_codes[numbers]
        if len(codes) and codes.min() < 0:
            for number, feature in all_features(db).items():
                self._route_codes = _reaching(self._route_codes, np.array([number]))
                self._route_codes[number] = _code(self._features, self._names[1], feature)
            codes = self._route_codes[numbers]
        return codes

    @property
    def features(self) -> list[str]:
        """The names of the features, by index."""
        return self._names[1]

    def _user(self, db: sqlite3.Connection, numbers: np.ndarray) -> np.ndarray:
        self._user_codes = _reaching(self._user_codes, numbers)
        codes: np.ndarray = self._user_codes[numbers]
        if len(codes) and codes.min() < 0:
            there = np.zeros(len(self._user_codes), dtype=bool)  # faster than sorting them
            there[numbers[codes < 0]] = True
            new = np.flatnonzero(there).tolist()
            found = person_names(db, self._aliases, new)  # maybe of others too
            known = np.fromiter(found, np.int64, len(found))
            self._user_codes = _reaching(self._user_codes, known)
            named = [_code(self._users, self._names[0], name) for name in found.values()]
            self._user_codes[known] = np.array(named, dtype=np.int32)
            # People who were removed from the dictionary since are anonymous now.
            gone = [number for number in new if self._user_codes[number] < 0]
            self._user_codes[gone] = _code(self._users, self._names[0], ANONYMOUS) if gone else -1
            codes = self._user_codes[numbers]
        return codes

    def _failed(self, db: sqlite3.Connection, numbers: np.ndarray) -> list[int]:
        """The index of the (kind, place) pair for each failure on a route, both in one number."""
        there, codes = numbers.tolist(), self._failed_on
        for number in sorted(set(there) - codes.keys()):
            failure, route = number >> _ROUTE_BITS, number & (1 << _ROUTE_BITS) - 1
            sql = "SELECT kind, location FROM guardian_failure WHERE id = ?"
            kind, location = db.execute(sql, (failure,)).fetchone() or (OTHER, "")
            place = location.rsplit("\n", 1)[-1] or self.features[int(self.routes(db, np.array([route]))[0])]
            codes[number] = _code(self._failures, self._pairs, (kind, place))
        return [codes[number] for number in there]

    def _columns(self, arrays: Mapping[str, np.ndarray]) -> Columns:
        return Columns(**arrays, users=self._names[0], features=self._names[1], failures=self._pairs)


def _code(codes: dict[Name, int], names: list[Name], name: Name) -> int:
    """The index of a name among the names, which it joins where it is new."""
    if name not in codes:
        codes[name] = len(names)
        names.append(name)
    return codes[name]


def _reaching(codes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The table of codes, extended to reach these numbers."""
    longest = int(numbers.max()) + 1 if len(numbers) else 0
    if longest <= len(codes):
        return codes
    return np.concatenate((codes, np.full(longest + longest // 4 - len(codes), -1, dtype=codes.dtype)))


def read_minute_counts(db: sqlite3.Connection, start: int, end: int, singles: Singles) -> MinuteCounts:
    """Counts of the minutes [start, end), read in pieces so short that none holds back the write-ahead log."""
    found = MinuteCounts.of_rows(start, np.zeros((0, 0, 3), dtype=np.int64), [])
    pieces = Pieces(db, start, end)
    for first, last in pieces:
        minute, route, status = in_one_state(db, partial(_read_outcomes, first=first, last=last, only=singles.only))
        piece = MinuteCounts.counted(first, last, minute, singles.routes(db, route), status, singles.features)
        found = found.followed(piece, end - start)
        pieces.read = len(minute)
    return found


def _read_outcomes(db: sqlite3.Connection, first: int, last: int, only: str) -> tuple[np.ndarray, ...]:
    """The minute (counted from `first`), route and outcome of each event in the minutes [first, last)."""
    wanted = f"{AT_US} / {MINUTE_US} - {first}", route_bits(db) | outcome_bits()
    return read_packed(db, [wanted], f"id >= ? AND id < ? {only}", ids(first * MINUTE_US, last * MINUTE_US))
