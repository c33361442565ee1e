"""What rules need to know about the past, from the pieces of a window: counts by the minute, and when each error first
came. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from guardian.alerting.columns import MINUTE_US, MinuteCounts
from guardian.alerting.history import History
from guardian.alerting.wanted import Wanted
from guardian.stores.firestore.buckets import MINUTE, Seal, Sighting, bucket_of
from guardian.stores.firestore.windows import Piece

Rows = dict[tuple[int, str, int], int]
"""The number of requests by minute (since 1970), feature and outcome."""


Hours = Mapping[int, Mapping[int, Mapping[str, int]]]
"""The requests of each minute by feature, "" for all of them, by the hour since 1970 and the minute."""


def rows_of(pieces: Iterable[Piece]) -> Rows:
    """The requests of each minute."""
    found: Rows = {}
    for piece in pieces:
        seal = sealed(piece)
        first = seal.start // MINUTE
        for minute, route, outcome, count in seal.minutes.tolist():
            key = (first + minute, seal.routes[route].feature, outcome)
            found[key] = found.get(key, 0) + count
    return found


def sealed(piece: Piece) -> Seal:
    """The bucket of a piece; for single events, one computed on the fly."""
    if isinstance(piece.content, Seal):
        return piece.content
    return bucket_of(piece.start // MINUTE * MINUTE, piece.content)


def counts_of(rows: Rows, start: int, end: int) -> MinuteCounts:
    """The counts of the minutes [start, end)."""
    names = sorted({feature for _, feature, _ in rows})
    code = {name: place for place, name in enumerate(names)}
    table = np.zeros((end - start, len(names), 3), np.int64)
    for (minute, feature, outcome), count in rows.items():
        if start <= minute < end:
            table[minute - start, code[feature], : 1 + (outcome >= 400) + (outcome >= 500)] += count
    return MinuteCounts.of_rows(start, table, names)


def sightings_of(pieces: Iterable[Piece], cleared_us: int) -> dict[tuple[str, str], int]:
    """When each (kind, place) of error first came. Errors older than `cleared_us` have lost their place in the code."""
    return _paired((sealed(piece).seen for piece in pieces), cleared_us)


def _paired(seen: Iterable[Mapping[Sighting, int]], cleared_us: int) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for each in seen:
        for (kind, line, feature), at in each.items():
            what = (kind, (line if at >= cleared_us else "") or feature)
            found[what] = min(at, found.get(what, at))
    return found


def earlier_of(rows: Rows, minutes: Iterable[int]) -> dict[int, dict[str, int]]:
    """The requests of these minutes by feature, "" for all of them."""
    found: dict[int, dict[str, int]] = {minute: {"": 0} for minute in minutes}
    for (minute, feature, _), count in rows.items():
        if (counts := found.get(minute)) is not None:
            for name in ("", feature):
                counts[name] = counts.get(name, 0) + count
    return found


def earlier_at(history: History, hours: Hours, minute: int) -> Mapping[str, int]:
    """The requests of one minute by feature: of those that are known, were counted lately, or lie in one of `hours`."""
    counts = history.counts
    if found := history.earlier.get(minute):
        return found
    if not counts.start <= minute < counts.end:
        return hours[minute // 60][minute]
    at, places = minute - counts.start, {"": 0, **counts.places}
    rows = counts.running[at + 1, :, 0] - counts.running[at, :, 0]
    return {name: int(rows[place]) for name, place in places.items()}


def last_used_of(rows: Rows, wanted: Wanted, start: int) -> dict[str, int]:
    """When (µs) each feature was last used before the minute `start`, as far back as wanted."""
    found: dict[str, int] = {}
    if wanted.known_us is None:
        return found
    for minute, feature, _ in rows:
        at = minute * MINUTE_US
        if wanted.known_us <= at + MINUTE_US - 1 and minute < start:
            found[feature] = max(at, found.get(feature, at))
    return found


def minutes_wanted(wanted: Wanted, start: int) -> list[int]:
    """Which minutes before `start` are wanted, in order."""
    return sorted({minute for minutes in wanted.minutes.values() for minute in minutes if minute < start})


def fallen_out(before: MinuteCounts, after: MinuteCounts) -> dict[str, int]:
    """When (µs) the features that are missing in the later counts were last used."""
    gone: Sequence[str] = sorted(set(before.features) - set(after.features))
    found = {}
    for name in gone:
        used = np.flatnonzero(np.diff(before.running[:, before.places[name], 0]))
        found[name] = (before.start + int(used[-1])) * MINUTE_US
    return found
