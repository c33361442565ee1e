"""A batch of events as columns of numbers, in the order of time: what the table of requests takes."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import index, le
from typing import Any, NamedTuple

from tracker.event import NOT_MEASURED, Event
from tracker.flat_events import WIDTH, FlatEvents
from tracker.sqlite.dictionaries import Dictionaries
from tracker.sqlite.keys import SEQUENCE_BITS
from tracker.sqlite.parts import PIECE, parts
from tracker.sqlite.rows import ROWS, Row
from tracker.sqlite.sessions import Seen, seen

_MAX_US = 2**63 - 1 >> SEQUENCE_BITS
_MAX_STATUS = 999
_POISON = (ValueError, TypeError, OverflowError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""What an event raises that SQLite cannot hold: a lone surrogate, an integer over 64 bits, a value of a wrong type."""


class Batch(NamedTuple):
    """The columns of guardian_request, each as long as the others, in the order of time; times stand in place of ids.
    From where users were seen, and how many events were poison, which are not among them."""

    at_us: Sequence[int]
    user: Sequence[int]
    route: Sequence[int]
    outcome: Sequence[int]
    duration_us: Sequence[int]
    failure: Sequence[int | None]
    latency_us: Sequence[int | None]
    clients: Sequence[Seen] = ()
    poison: int = 0


def batches(events: Sequence[Event], names: Dictionaries, between: Callable[[], bool] | None) -> Iterator[Batch]:
    """The batches that these events make, at least one. As many together as go in with one statement, for each wait for
    the interpreter holds up the host's requests; those that have to be looked at one by one in parts, which take as
    long. `between` is called between two, see `parts`."""
    for some in parts(events, ROWS, between):
        batch = _at_once(some, names, between)
        if batch is not None:
            yield batch
        else:
            yield from (batch_of(few, names) for few in parts(some, PIECE, between))


def batch_of(events: Sequence[Event], names: Dictionaries) -> Batch:
    """The batch; an event that cannot be stored costs only itself. Raises sqlite3.Error where the database fails."""
    if not events:
        return _with_columns([()] * 7)
    return _at_once(events, names) or _one_by_one(events, names)


def _at_once(events: Sequence[Event], names: Dictionaries, between: Callable[[], bool] | None = None) -> Batch | None:
    """The batch, if each event is as the tracker makes it and none has client information; else None. Building it by
    column takes a third of the time."""
    flat: list[Any]
    try:
        if isinstance(events, FlatEvents):
            flat = events.values
        elif {*map(len, events)} == {WIDTH}:
            # zip(*events) would create an iterator for each event: so many objects trigger the garbage collector.
            flat = []
            deque(map(flat.extend, events), maxlen=0)
        else:
            return None
        at, user, endpoint, method, feature, status, duration, failure, latency, client = (
            flat[place::WIDTH] for place in range(WIDTH)
        )
        if client.count(None) < len(client) or {*map(type, chain(at, status, duration))} != {int}:
            return None
        ordered = all(map(le, at, islice(at, 1, None)))
        first, last = (at[0], at[-1]) if ordered else (min(at), max(at))
        codes = {*status}
        if last > _MAX_US or min(duration) < 0 or max(duration) > first or min(codes) < 0 or max(codes) > _MAX_STATUS:
            return None
        if latency.count(None) < len(latency) and not all(map(_fits, latency, duration)):
            return None
        found = names.all_of(user, (endpoint, method, feature), at, between)
        if found is None:
            return None
        outcome, failures = list(status), list(failure)
        for place in [place for place, each in enumerate(failure) if each is not None]:
            outcome[place], failures[place] = events[place].outcome, names.failure(failure[place])
    except _POISON:
        return None
    columns: list[Sequence[Any]] = [at, *found, outcome, duration, failures, latency]
    if not ordered:
        order = sorted(range(len(at)), key=at.__getitem__)
        columns = [[column[i] for i in order] for column in columns]
    return _with_columns(columns)


def _with_columns(columns: Sequence[Sequence[Any]], clients: Sequence[Seen] = (), poison: int = 0) -> Batch:
    at_us, user, route, outcome, duration_us, failure, latency_us = columns
    return Batch(at_us, user, route, outcome, duration_us, failure, latency_us, clients, poison)


def _fits(latency: Any, duration: int) -> bool:
    return latency is None or (type(latency) is int and NOT_MEASURED <= latency <= duration)


def _one_by_one(events: Iterable[Event], names: Dictionaries) -> Batch:
    rows: list[Row] = []
    clients: list[Seen] = []
    poison = 0
    for event in events:
        try:
            row = _row(event, names)
            if event.client is not None:
                clients.append(seen(row, event.client))
            rows.append(row)
        except _POISON:
            poison += 1
    rows.sort(key=lambda row: row[0])
    return _with_columns([*zip(*rows, strict=True)] or [()] * 7, clients, poison)


def _row(event: Event, names: Dictionaries) -> Row:
    at, user, endpoint, method, feature, status, duration, failure, latency, _ = event
    if not 0 <= index(duration) <= index(at) <= _MAX_US or not 0 <= index(status) <= _MAX_STATUS:
        raise ValueError("a number that no request has")
    if latency is not None and not NOT_MEASURED <= index(latency) <= duration:
        raise ValueError("a latency that no request has")
    outcome = index(status) if failure is None else event.outcome
    return (
        index(at), names.user(user, at), names.route(endpoint, method, feature), outcome, index(duration),
        None if failure is None else names.failure(failure), latency,
    )  # fmt: skip
