"""`Moving` on Firestore, for rows of tables; `moving_events` has the part for events and summaries."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from guardian.stores.alert_state import read_incident
from guardian.stores.firestore.alerts import ALERTS, INCIDENT, NOW, OPEN_US, USED_LINK
from guardian.stores.firestore.database import LEASES, META, SECRETS, STATE, VERSION, name_of
from guardian.stores.firestore.documents import Change, Found
from guardian.stores.firestore.draft import INLINE_BYTES, MARK, PARTS
from guardian.stores.firestore.forgetting import UNSUBSCRIBED
from guardian.stores.firestore.importing import KEY
from guardian.stores.firestore.ledger import PERIOD, REPORT, SCHEDULE
from guardian.stores.firestore.mails import OUTBOX, place_of
from guardian.stores.firestore.moving_events import FirestoreMovingEvents
from guardian.stores.firestore.moving_imports import changes_of, read_marks
from guardian.stores.firestore.paging import pages
from guardian.stores.firestore.sign_ins import SIGNED_IN
from guardian.stores.firestore.watching import OUTAGE, WATCH
from guardian.stores.moving import HEAVY, TABLES, Key, Lead, Move, Row
from tracker.firestore.people import PEOPLE, TOMBSTONES
from tracker.firestore.sink import FEATURES, NOTES, RECORDERS, RELEASES, document_name

_IMPORT_KEY = "import_key"
_MOVED, _MARKED = "moved", "a move"
_PLACES: dict[str, tuple[str, Callable[..., str]]] = {
    "secret": (SECRETS, str),
    "tombstone": (TOMBSTONES, bytes.hex),
    "period": (PERIOD, name_of),
    "report": (REPORT, str),
    "outbox": (OUTBOX, place_of),
    "alert_state": (ALERTS, str),
    "incident": (INCIDENT, name_of),
    "used_link": (USED_LINK, name_of),
    "unsubscribed": (UNSUBSCRIBED, name_of),
    "watch": (WATCH, name_of),
    "outage": (OUTAGE, name_of),
    "signed_in": (SIGNED_IN, bytes.hex),
    "recorder": (RECORDERS, document_name),
    "note": (NOTES, lambda *key: document_name("|".join(key))),
    "release": (RELEASES, document_name),
    "feature": (FEATURES, document_name),
    "person": (PEOPLE, str),
}
"""The collection of each table, and how a document's name is made from the key of its row."""


