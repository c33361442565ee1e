"""Sessions: activity of one user with no gap of 30 minutes or more."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

from tracker.event import ANONYMOUS, SESSION_GAP_US, Client
from tracker.names import ERASED_GLOB
from tracker.sqlite.activity import Activity, join
from tracker.sqlite.keys import SEQUENCE_BITS
from tracker.sqlite.parts import PIECE, parts
from tracker.sqlite.rows import ROWS, Row, insert_rows

Seen = tuple[int, int, str | None, str | None]
"""When a user was seen, and from where: at_us, user, address, user agent."""
Session = tuple[int, int, int]
"""A session that is stored: start_us, end_us, id."""
RECENT_US = 2_000_000
"""So much activity may wait to become sessions, see `Writer`."""
PUT_OFF = "sessions_put_off:"
"""What the keys in guardian_meta begin with that say for which moments a writer still has to store sessions."""
_CLIENT = """
    INSERT OR IGNORE INTO guardian_session_client (session, ip_address, user_agent)
    SELECT s.id, json_extract(j.value, '$[2]'), json_extract(j.value, '$[3]') FROM json_each(?) j
    CROSS JOIN guardian_session s ON s.user = json_extract(j.value, '$[1]')
    WHERE s.end_us >= json_extract(j.value, '$[0]') AND s.start_us <= json_extract(j.value, '$[0]')
"""
_SESSION = "guardian_session (id, user, start_us, end_us)"
_ACTIVE = f"{_SESSION} SELECT s.id, a.column1, a.column2, a.column3 FROM ("
_EXTENDED = f"""
    ) a LEFT JOIN guardian_session s ON s.user = a.column1
        AND s.end_us > a.column2 - {SESSION_GAP_US} AND s.start_us < a.column3 + {SESSION_GAP_US}
    WHERE true
    ON CONFLICT (id) DO UPDATE SET start_us = min(start_us, excluded.start_us), end_us = max(end_us, excluded.end_us)
"""
_CHANGED = "ON CONFLICT (id) DO UPDATE SET start_us = excluded.start_us, end_us = excluded.end_us"
_NEW = -1  # in place of the id of a session that is not stored yet


def extend_sessions(db: sqlite3.Connection, activity: Activity, between: Callable[[], bool] | None = None) -> None:
    """Extend the sessions that the activity touches, open new ones, and join those that a late event makes one.
    `between` is called between two parts of the work, see `parts`."""
    # In their order, so that neighbours in the index are read and written one after the other: with many users that
    # takes a quarter.
    users = sorted(activity.users())
    if users:
        for some in parts(users, ROWS, between):
            for few in parts(_extend(db, activity, some), PIECE, between):
                _fit(db, activity, few)


def _extend(db: sqlite3.Connection, activity: Activity, users: Sequence[int]) -> Sequence[int]:
    """`extend_sessions` of most of these users, while others may have the interpreter; those who are left."""
    # Nearly everybody was active once and has one session or none near: a statement for hundreds of them.
    once = activity.once(users)
    extended = insert_rows(db, _ACTIVE, "(?, ?, ?)", once, _EXTENDED)
    if 3 * extended > len(once):  # it has extended several sessions of somebody, which are one now
        return users
    return sorted({*users}.difference(once[::3])) if extended < len(users) else ()


def _fit(db: sqlite3.Connection, activity: Activity, users: Sequence[int]) -> None:
    """`extend_sessions` of these users, who may have several sessions, and may have been active several times."""
    if not users:
        return
    spans = [activity.of(user) for user in users]
    near = min(mine[0] for mine in spans) - SESSION_GAP_US, max(mine[-1] for mine in spans) + SESSION_GAP_US
    # One row of JSON, see insert_rows.
    stored = db.execute(
        "SELECT json_group_array(s.user), json_group_array(s.start_us), json_group_array(s.end_us), "
        "json_group_array(s.id) FROM json_each(?) j CROSS JOIN guardian_session s ON s.user = j.value "
        "WHERE s.end_us > ? AND s.start_us < ?",
        (json.dumps(users), *near),
    ).fetchone()
    known: dict[int, list[Session]] = {}
    for user, *session in zip(*map(json.loads, stored), strict=True):
        known.setdefault(user, []).append(tuple(session))
    changed: list[int] = []
    gone: list[tuple[int]] = []
    for user, mine in zip(users, spans, strict=True):
        gone += [(number,) for number in _joined(user, mine, known.get(user, ()), changed)]
    insert_rows(db, _SESSION, f"(nullif(?, {_NEW}), ?, ?, ?)", changed, _CHANGED)
    db.executemany("DELETE FROM guardian_session WHERE id = ?", gone)


def _joined(user: int, mine: Sequence[int], known: Sequence[Session], changed: list[int]) -> list[int]:
    """Add to `changed` what becomes of a user's sessions by their spans; the ids of those that others take in."""
    spans = [(begin, end, None) for begin, end in zip(mine[::2], mine[1::2], strict=True)]
    gone: list[int] = []
    for start, end, ids in join(sorted([*spans, *known], key=lambda span: span[0])):
        numbers = [number for number in ids if number is not None]
        if len(numbers) < len(ids):
            changed += (numbers[0] if numbers else _NEW, user, start, end)
            gone += numbers[1:]
    return gone


def recent_activity(db: sqlite3.Connection) -> Activity:
    """When each user was active in the last two seconds that have events, and when a process noted that it had not
    stored sessions yet, which it forgets: a killed process may never do it, see `Writer`."""
    activity = Activity()
    anonymous = db.execute("SELECT id FROM guardian_user WHERE email = ?", (ANONYMOUS,)).fetchone()
    (newest,) = db.execute("SELECT max(id) FROM guardian_request").fetchone()
    if newest is None:
        return activity
    last = newest >> SEQUENCE_BITS
    noted = db.execute("SELECT value FROM guardian_meta WHERE key GLOB ?", (PUT_OFF + "*",)).fetchall()
    db.execute("DELETE FROM guardian_meta WHERE key GLOB ?", (PUT_OFF + "*",))
    sql = f"SELECT id >> {SEQUENCE_BITS}, user, duration_us FROM guardian_request WHERE id BETWEEN ? AND ? ORDER BY id"
    for since_us, until_us in {(last - RECENT_US, last), *(tuple(json.loads(value)) for (value,) in noted)}:
        rows = db.execute(sql, (since_us << SEQUENCE_BITS, ((until_us + 1) << SEQUENCE_BITS) - 1)).fetchall()
        if rows:
            at_us, users, durations_us = zip(*rows, strict=True)
            activity.add(at_us, users, durations_us, anonymous[0] if anonymous else None)
    keep_named(db, activity)
    return activity


def note_put_off(db: sqlite3.Connection, key: str, activity: Activity | None) -> None:
    """Note under a key that the sessions of this activity are not stored yet; None: that all are."""
    db.execute("DELETE FROM guardian_meta WHERE key = ?", (key,))
    if activity is not None:
        db.execute("INSERT INTO guardian_meta VALUES (?, ?)", (key, f"[{activity.since_us}, {activity.until_us}]"))


def keep_named(db: sqlite3.Connection, activity: Activity) -> None:
    """Forget of the activity those who have been erased meanwhile."""
    there = "SELECT id FROM guardian_user WHERE id IN (SELECT value FROM json_each(?)) AND email NOT GLOB ?"
    activity.keep({user for (user,) in db.execute(there, (json.dumps(activity.users()), ERASED_GLOB))})


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
