"""What Guardian needs from a store to move all its data into another store, of the same kind or not. Data comes in
three forms: rows of tables, in a common form that each store translates; summaries of 5 minutes whose single events are
gone; and single events. Writing is idempotent: data written again is not duplicated. A store knows nothing about the
other one.
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
"""Single events are moved by stretches of this length, starting at its multiples. Summaries have the same length."""

Row = Mapping[str, Any]
"""A row's fields by name: texts, integers, bytes, None, and lists of these."""
Key = tuple[Any, ...]
"""A row's primary key: the values of `Table.key`."""


class Table(NamedTuple):
    """A table: its fields, the first `keys` of which are the primary key. Times are in µs, with names ending in _us."""

    fields: tuple[str, ...]
    keys: int = 1

    def key(self, row: Row) -> Key:
        """The primary key of this row."""
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
"""All tables, in the order in which they are moved: keys and tombstones before the names they concern."""
AFTER_EVENTS = frozenset({"mark", "release", "feature", "session"})
"""Tables that belong to single events, and are moved after them."""
HASHED_BY = "tombstones"
"""The key with which erased names (on Firestore, all names) are hashed; both stores must have the same."""
HEAVY = frozenset({"outbox", "report", "alert_state", "mark"})
"""Tables with long rows, of which few are read and written at once."""


class Bucket(NamedTuple):
    """The summary of the 5 minutes from `start_us`. The numbers in `totals` are indices into `people` and `routes`."""

    start_us: int
    totals: Totals
    people: Sequence[str]
    routes: Sequence[Route]


class Recorded(NamedTuple):
    """A single event, with its user's name as recorded, and the release and instance that answered (None: unknown)."""

    event: Event
    source: Source | None


class Facts(NamedTuple):
    """Single events before `purged_us` were deleted (`purged` of them), and so were summaries before `forgotten_us`."""

    purged_us: int = 0
    forgotten_us: int = 0
    purged: int = 0


class Lead(NamedTuple):
    """A lease: who leads, until when, and the fencing token. `holder` "" means nobody."""

    holder: str = ""
    expires_us: int = 0
    token: int = 0


class Move(NamedTuple):
    """What a store records about a move into it: the source, the mover's fencing token, and whether it was
    completed."""

    source: str
    token: int
    done: bool = False


class Moving(Protocol):
    """A store opened for a move. Methods block, and raise StorageError with one sentence. The store must have been
    opened with `Backend.open` before, which makes its tables.
    """

    @property
    def gives(self) -> frozenset[str]:
        """The names of the tables that this store has."""
        ...

    @property
    def takes(self) -> frozenset[str]:
        """The tables among them that accept rows; the others are derived from other data."""
        ...

    def lead(self, name: str) -> Lead:
        """The lease of this name."""
        ...

    def move(self) -> Move | None:
        """The recorded move into this store; None if there was none."""
        ...

    def note_move(self, move: Move) -> None:
        """Record a move."""
        ...

    def outside(self) -> list[str]:
        """A sentence for each thing that belongs to the store but lies outside it."""
        ...

    def rows(self, table: str) -> Iterator[Sequence[Row]]:
        """All rows of a table, in batches and any order."""
        ...

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """Write these rows, replacing those with the same key."""
        ...

    def delete(self, table: str, keys: Sequence[Key]) -> None:
        """Delete the rows with these keys."""
        ...

    def facts(self) -> Facts:
        """Up to when events and summaries were deleted."""
        ...

    def put_facts(self, facts: Facts) -> None:
        """Record these facts; has to be called before summaries and events are written. The moments never move back."""
        ...

    def bucket_starts(self) -> list[int]:
        """The starts of the summaries before `Facts.purged_us`, ascending."""
        ...

    def buckets(self, starts: Sequence[int]) -> Iterator[Bucket]:
        """The summaries with these starts."""
        ...

    def put_buckets(self, buckets: Sequence[Bucket]) -> None:
        """Write these summaries, replacing those of the same 5 minutes."""
        ...

    def join_buckets(self) -> None:
        """Make the missing hour and day summaries of what `put_buckets` has written."""
        ...

    def stretches(self) -> dict[int, int]:
        """The number of single events in each stretch, by its start, from `Facts.purged_us` on; without empty
        stretches."""
        ...

    def events(self, starts: Sequence[int]) -> dict[int, list[Recorded]]:
        """The events of the stretches with these starts, by start, in order of time."""
        ...

    def replace(self, stretches: Mapping[int, Sequence[Recorded]]) -> None:
        """Give each stretch exactly these events; its summaries become stale. If this is killed, a half-written stretch
        can be told by its number of events."""
        ...

    def close(self) -> None:
        """Close it; may be called twice."""
        ...


def fingerprint(row: Row) -> bytes:
    """A hash of a row's values."""
    text = json.dumps(row, sort_keys=True, default=lambda value: bytes(value).hex())
    return blake2b(text.encode(), digest_size=16).digest()


def fingerprints(store: Moving, table: str) -> dict[Key, bytes]:
    """The fingerprint of each row of a table, by its key."""
    made = TABLES[table]
    return {made.key(row): fingerprint(row) for rows in store.rows(table) for row in rows}


def places(numbers: Iterable[np.ndarray]) -> tuple[list[int], np.ndarray]:
    """The distinct numbers in some columns, ascending, and an array that maps each number to its index among them."""
    found = np.unique(np.concatenate([*numbers, np.zeros(0, np.int64)]).astype(np.int64))
    where = np.zeros(int(found.max(initial=-1)) + 1, np.int64)
    where[found] = np.arange(len(found))
    return found.tolist(), where
