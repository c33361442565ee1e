"""The rows of one person as the published tables have them, some at a time, in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from guardian.core.time import moment
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.slices import PERSON, Table
from guardian.stores.people.aliases import Aliases
from tracker.event import ANONYMOUS, SESSION_GAP_US, Event
from tracker.firestore.slices import NOBODY

Row = dict[str, Any]


def names_of(people: Directory, aliases: Aliases, email: str) -> dict[int, str]:
    """The ids of the person of this name, id or address, and what each was recorded as."""
    found = {int(each.fields["id"]): str(each.fields["name"]) for each in people.documents_of([email], aliases)}
    return {NOBODY: ANONYMOUS} if email == ANONYMOUS and not found else found


def pieces(
    names: Mapping[int, str], tables: Callable[[], Iterator[Table]]
) -> Iterator[Iterator[tuple[str, list[Row]]]]:
    """Of each table, in its turn, the pieces: its name and some rows, at least one piece."""

    def events() -> Iterator[list[Event]]:
        for table in tables():
            mine = np.isin(table.people, np.array(list(names), np.int64))
            rows = table.where(np.flatnonzero(mine[table.rows[:, PERSON]]))
            if len(rows):
                yield rows.events(lambda number: names.get(number, ""))

    yield iter([("user_sessions", _sessions(events()))])
    yield _rows("feature_usage", events(), lambda event: [_usage(event)])
    yield _rows("user_errors", events(), lambda event: [_error(event)] if event.failure else [])


def _rows(
    table: str, pieces: Iterator[list[Event]], row: Callable[[Event], list[Row]]
) -> Iterator[tuple[str, list[Row]]]:
    number, said = 0, False
    for events in pieces:
        rows = [each for event in events for each in row(event)]
        for place, each in enumerate(rows, number + 1):
            each["id"] = str(place)
        number += len(rows)
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


def _sessions(pieces: Iterator[list[Event]]) -> list[Row]:
    """The sessions that these events are of, for each id by itself."""
    found: list[tuple[int, int, str]] = []
    running: dict[str, tuple[int, int]] = {}
    for events in pieces:
        for event in events:
            start, end = running.get(event.user, (0, -SESSION_GAP_US))
            began = event.at_us - event.duration_us
            if event.user in running and began - end < SESSION_GAP_US:
                running[event.user] = (start, event.at_us)
            else:
                if event.user in running:
                    found.append((start, end, event.user))
                running[event.user] = (began, event.at_us)
    found += [(start, end, user) for user, (start, end) in running.items()]
    return [
        {
            "id": str(place), "user_email": user, "session_start": _time(start), "session_end": _time(end),
            "duration_seconds": round((end - start) / 1_000_000), "ip_address": None, "user_agent": None,
            "created_at": _time(end),
        }
        for place, (start, end, user) in enumerate(sorted(found), 1)
    ]  # fmt: skip


def _time(us: int) -> str:
    return moment(us).isoformat(timespec="microseconds")
