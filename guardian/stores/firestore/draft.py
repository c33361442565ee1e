"""An atomic change of several documents. Firestore's transactions lock what they read and give up after five tries, so
they are not used: each write has as its precondition the update time that was read, and the commit fails if anybody has
changed the document since.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from guardian.stores.firestore.client import SECONDS, within
from guardian.stores.firestore.queries import Query

Fields = dict[str, Any]
Place = tuple[str, str]
"""A collection and the name of a document."""

MARK = "by"
"""The field with the id of the commit that wrote a document, for the case that the answer to a commit is lost."""
PARTS = "guardian_parts"
INLINE_BYTES = 600_000
"""A document holds at most one MiB; longer bodies are split into parts."""
COMMIT_BYTES = 3_000_000
"""A commit holds at most 10 MiB (4 on the emulator). Once its bodies exceed this, further ones are split into parts."""
_AT_ONCE = 300


class Draft:
    """The documents read so far, with their update times, and the writes to make; for one commit."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.mark = secrets.token_hex(8)
        self.parts: list[str] = []
        self._seen: dict[Place, Any] = {}
        self._values: dict[Place, Fields] = {}
        self._writes: dict[Place, Fields | None] = {}
        self._checked: dict[Place, Fields] = {}
        self._forced: set[Place] = set()
        self._bytes = 0

    # Reading

    async def get(self, collection: str, name: str) -> Fields | None:
        """The document with this draft's changes; None where there is none."""
        return (await self.get_all(collection, [name])).get(name)

    async def get_all(
        self, collection: str, names: Iterable[str], fields: list[str] | None = None
    ) -> dict[str, Fields]:
        """The documents that exist, by name; only these `fields`, if given."""
        names = list(dict.fromkeys(names))
        missing = [name for name in names if (collection, name) not in self._seen]
        for first in range(0, len(missing), _AT_ONCE):
            some = [self.client.collection(collection).document(n) for n in missing[first : first + _AT_ONCE]]
            asked = self.client.get_all(some, field_paths=fields, retry=None, timeout=SECONDS)
            for found in await within(_listed(asked)):
                self._note(collection, found)
        places = ((name, self._values.get((collection, name))) for name in names)
        return {name: value for name, value in places if value is not None}

    async def find(self, query: Query) -> list[tuple[str, Fields]]:
        """The names and fields of the documents that a query finds, as stored (without this draft's changes)."""
        found = await within(_listed(query.on(self.client).stream(retry=None, timeout=SECONDS)))
        return [(each.id, self._note(query.collection, each)) for each in found]

    async def count(self, query: Query) -> int:
        """How many documents a query finds. Google bills one read for each thousand."""
        [[found]] = await within(query.on(self.client).count().get(retry=None, timeout=SECONDS))
        return int(found.value)

    def _note(self, collection: str, found: Any) -> Fields:
        place = (collection, str(found.id))
        fields: Fields = (found.to_dict() or {}) if found.exists else {}
        self._seen[place] = found.update_time if found.exists else None
        if found.exists:
            self._values[place] = dict(fields)
        return fields

    async def body(self, fields: Fields) -> bytes:
        """The bytes that `keep` stored in these fields."""
        return await whole_body(self.client, fields)

    # Writing

    def put(self, collection: str, name: str, fields: Fields) -> None:
        """Write all fields of a document that this draft has read (whether it exists or not)."""
        place = (collection, name)
        self._seen[place]  # KeyError: a bug, nothing may be written unread
        self._writes[place] = {**(self._writes.get(place) or {}), **fields}
        self._values[place] = {**self._values.get(place, {}), **fields}

    def force(self, collection: str, name: str, fields: Fields) -> None:
        """Write a document without reading it first."""
        place = (collection, name)
        self._forced.add(place)
        self._writes[place] = self._values[place] = dict(fields)

    def delete(self, collection: str, name: str) -> None:
        """Delete a document that was read before."""
        place = (collection, name)
        self._values.pop(place, None)
        if self._seen[place] is None:
            self._writes.pop(place, None)
        else:
            self._writes[place] = None

    def changed_at(self, collection: str, name: str) -> Any:
        """When a document that was read, and exists, was last written, by Firestore's clock."""
        return self._seen[collection, name]

    def check(self, collection: str, name: str) -> None:
        """Make the commit fail if this document, which exists, changes before it. Writes a field with its current
        value."""
        place = (collection, name)
        self._checked[place] = dict([next(iter(self._values[place].items()))])

    async def keep(self, body: bytes) -> Fields:
        """The fields that hold these bytes, for `put`. A body too long for a document is stored in parts,
        immediately."""
        if len(body) <= INLINE_BYTES and self._bytes + len(body) <= COMMIT_BYTES:
            self._bytes += len(body)
            return {"body": body, "parts": []}
        names = []
        for number, first in enumerate(range(0, len(body), INLINE_BYTES)):
            names.append(f"{self.mark}-{len(self.parts)}-{number}")
            document = self.client.collection(PARTS).document(names[-1])
            self.parts.append(names[-1])
            piece = {"body": body[first : first + INLINE_BYTES]}
            await within(document.set(piece, retry=None, timeout=SECONDS))
        return {"body": b"", "parts": names}

    def drop_parts(self, fields: Fields) -> None:
        """Delete the parts of a document that is deleted or gets another body."""
        for name in fields.get("parts") or ():
            self._forced.add((PARTS, name))
            self._writes[PARTS, name] = None

    @property
    def writes(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._writes)

    async def commit(self) -> None:
        """Commit all writes. Raises what Google's library raises; then nothing was written, unless the error leaves
        that open."""
        batch = self.client.batch()
        for place, fields in self._writes.items():
            self._add(batch, place, fields)
        for place, fields in self._checked.items():
            if place not in self._writes:
                batch.update(self._document(place), fields, option=self._since(place))
        for name in self.parts:
            if (PARTS, name) not in self._writes:
                # Parts without a mark are orphans. If they were removed meanwhile, this fails and is tried again.
                batch.update(self._document((PARTS, name)), {MARK: self.mark})
        await within(batch.commit(retry=None, timeout=SECONDS))

    def _add(self, batch: Any, place: Place, fields: Fields | None) -> None:
        document, forced = self._document(place), place in self._forced
        if fields is None:
            batch.delete(document, option=None if forced else self._since(place))
        elif forced:
            batch.set(document, {**fields, MARK: self.mark})
        elif self._seen[place] is None:
            batch.create(document, {**fields, MARK: self.mark})
        else:
            batch.update(document, {**fields, MARK: self.mark}, option=self._since(place))

    def _document(self, place: Place) -> Any:
        return self.client.collection(place[0]).document(place[1])

    def _since(self, place: Place) -> Any:
        return self.client.write_option(last_update_time=self._seen[place])

    async def took_place(self) -> bool:
        """Whether a commit whose answer was lost was made."""
        written = [place for place, fields in self._writes.items() if fields is not None]
        asked = [self._document(place) for place in written[:_AT_ONCE]]
        found = await within(_listed(self.client.get_all(asked, retry=None, timeout=SECONDS))) if asked else []
        return any(each.exists and (each.to_dict() or {}).get(MARK) == self.mark for each in found)

    async def clear_parts(self) -> None:
        """Delete the parts that a draft stored but did not commit."""
        for name in self.parts:
            await within(self._document((PARTS, name)).delete(retry=None, timeout=SECONDS))


async def whole_body(client: Any, fields: Fields) -> bytes:
    """The bytes of a document's body, joined from its parts if it has any."""
    parts = fields.get("parts") or ()
    if not parts:
        return bytes(fields["body"])
    asked = [client.collection(PARTS).document(name) for name in parts]
    found = await within(_listed(client.get_all(asked, retry=None, timeout=SECONDS)))
    pieces = {each.id: each.to_dict() for each in found if each.exists}
    return b"".join(bytes(pieces[name]["body"]) for name in parts)


async def _listed(stream: Any) -> list[Any]:
    return [each async for each in stream]
