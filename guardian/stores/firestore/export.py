"""Rows of the published tables, in pieces and in order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from guardian.core.time import moment
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.slices import PERSON, Table
from guardian.stores.people.aliases import Aliases
from tracker.event import ANONYMOUS, SESSION_GAP_US, Event
from tracker.firestore.slices import NOBODY

Row = dict[str, Any]
_LONGEST_US = 86_400 * 1_000_000 + SESSION_GAP_US
"""A request that lasts longer than a day may have started in a session that was already exported."""


def names_of(people: Directory, aliases: Aliases, email: str) -> dict[int, str]:
    """The ids of the person with this name, id or address, and the name that each was recorded under."""
    found = {int(each.fields["id"]): str(each.fields["name"]) for each in people.documents_of([email], aliases)}
    return {NOBODY: ANONYMOUS} if email == ANONYMOUS and not found else found


def pieces(
    names: Mapping[int, str], tables: Callable[[], Iterator[Table]], clients: Sequence[Seen]
) -> Iterator[Iterator[tuple[str, list[Row]]]]:
    """The pieces of each table in turn: its name and some rows, at least one piece a table. `clients` is the stored
    client information of these people."""

    def events() -> Iterator[list[Event]]:
        for table in tables():
            mine = np.isin(table.people, np.array(list(names), np.int64))
            rows = table.where(np.flatnonzero(mine[table.rows[:, PERSON]]))
            if len(rows):
                yield rows.events(lambda number: names.get(number, ""))

    yield _rows("user_sessions", sessions_between(events(), clients, 0, 2**62))
    for table in ("feature_usage", "user_errors"):
        yield _rows(table, rows_of(table, events()))


def rows_of(table: str, events: Iterator[list[Event]]) -> Iterator[list[Row]]:
    """The numbered rows of these events in feature_usage or user_errors; one piece for each piece of events."""
    number = 0
    for some in events:
        rows = [_usage(e) for e in some] if table == "feature_usage" else [_error(e) for e in some if e.failure]
        yield _numbered(rows, number)
        number += len(rows)


def sessions_between(
    events: Iterator[list[Event]], clients: Sequence[Seen], start_us: int, end_us: int
) -> Iterator[list[Row]]:
    """The numbered rows of the sessions that began in [start, end); `events` must include those around it."""
    number = 0
    for some in sessions(events, clients):
        rows = [row for began, row in some if start_us <= began < end_us]
        yield _numbered(rows, number)
        number += len(rows)


def _numbered(rows: list[Row], after: int) -> list[Row]:
    for place, each in enumerate(rows, after + 1):
        each["id"] = str(place)
    return rows


def _rows(table: str, pieces: Iterator[list[Row]]) -> Iterator[tuple[str, list[Row]]]:
    """The pieces with their table's name: at least one for each table, and an empty one at the end of the last."""
    said = False
    for rows in pieces:
        if rows:
            said = True
            yield table, rows
    if not said or table == "user_errors":
        yield table, []


def _usage(event: Event) -> Row:
    at = _time(event.at_us)
    return {
        "id": "", "user_email": event.user, "feature_name": event.feature, "endpoint": event.endpoint,
        "method": event.method, "timestamp": at, "success": int(event.outcome < 400),
        "error_message": event.failure.message if event.failure else None,
        "duration_ms": round(event.duration_us / 1000), "status_code": event.status, "created_at": at,
    }  # fmt: skip


def _error(event: Event) -> Row:
    at, failure = _time(event.at_us), event.failure
    assert failure is not None
    return {
        "id": "", "user_email": event.user, "endpoint": event.endpoint, "method": event.method,
        "error_type": failure.kind, "error_code": event.status, "error_message": failure.message,
        "stack_trace": failure.location or None, "timestamp": at, "created_at": at,
    }  # fmt: skip


class Seen(NamedTuple):
    """Where a request came from, at a moment in µs: an IP address and a user agent."""

    user: str
    at_us: int
    ip_address: str | None
    user_agent: str | None


def sessions(pieces: Iterator[list[Event]], clients: Sequence[Seen]) -> Iterator[list[tuple[int, Row]]]:
    """The sessions in these events, separately for each id, in order of their ends, each with its start. Anonymous
    requests have none."""
    seen: dict[str, list[Seen]] = {}
    for each in sorted(clients, key=lambda each: each.at_us):
        seen.setdefault(each.user, []).append(each)
    running: dict[str, tuple[int, int]] = {}
    for events in pieces:
        over = []
        for event in events:
            if event.user == ANONYMOUS:
                continue
            began = event.at_us - event.duration_us
            start, end = running.get(event.user, (began, event.at_us))
            if began - end >= SESSION_GAP_US:
                over.append((event.user, start, end))
                start = began
            running[event.user] = (min(start, began), event.at_us)
        last = events[-1].at_us if events else 0
        quiet = [user for user, (_, end) in running.items() if last - end >= _LONGEST_US]
        over += [(user, *running.pop(user)) for user in quiet]
        if over:
            yield [(each[1], _session(*each, seen)) for each in over]
    if running:
        left = sorted(running.items(), key=lambda each: each[1])
        yield [(span[0], _session(user, *span, seen)) for user, span in left]


def _session(user: str, start: int, end: int, seen: Mapping[str, Sequence[Seen]]) -> Row:
    came = next((each for each in seen.get(user, ()) if start <= each.at_us <= end), None)
    return {
        "id": "", "user_email": user, "session_start": _time(start), "session_end": _time(end),
        "duration_seconds": (end - start) // 1_000_000, "ip_address": came.ip_address if came else None,
        "user_agent": came.user_agent if came else None, "created_at": _time(start),
    }  # fmt: skip


def _time(us: int) -> str:
    return moment(us).isoformat(timespec="microseconds")
