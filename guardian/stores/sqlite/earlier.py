"""What rules need from a SQLite file besides the latest counts: minutes of earlier weeks, and old features."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.history import History
from guardian.alerting.wanted import Wanted, fits
from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import MINUTES5, SPANS, ids, meta, time_of
from guardian.stores.sqlite.covering import cover
from guardian.stores.sqlite.imported import NUMBER
from guardian.stores.sqlite.routes import all_features


def with_earlier(db: sqlite3.Connection, history: History, wanted: Wanted, only: str) -> History:
    """The history with what is wanted from before its counts; minutes that it already has are not read again. `only`,
    here and below, is "" or OWN."""
    if not wanted.minutes and wanted.known_us is None:
        return replace(history, earlier={}, last_used={})
    start, only = history.counts.start, narrowed(db, only)
    last_used = history.last_used
    if wanted.known_us is not None:
        patterns = tuple(name for names in wanted.minutes if names for name in names)
        last_used = _last_used(db, wanted.known_us, patterns, history, only)
    feature_of: dict[int, str] = {}
    earlier: dict[int, Mapping[str, int]] = {}
    for names, minutes in wanted.minutes.items():
        routes: list[int] | None = None
        mark = json.dumps(names)
        there = {**history.earlier, **earlier}
        known = {at: counts for at in minutes if at < start and (counts := there.get(at)) and mark in counts}
        earlier.update(known)
        for minute in [at for at in minutes if at < start and at not in known]:  # few
            counts = dict(there.get(minute, {}))  # older histories share it
            if names is None:
                counts[""] = count(db, minute, minute + 1, only)
            else:
                if routes is None:
                    feature_of = feature_of or all_features(db)
                    routes = [route for route, name in feature_of.items() if fits(name, names)]
                # Some features may already be counted for another rule; the counts are the same.
                found = Counter[str]()
                for route, number in _by_route(db, minute, routes, only):
                    found[feature_of[route]] += number
                counts.update(found)
            counts[mark] = 1
            earlier[minute] = counts
    return replace(history, earlier=earlier, last_used=last_used)


def narrowed(db: sqlite3.Connection, only: str) -> str:
    """`only`, or "" if nothing was imported: without a condition, rows are counted ten times as fast."""
    return only if db.execute(f"SELECT 1 FROM guardian_source WHERE id = ({NUMBER})").fetchone() else ""


def sealed(db: sqlite3.Connection, only: str) -> tuple[Sequence[int], int]:
    """The lengths of sealed buckets that can be used, longest first, and until when (µs) there are any. No lengths if
    no daemon has opened the file yet, or if some of their events must be left out."""
    there = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'guardian_seal'").fetchone()
    return (SPANS, meta(db, "sealed_until_us")) if there and not only else ((), 0)


def count(db: sqlite3.Connection, first: int, last: int, only: str) -> int:
    """The number of events in the minutes [first, last)."""
    sql = f"SELECT count(*) FROM guardian_request WHERE id >= ? AND id < ? {only}"
    number: int = db.execute(sql, ids(first * MINUTE_US, last * MINUTE_US)).fetchone()[0]
    return number


def _by_route(db: sqlite3.Connection, minute: int, routes: Sequence[int], only: str) -> list[tuple[int, int]]:
    where = f"id >= ? AND id < ? AND {_among(routes)} {only}"
    sql = f"SELECT route, count(*) FROM guardian_request WHERE {where} GROUP BY route"
    return db.execute(sql, ids(minute * MINUTE_US, (minute + 1) * MINUTE_US)).fetchall()


def _last_used(
    db: sqlite3.Connection, known_us: int, patterns: tuple[str, ...], history: History, only: str
) -> Mapping[str, int]:
    """When each feature was last used before the counts, back to `known_us`: exact to the minute if a pattern matches
    it and the counts lack it, otherwise 0; -1 if it was not used. Known answers are not looked up again."""
    end_us = history.counts.start * MINUTE_US
    feature_of = all_features(db)
    there = set(history.counts.features)
    absent = set(feature_of.values()) - there
    found = {name: at for name, at in history.last_used.items() if name in absent and (at <= 0 or at >= known_us)}
    new = absent - set(found)
    if new:
        first_us = -(-max(known_us, meta(db, "forgotten_until_us")) // MINUTES5) * MINUTES5
        routes = {route for route, name in feature_of.items() if name in new}
        exact = {route for route in routes if fits(feature_of[route], patterns)}
        found.update(dict.fromkeys(new, -1))
        for route, at_us in _last_of(db, routes, exact, first_us, end_us, sealed(db, only)[0], only).items():
            found[feature_of[route]] = max(found[feature_of[route]], at_us)
    if not history.counts.requests(history.counts.start, history.counts.end):
        (last,) = db.execute(f"SELECT max(id) FROM guardian_request WHERE id < ? {only}", ids(0, end_us)[1:]).fetchone()
        if last is not None and time_of(last) >= known_us:
            found[""] = time_of(last) // MINUTE_US * MINUTE_US
    return found


def _last_of(
    db: sqlite3.Connection,
    routes: Set[int],
    exact: Set[int],
    start_us: int,
    end_us: int,
    spans: Sequence[int],
    only: str,
) -> dict[int, int]:
    """The minute (µs) of the last request to each of these routes used in [start, end); 0 for routes whose time is not
    needed. Searches from the longest sealed buckets to the shortest, latest first."""
    dirty = db.execute("SELECT start_us FROM guardian_dirty WHERE start_us >= ? ORDER BY start_us", (start_us,))
    stale, left, found = [at for (at,) in dirty], set(routes), dict[int, int]()
    for piece in reversed(list(cover(db, start_us, end_us, spans, sealed(db, only)[1], stale))):
        if not left:
            break
        if piece.span:
            here = left.intersection(seals.read(db, piece.span, piece.start, (Part.STATUSES,)).statuses[:, 0].tolist())
            times = dict.fromkeys(here, 0)
            if here & exact and piece.span > MINUTES5:
                shorter = [span for span in SPANS if span < piece.span]
                times.update(_last_of(db, here & exact, exact, piece.start, piece.end, shorter, only))
            elif here & exact:
                times.update(
                    dict.fromkeys(here & exact, piece.start) | _raw(db, here & exact, piece.start, piece.end, only)
                )
        else:
            times = _raw(db, left, piece.start, piece.end, only)
        found.update(times)
        left -= times.keys()
    return found


def _raw(db: sqlite3.Connection, routes: Set[int], start_us: int, end_us: int, only: str) -> dict[int, int]:
    where = f"id >= ? AND id < ? AND {_among(routes)} {only}"
    sql = f"SELECT route, max(id) FROM guardian_request WHERE {where} GROUP BY route"
    rows = db.execute(sql, ids(start_us, end_us))
    return {route: time_of(last) // MINUTE_US * MINUTE_US for route, last in rows}


def _among(routes: Iterable[int]) -> str:
    return f"route IN ({', '.join(map(str, sorted(routes))) or 'NULL'})"