class FirestoreMoving(FirestoreMovingEvents):
    """`Moving` on one database of Firestore."""

    gives = takes = frozenset(TABLES) - {"session"}

    def lead(self, name: str) -> Lead:
        """See Moving."""
        found = self._documents.get(META, LEASES)
        held = {} if found is None else found.fields["held"].get(name, {})
        return Lead(held.get("holder", ""), held.get("expires_us", 0), held.get("token", 0))

    def move(self) -> Move | None:
        """See Moving."""
        found = self._documents.get(META, _MOVED)
        return None if found is None else Move(*(found.fields[each] for each in Move._fields))

    def note_move(self, move: Move) -> None:
        """See Moving."""
        self._documents.commit([Change(META, _MOVED, move._asdict())])

    def outside(self) -> list[str]:
        """See Moving: everything is in the database."""
        return []

    def rows(self, table: str) -> Iterator[Sequence[Row]]:
        """See Moving."""
        if table == "number":
            state = self._state()
            yield [{"name": name, "value": int(state[name])} for name in ("mails", "reports")]
            return
        if table == "mark":
            yield read_marks(self._documents)
            return
        if table == "import_key":
            key = self._documents.get(SECRETS, KEY)
            yield [] if key is None else [{"name": _IMPORT_KEY, "value": str(key.fields["value"])}]
            return
        fields = TABLES[table].fields
        for found in pages(self._documents, _PLACES[table][0], 20 if table in HEAVY else 300):
            rows = [self._out(table, each) for each in found]
            yield [{field: row[field] for field in fields} for row in rows if row is not None]

    def _out(self, table: str, found: Found) -> dict[str, Any] | None:
        """The row of a document; None for documents that are no rows (links used before links were recorded, and the
        import key)."""
        row = dict(found.fields)
        if table in HEAVY:
            row["body"] = self._body(row)
        if table in ("secret", "alert_state"):
            row["name"] = found.name
        elif table == "tombstone":
            row["hash"] = bytes.fromhex(found.name)
        elif table == "signed_in":
            row["cookie"] = bytes.fromhex(found.name)
        elif table == "outage":
            row["audience"] = [[each["channel"], each["recipient"]] for each in row["audience"]]
        if table == "outbox":
            row["body"] = zlib.decompress(row["body"])
        elif table == "alert_state":
            row["body"] = zlib.decompress(row["body"]).decode()
        told = "nonce" in row if table == "used_link" else (table, found.name) != ("secret", KEY)
        return row if told else None

    def _body(self, row: dict[str, Any]) -> bytes:
        if not row.get("parts"):
            return bytes(row["body"])
        found = {each.name: each.fields["body"] for each in self._documents.get_all(PARTS, row["parts"])}
        return b"".join(bytes(found[name]) for name in row["parts"])

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """See Moving."""
        if table == "number":
            self._put_state({str(row["name"]): row["value"] for row in rows})
        elif table == "person":
            self._person_ids([row["name"] for row in rows])
        elif table == "mark":
            self._commit(changes_of(self._documents, {row["start_us"]: row["marks"] for row in rows}))
        elif table == "import_key":
            self._documents.commit([Change(SECRETS, KEY, {"value": row["value"]}) for row in rows])
        else:
            if table == "tombstone" and rows:
                self._put_state({"erasures": max(len(rows), int(self._state()["erasures"]))})
            before = self._parts_of(table, [TABLES[table].key(row) for row in rows])
            changes = [change for row in rows for change in self._changes(table, row)]
            self._commit(changes)
            self._documents.delete(PARTS, before.difference(change.name for change in changes))

    def _changes(self, table: str, row: Row) -> Iterator[Change]:
        collection, named = _PLACES[table]
        name, fields = named(*TABLES[table].key(row)), dict(row)
        if table in ("secret", "alert_state"):
            del fields["name"]
        elif table == "tombstone":
            del fields["hash"]
        elif table == "signed_in":
            del fields["cookie"]
        elif table == "outage":
            fields["audience"] = [{"channel": channel, "recipient": to} for channel, to in row["audience"]]
        elif table == "period":
            yield Change(SCHEDULE, name_of(row["schedule"]), {"name": row["schedule"]})
        elif table == "incident":
            incident = read_incident(row["body"])
            over = incident.status == "resolved" and incident.resolved_us is not None
            fields |= {"opened_us": incident.opened_us, "until_us": incident.resolved_us if over else OPEN_US}
        if table == "outbox":
            fields |= {"holder": None, "lease_us": None, "unwritten": not row["body"]}
            fields["body"] = zlib.compress(row["body"])
        elif table == "alert_state":
            name, fields["body"] = NOW, zlib.compress(row["body"].encode())
        parts = _parts(f"moved-{table}-{name}", fields) if table in HEAVY else []
        yield from parts
        yield Change(collection, name, fields)
        # Marked only after their owner is written: until then they are orphans (see leftovers).
        for part in parts:
            yield part._replace(fields={**(part.fields or {}), MARK: _MARKED})

    def delete(self, table: str, keys: Sequence[Key]) -> None:
        """See Moving."""
        if table == "person":
            self._forget_people([str(name) for (name,) in keys])
        elif table == "mark":
            self._commit(changes_of(self._documents, {start: b"" for (start,) in keys}))
        elif table == "import_key":
            self._documents.delete(SECRETS, [KEY])
        else:
            collection, named = _PLACES[table]
            parts = self._parts_of(table, keys)
            self._documents.delete(collection, [named(*key) for key in keys])
            self._documents.delete(PARTS, parts)

    def _parts_of(self, table: str, keys: Sequence[Key]) -> set[str]:
        """The parts that hold the bodies of these rows."""
        collection, named = _PLACES[table]
        there = self._documents.get_all(collection, [named(*key) for key in keys]) if table in HEAVY else []
        return {name for each in there for name in each.fields["parts"]}

    def _state(self) -> dict[str, Any]:
        found = self._documents.get(META, STATE)
        return dict(found.fields if found else {"version": VERSION, "mails": 0, "reports": 0, "erasures": 0})

    def _put_state(self, values: dict[str, Any]) -> None:
        self._documents.commit([Change(META, STATE, {**self._state(), **values})])


def _parts(stem: str, fields: dict[str, Any]) -> list[Change]:
    """The parts of a long body; `fields` then names them instead of holding the body."""
    body, fields["parts"] = fields["body"], []
    if len(body) <= INLINE_BYTES:
        return []
    pieces = [body[first : first + INLINE_BYTES] for first in range(0, len(body), INLINE_BYTES)]
    made = [Change(PARTS, f"{stem}-{number}", {"body": piece}) for number, piece in enumerate(pieces)]
    fields["body"], fields["parts"] = b"", [change.name for change in made]
    return made
