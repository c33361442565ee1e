"""Sessions: activity of one user with no gap of 30 minutes or more."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from operator import sub

from tracker.event import ANONYMOUS, SESSION_GAP_US, Client
from tracker.sqlite.keys import SEQUENCE_BITS
from tracker.sqlite.rows import Row, insert_rows

Seen = tuple[int, int, str | None, str | None]
"""When a user was seen, and from where: at_us, user, address, user agent."""
Spans = dict[int, list[int]]
"""Per user when they began and ceased to be active, by turns and in order: without a gap of 30 minutes, in Unix
microseconds."""
Session = tuple[int, int, int]
"""A session that is stored: start_us, end_us, id."""
RECENT_US = 2_000_000
"""So much activity may wait to become sessions, see `Writer`."""
_CLIENT = """
    INSERT OR IGNORE INTO guardian_session_client (session, ip_address, user_agent)
    SELECT s.id, json_extract(j.value, '$[2]'), json_extract(j.value, '$[3]') FROM json_each(?) j
    CROSS JOIN guardian_session s ON s.user = json_extract(j.value, '$[1]')
    WHERE s.end_us >= json_extract(j.value, '$[0]') AND s.start_us <= json_extract(j.value, '$[0]')
"""
_EXTEND = "ON CONFLICT (id) DO UPDATE SET start_us = excluded.start_us, end_us = excluded.end_us"
_SESSION = "guardian_session (id, user, start_us, end_us)"


def add_activity(
    spans: Spans, at_us: Sequence[int], users: Sequence[int], durations_us: Sequence[int], anonymous: int | None
) -> None:
    """Take over when users were active: requests that ended at these moments, in the order of time, in addition. The
    user `anonymous` has no session."""
    known = spans.get
    for at, user, start in zip(at_us, users, map(sub, at_us, durations_us), strict=True):
        mine = known(user)
        if mine is None:
            if user != anonymous:
                spans[user] = [start, at]
        elif start - mine[-1] >= SESSION_GAP_US:
            mine += (start, at)
        elif start >= mine[-2] or (len(mine) == 2 and mine[0] - at < SESSION_GAP_US):
            if at > mine[-1]:
                mine[-1] = at
            if start < mine[-2]:
                mine[-2] = start
        else:
            together = _join(sorted([*zip(mine[::2], mine[1::2], strict=True), (start, at)]))
            mine[:] = [moment for begin, end, _ in together for moment in (begin, end)]


def extend_sessions(db: sqlite3.Connection, activity: Spans) -> None:
    """Extend the sessions that the spans touch, open new ones, and join those that a late event makes one."""
    if not activity:
        return
    first = min(mine[0] for mine in activity.values())
    last = max(mine[-1] for mine in activity.values())
    # One row of JSON, see insert_rows; of numbers alone, since lists in it would set the garbage collector going.
    stored = db.execute(
        "SELECT json_group_array(s.user), json_group_array(s.start_us), json_group_array(s.end_us), "
        "json_group_array(s.id) FROM json_each(?) j CROSS JOIN guardian_session s ON s.user = j.value "
        "WHERE s.end_us > ? AND s.start_us < ?",
        (json.dumps(list(activity)), first - SESSION_GAP_US, last + SESSION_GAP_US),
    ).fetchone()
    near: dict[int, Session] = {}
    more: dict[int, list[Session]] = {}
    for user, start, end, number in zip(*map(json.loads, stored), strict=True):
        if user in near:
            more.setdefault(user, [near[user]]).append((start, end, number))
        else:
            near[user] = start, end, number
    changed: list[tuple[int | None, int, int, int]] = []
    joined: list[tuple[int]] = []
    for user, mine in activity.items():
        one = near.get(user)
        if one is None:
            changed += [(None, user, begin, end) for begin, end in zip(mine[::2], mine[1::2], strict=True)]
        elif len(mine) == 2 and user not in more:
            start, end, number = one
            if mine[0] - end >= SESSION_GAP_US or start - mine[1] >= SESSION_GAP_US:
                changed.append((None, user, mine[0], mine[1]))
            elif mine[0] < start or mine[1] > end:
                changed.append((number, user, min(start, mine[0]), max(end, mine[1])))
        else:
            spans = [(begin, end, None) for begin, end in zip(mine[::2], mine[1::2], strict=True)]
            for start, end, ids in _join(sorted([*spans, *more.get(user, [one])], key=lambda span: span[0])):
                known = [number for number in ids if number is not None]
                if len(known) < len(ids):
                    changed.append((known[0] if known else None, user, start, end))
                    joined += [(number,) for number in known[1:]]
    insert_rows(db, _SESSION, changed, _EXTEND)
    db.executemany("DELETE FROM guardian_session WHERE id = ?", joined)


def _join(spans: Iterable[tuple[int, int, *tuple[int | None, ...]]]) -> list[tuple[int, int, list[int | None]]]:
    """Sessions out of spans in the order of their starts: (start, end, the ids of the spans in it)."""
    sessions: list[tuple[int, int, list[int | None]]] = []
    for start, end, *number in spans:
        if sessions and start - sessions[-1][1] < SESSION_GAP_US:
            begin, until, ids = sessions[-1]
            sessions[-1] = (begin, max(until, end), [*ids, *number])
        else:
            sessions.append((start, end, number))
    return sessions


def recent_spans(db: sqlite3.Connection) -> Spans:
    """When each user was active in the last two seconds that have events: a process that was killed may not have come
    to storing that, see `Writer`."""
    anonymous = db.execute("SELECT id FROM guardian_user WHERE email = ?", (ANONYMOUS,)).fetchone()
    (last,) = db.execute("SELECT max(id) FROM guardian_request").fetchone()
    if last is None:
        return {}
    sql = f"SELECT id >> {SEQUENCE_BITS}, user, duration_us FROM guardian_request WHERE id >= ? ORDER BY id"
    at_us, users, durations_us = zip(*db.execute(sql, (last - (RECENT_US << SEQUENCE_BITS),)), strict=True)
    spans: Spans = {}
    add_activity(spans, at_us, users, durations_us, anonymous[0] if anonymous else None)
    return named(db, spans)


def named(db: sqlite3.Connection, spans: Spans) -> Spans:
    """The spans of those who have not been erased meanwhile."""
    there = "SELECT id FROM guardian_user WHERE id IN (SELECT value FROM json_each(?)) AND email NOT LIKE 'erased-%'"
    return {user: spans[user] for (user,) in db.execute(there, (json.dumps(list(spans)),)).fetchall()}


def seen(row: Row, client: Client) -> Seen:
    """From where the user of a row was seen. Raises TypeError or ValueError for what SQLite cannot hold as a text."""
    for each in client:
        if each is not None and type(each) is not str:
            raise TypeError("a client is not a text")
        if each is not None:
            each.encode()
    return row[0], row[1], *client


def note_clients(db: sqlite3.Connection, clients: Sequence[Seen]) -> None:
    """Note from where the sessions came, each by the first that is known of it. Anonymous ones are not kept."""
    if clients:
        db.execute(_CLIENT, (json.dumps(sorted(clients, key=lambda each: each[0])),))
