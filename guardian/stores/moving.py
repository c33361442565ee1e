"""What Guardian needs of a store to move everything that it keeps into another one, of its own kind or not.

Everything is one of three: rows of tables, which each store has in its own shape and gives in one; summaries of 5
minutes whose single events are gone; and single events. Each can be given again and again: what is there already is
not there twice. Nothing is known of the other store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import numpy as np

from guardian.core.summary import Route
from guardian.core.totals import Totals
from tracker.event import Event
from tracker.source import Source

STRETCH_US = 5 * 60 * 1_000_000
"""Single events are moved by stretches of this length, which begin at its multiples; summaries are as long."""

Row = Mapping[str, Any]
"""The fields of one row by name: texts, integers, bytes, None, and lists of these."""
Key = tuple[Any, ...]
"""What tells a row from all others of its table: the values of `Table.key`."""


class Table(NamedTuple):
    """A table: its fields, the first `keys` of which tell its rows apart. Times are µs, and end in _us."""

    fields: tuple[str, ...]
    keys: int = 1

    def key(self, row: Row) -> Key:
        """What tells this row from the others."""
        return tuple(row[field] for field in self.fields[: self.keys])


def _table(fields: str, keys: int = 1) -> Table:
    return Table(tuple(fields.split()), keys)


TABLES: Mapping[str, Table] = {
    "secret": _table("name value"),
    "tombstone": _table("hash erased_us"),
    "person": _table("name"),
    "period": _table("schedule start_us end_us claimed_us edition doubted", 3),
    "report": _table("id schedule start_us end_us created_us body"),
    "outbox": _table(
        "key id recipient channel kind severity subject body people status attempts created_us next_us sent_us "
        "transport last_error"
    ),
    "number": _table("name value"),
    "alert_state": _table("name body"),
    "incident": _table("id body"),
    "used_link": _table("nonce used_us"),
    "unsubscribed": _table("schedule recipient at_us", 2),
    "watch": _table("schedule start_us end_us claimed_us mails told_us tries next_us edition", 3),
    "outage": _table("channel recipient dead_id name since_us audience", 2),
    "signed_in": _table("cookie address began_us seen_us"),
    "recorder": _table("recorder started_us seen_us accepted stored dropped version"),
    "note": _table("recorder kind detail count seen_us", 3),
    "import_key": _table("name value"),
    "mark": _table("start_us marks"),
    "release": _table("release first_us"),
    "feature": _table("name"),
    "session": _table("person start_us end_us ip_address user_agent", 2),
}
"""All tables, in the order in which they are moved; keys and tombstones come before the names that they are about."""
AFTER_EVENTS = frozenset({"mark", "release", "feature", "session"})
"""These belong to single events, and are moved after them."""
HASHED_BY = "tombstones"
"""The secret by which erased names are hashed, and on Firestore all of them: both sides must have the same."""
HEAVY = frozenset({"outbox", "report", "alert_state", "mark"})
"""Their rows may be long: few are read and written at once."""


class Bucket(NamedTuple):
    """What was counted in the 5 minutes from `start_us` on. The numbers in `totals` are places in `people` and in
    `routes`."""

    start_us: int
    totals: Totals
    people: Sequence[str]
    routes: Sequence[Route]


class Recorded(NamedTuple):
    """A single event, whose user is the name that it was recorded under, and who answered; None where nobody knows."""

    event: Event
    source: Source | None


class Facts(NamedTuple):
    """Before `purged_us` there are no single events any more, `purged` of which were deleted, and before
    `forgotten_us` no summaries either."""

    purged_us: int = 0
    forgotten_us: int = 0
    purged: int = 0


class Lead(NamedTuple):
    """Who leads, until when, and the number that fences it; nobody where `holder` is ""."""

    holder: str = ""
    expires_us: int = 0
    token: int = 0


class Move(NamedTuple):
    """What a store says of a move into it: from where, the token of the lead that it had, and whether it came to its
    end."""

    source: str
    token: int
    done: bool = False


class Moving(Protocol):
    """A store that is open for a move. Methods block, and raise StorageError with one sentence.

    The tables of the store are there: whoever moves has opened it (`Backend.open`) before.
    """

    @property
    def gives(self) -> frozenset[str]:
        """The names of the tables that this store keeps."""
        ...

    @property
    def takes(self) -> frozenset[str]:
        """Those of them that rows may be put into; the others follow from what else is put."""
        ...

    def lead(self, name: str) -> Lead:
        """Who has the lease of this name."""
        ...

    def move(self) -> Move | None:
        """What was noted of a move into this store; None for none."""
        ...

    def note_move(self, move: Move) -> None:
        """Note it."""
        ...

    def outside(self) -> list[str]:
        """What belongs to the store and lies outside of it, a sentence each."""
        ...

    def rows(self, table: str) -> Iterator[Sequence[Row]]:
        """All rows of a table, some at a time, in any order."""
        ...

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """Write these rows, each in the place of the one with its key."""
        ...

    def delete(self, table: str, keys: Sequence[Key]) -> None:
        """Delete the rows with these keys."""
        ...

    def facts(self) -> Facts:
        """How far events and summaries were deleted."""
        ...

    def put_facts(self, facts: Facts) -> None:
        """Note it; to be called before summaries and events are put. It never goes back."""
        ...

    def bucket_starts(self) -> list[int]:
        """Where the summaries of before `Facts.purged_us` begin, in order."""
        ...

    def buckets(self, starts: Sequence[int]) -> Iterator[Bucket]:
        """Those that begin there."""
        ...

    def put_buckets(self, buckets: Sequence[Bucket]) -> None:
        """Write these, each in the place of the one of its 5 minutes."""
        ...

    def join_buckets(self) -> None:
        """Let the hours and days be made that are missing of what `put_buckets` has written."""
        ...

    def stretches(self) -> dict[int, int]:
        """How many single events each stretch has, by its start, from `Facts.purged_us` on; those with none not."""
        ...

    def events(self, starts: Sequence[int]) -> dict[int, list[Recorded]]:
        """The events of the stretches that begin there, in order, each by its start and in the order of time."""
        ...

    def replace(self, stretches: Mapping[int, Sequence[Recorded]]) -> None:
        """Let each stretch, by its start, have these events and no others. What was summarised of it is stale then. One
        that is killed in between leaves a stretch with another number of events than it has at the end."""
        ...

    def close(self) -> None:
        """Close it; may be called twice."""
        ...


def fingerprint(row: Row) -> bytes:
    """What tells a row from one with other values."""
    text = json.dumps(row, sort_keys=True, default=lambda value: bytes(value).hex())
    return blake2b(text.encode(), digest_size=16).digest()


def fingerprints(store: Moving, table: str) -> dict[Key, bytes]:
    """The fingerprint of each row of a table, by its key."""
    made = TABLES[table]
    return {made.key(row): fingerprint(row) for rows in store.rows(table) for row in rows}


def places(numbers: Iterable[np.ndarray]) -> tuple[list[int], np.ndarray]:
    """The different numbers of some columns, in order, and an array that has at each number its place among them."""
    found = np.unique(np.concatenate([*numbers, np.zeros(0, np.int64)]).astype(np.int64))
    where = np.zeros(int(found.max(initial=-1)) + 1, np.int64)
    where[found] = np.arange(len(found))
    return found.tolist(), where
