"""The single events of lone hours (see `lone_hours`) as this process keeps them: one report after the other begins and
ends inside of the same hours. They stay true for as long as the mark of their day (`Piece.mark`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from guardian.core.summary import WEBSOCKET
from guardian.stores.sqlite.buckets import AT_US, HOUR, ids
from guardian.stores.sqlite.covering import Piece
from guardian.stores.sqlite.numbers import outcome_bits, read_packed, route_bits

MOST = 64
"""So many hours are kept, of up to 4,000 events each (`lone_hours.FEW`): 5 MB at most."""
_SHORT = HOUR // 4
"""To read a shorter piece takes less than to read its hour."""
_WHO = 3
"""So many columns say who came when, with which outcome."""
_UNKNOWN = -2
"""Stands for the latency of an event that has none of its own: see `totals.LATENCY`."""


class KeptHours:
    """The events of some hours in the order of time as columns: microseconds since the hour began, user, outcome, and
    where somebody needed them route, duration and latency. Several threads may use it at once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, Sequence[np.ndarray]]] = {}

    def columns(self, db: sqlite3.Connection, piece: Piece, number: int) -> list[np.ndarray] | None:
        """The first `number` of these columns for the events of a piece; None where they are not kept, and reading the
        hour would not pay, as for who asks for a few of them once. Call it inside the transaction that found the piece.
        """
        if piece.mark is None:
            return None
        hour = piece.start // HOUR * HOUR
        mark, kept = self._known.get(hour, (None, ()))
        if mark != piece.mark or len(kept) < number:
            if piece.end - piece.start < _SHORT:
                return None
            once = number <= _WHO and mark != piece.mark
            kept = () if once else _read(db, hour, number)
            if len(self._known) >= MOST:
                self._known = {}
            self._known[hour] = piece.mark, kept
            if once:
                return None
        low, high = np.searchsorted(kept[0], (piece.start - hour, piece.end - hour))
        return [column[low:high].astype(np.int64) for column in kept[:number]]


def _read(db: sqlite3.Connection, hour: int, number: int) -> Sequence[np.ndarray]:
    """At least the first `number` columns of an hour."""
    # What may be of any size stands on top.
    at = {f"{AT_US} - {hour}": HOUR.bit_length()}
    wanted = [("user", at | outcome_bits()), ("duration_us", route_bits(db)), (f"coalesce(latency_us, {_UNKNOWN})", {})]
    found = read_packed(db, wanted[: 1 if number <= _WHO else 3], "id >= ? AND id < ?", ids(hour, hour + HOUR))
    if np.any(found[1][1:] < found[1][:-1]):
        order = np.argsort(found[1], kind="stable")
        found = tuple(column[order] for column in found)
    user, when, outcome, *more = found
    columns = [when, user, outcome]
    if more:
        duration, route, noted = more
        usual = np.where(outcome % 1000 == WEBSOCKET, -1, duration)
        columns += [route, duration, np.where(noted == _UNKNOWN, usual, noted)]
    return [_narrow(column) for column in columns]


def _narrow(column: np.ndarray) -> np.ndarray:
    """The same numbers in as few bytes as hold them."""
    ends = column.min(initial=0), column.max(initial=0)
    return column.astype(np.result_type(*map(np.min_scalar_type, ends)))


kept_hours = KeptHours()
"""Those of this process."""
