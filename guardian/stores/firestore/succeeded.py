"""Who has successfully used a feature since a moment, and everything that failed, from Firestore; sealed buckets are
used wherever they suffice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from guardian.alerting.sample import Sample, place
from guardian.core.summary import WEBSOCKET
from guardian.stores.firestore.buckets import MINUTES5, Seal
from guardian.stores.firestore.directory import Directory, person_of
from guardian.stores.firestore.slices import (
    AT,
    FAILURE,
    OUTCOME,
    PERSON,
    ROUTE,
    Table,
)
from guardian.stores.firestore.windows import Piece, Windows
from guardian.stores.people.aliases import Aliases
from guardian.stores.succeeded import Asked, Counted, Singles, hours, succeeded


def read_failed(
    windows: Windows, directory: Directory, aliases: Aliases, start_us: int, end_us: int
) -> Iterator[Sample]:
    """See `HistoryStore.failed`."""
    start_us = max(start_us, _first(windows))
    open_ = list(windows.pieces([start_us, end_us]))[::-1] if start_us < end_us else []
    while open_:
        piece = open_.pop()
        if isinstance(piece.content, Table):
            failed = piece.content.failed()
        else:
            # Hours and days hold only the newest failures of each person; if some are missing, the shorter buckets
            # inside are read.
            failed = piece.content.failed
            if len(failed) < int(piece.content.totals.users[:, 2].sum()):
                open_ += list(_inside(windows, piece))[::-1]
                continue
            failed = windows.progress.kept(failed)
        if len(failed):
            yield _sample(failed, directory, aliases)


def read_slow(
    windows: Windows,
    directory: Directory,
    aliases: Aliases,
    start_us: int,
    end_us: int,
    over_us: float,
    feature: str | None,
) -> Iterator[Sample]:
    """See `HistoryStore.slow`."""
    for hour in hours(max(start_us, _first(windows)), end_us):
        table = windows.table(hour.start, hour.end)
        if feature is not None:
            table = table.of_features(lambda name: name == feature)
        slow = table.where(np.flatnonzero(_timed(table) & (table.latencies() > over_us)))
        if len(slow):
            yield _sample(slow, directory, aliases)


def read_succeeded(
    windows: Windows,
    directory: Directory,
    aliases: Aliases,
    since: Mapping[tuple[str, str], int],
    end_us: int,
    within_us: float | None = None,
) -> set[tuple[str, str]]:
    """See `HistoryStore.succeeded`."""
    asked = Asked.of(since)
    if within_us is not None:
        names = _Names(windows, directory, aliases, asked)

        def quick(start_us: int, end_us: int, _: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            table = windows.table(start_us, end_us)
            return names.good_of(table, _timed(table) & (table.latencies() <= within_us))

        return succeeded(asked, end_us, Singles(quick), _first(windows))
    return succeeded(asked, end_us, _Sealed(windows, directory, aliases, asked), _first(windows))


class _Names:
    """Maps this database's ids of people, and its routes, to indices."""

    def __init__(self, windows: Windows, directory: Directory, aliases: Aliases, asked: Asked) -> None:
        self._windows = windows
        ids = directory.ids_of(asked.people, aliases)
        pairs = sorted((number, n) for n, name in enumerate(asked.people) for number in ids.get(name, ()))
        self._ids, self._places = np.array([*pairs, (2**63 - 1, -1)], np.int64).T
        self._code = {name: n for n, name in enumerate(asked.features)}

    def good_of(self, table: Table, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Summaries.good`, applied to these rows."""
        kept = table.rows[rows & (table.rows[:, FAILURE] < 0)]
        features = self._features([each.feature for each in table.routes])
        return kept[:, AT], self._persons(table.people)[kept[:, PERSON]], features[kept[:, ROUTE]]

    def _persons(self, ids: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self._ids, ids)
        return np.where(self._ids[at] == ids, self._places[at], -1)

    def _features(self, names: Sequence[str]) -> np.ndarray:
        return np.array([self._code.get(name, -1) for name in names], np.int64)


class _Sealed(_Names):
    """The summaries of this database."""

    def pieces(self, start_us: int, end_us: int) -> Sequence[Piece]:
        """See Summaries."""
        return self._windows.pieces([start_us, end_us])

    def inside(self, piece: Piece) -> Sequence[Piece]:
        """See Summaries."""
        return _inside(self._windows, piece)

    def counted(self, piece: Piece) -> Counted | None:
        """See Summaries."""
        if isinstance(piece.content, Table):
            return None
        seal, totals = piece.content, piece.content.totals
        people, features = self._persons(seal.people), self._features([each.feature for each in seal.routes])
        return Counted(
            people[totals.users[:, 0]], totals.users[:, 1], totals.users[:, 2],
            people[totals.used[:, 0]], features[totals.used[:, 1]], totals.used[:, 2],
        )  # fmt: skip

    def good(self, piece: Piece, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See Summaries."""
        assert isinstance(piece.content, Table)
        return self.good_of(piece.content, np.ones(len(piece.content), bool))


def _timed(table: Table) -> np.ndarray:
    """Flags of the good requests with a known latency."""
    outcome = table.rows[:, OUTCOME]
    found: np.ndarray = (outcome < 400) & (outcome != WEBSOCKET) & (table.latencies() >= 0)
    return found


def _first(windows: Windows) -> int:
    """The moment from which single events exist."""
    return max(windows.progress.purged_us, windows.progress.forgotten_us)


def _inside(windows: Windows, piece: Piece) -> Sequence[Piece]:
    """The shorter pieces inside a sealed one; for 5 minutes, single events."""
    assert isinstance(piece.content, Seal)
    if piece.content.span == MINUTES5:
        return [Piece(piece.start, piece.end, windows.counted(windows.table(piece.start, piece.end)))]
    return [Piece(each.start, each.end, each) for each in windows.inside(piece.content)]


def _sample(failed: Table, directory: Directory, aliases: Aliases) -> Sample:
    rows = failed.rows
    there, user = np.unique(rows[:, PERSON], return_inverse=True)
    ids = failed.people[there].tolist()
    names = directory.names(ids)
    return Sample(
        rows[:, AT], user.reshape(-1), rows[:, ROUTE], np.full(len(rows), -1), rows[:, OUTCOME], failed.latencies(),
        rows[:, FAILURE], np.ones(len(rows)), [person_of(aliases, names[number]) for number in ids],
        [(each.endpoint, each.method, each.feature) for each in failed.routes], [],
        [place(each.kind, each.location) for each in failed.failures],
    )  # fmt: skip
