"""Names of people as random numbers: a document for each name, found by a keyed hash of it.

    guardian_people/{keyed hash}      id, name, seen: the moment in µs at which the document was made
    guardian_people/erased-{token}    the same for an id whose person was erased: the name leads nowhere
    guardian_tombstones/{keyed hash}  erased_us: an event of before that must not bring the name back
    guardian_secret/tombstones        value: the key of the hashes

Erasing somebody replaces the first document by the second. A process that still has the id in memory writes events of
the erased person for up to `FRESH_SECONDS`; afterwards the name gets a new id.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tracker.event import ANONYMOUS
from tracker.firestore.client import SECONDS
from tracker.firestore.slices import NOBODY
from tracker.keyed import tombstone
from tracker.names import ERASED_PREFIX

PEOPLE, TOMBSTONES, SECRETS = "guardian_people", "guardian_tombstones", "guardian_secret"
FRESH_SECONDS = 600.0
_MOST_KNOWN = 50_000
_AT_ONCE = 300


def new_id() -> int:
    """A new random id: 62 bits, so that it fits into a signed 64-bit integer, and never NOBODY."""
    return secrets.randbits(62) | 1


def key_of(client: Any, *, seconds: float = SECONDS) -> str:
    """The key of the hashes of this database, made where there is none yet; each call may take so many `seconds`."""
    from google.api_core.exceptions import AlreadyExists

    document = client.collection(SECRETS).document("tombstones")
    found = document.get(retry=None, timeout=seconds)
    if not found.exists:
        with suppress(AlreadyExists):  # another process was first
            document.create({"value": secrets.token_urlsafe(32)}, retry=None, timeout=seconds)
        found = document.get(retry=None, timeout=seconds)
    return str(found.get("value"))


class People:
    """The ids of names, cached for `fresh` seconds. `clock` (Unix time in seconds) says when a document was made. Not
    thread-safe."""

    def __init__(self, client: Any, *, fresh: float = FRESH_SECONDS, clock: Callable[[], float] = time.time) -> None:
        self._client, self._fresh, self._clock = client, fresh, clock
        self._key: str | None = None
        self._known: dict[str, tuple[int, float]] = {}
        self._erased: dict[str, tuple[int, int]] = {}

    def ids(self, names: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The id of each name in these (name, moment in µs of an event) pairs; unknown ones are given one.

        Raises what Google's library raises.
        """
        pairs = set(names)
        now = time.monotonic()
        wanted = {name for name, _ in pairs if name != ANONYMOUS}
        missing = sorted(name for name in wanted if now - self._known.get(name, (0, -1e9))[1] > self._fresh)
        for first in range(0, len(missing), _AT_ONCE):
            self._ask(missing[first : first + _AT_ONCE], pairs, now)
        if len(self._known) > _MOST_KNOWN:
            self._known = {name: self._known[name] for name in wanted if name in self._known}
        return {(name, at_us): self._id(name, at_us) for name, at_us in pairs}

    def _id(self, name: str, at_us: int) -> int:
        if name == ANONYMOUS:
            return NOBODY
        erased_us, nobody = self._erased.get(name, (-1, 0))
        return nobody if at_us <= erased_us else self._known[name][0]

    def _ask(self, names: list[str], pairs: set[tuple[str, int]], now: float) -> None:
        if self._key is None:
            self._key = key_of(self._client)
        people, stones = self._client.collection(PEOPLE), self._client.collection(TOMBSTONES)
        hashes = {tombstone(name, self._key).hex(): name for name in names}
        asked = [collection.document(each) for collection in (people, stones) for each in hashes]
        ids: dict[str, int] = {}
        erased: dict[str, int] = {}
        for found in self._client.get_all(asked, retry=None, timeout=SECONDS):
            if found.exists:
                whose = hashes[found.reference.id]
                if found.reference.parent.id == PEOPLE:
                    ids[whose] = int(found.get("id"))
                else:
                    erased[whose] = int(found.get("erased_us"))
        moments: dict[str, list[int]] = {}
        new: dict[str, str] = {}
        for name, at_us in pairs:
            moments.setdefault(name, []).append(at_us)
        for hashed, name in hashes.items():
            self._erased.pop(name, None)
            stone = erased.get(name, -1)
            if any(at_us <= stone for at_us in moments[name]):
                self._erased[name] = (stone, self._unlinked())
            if name not in ids and any(at_us > stone for at_us in moments[name]):
                new[hashed] = name
        ids |= self._made(new)
        self._known |= {name: (number, now) for name, number in ids.items()}

    def _made(self, names: dict[str, str]) -> dict[str, int]:
        """The ids of these names, by hash, of which none was known: all of them are made together."""
        from google.api_core.exceptions import AlreadyExists

        ids: dict[str, int] = {}
        left, people = dict(names), self._client.collection(PEOPLE)
        while left:
            made, batch = {name: new_id() for name in left.values()}, self._client.batch()
            for hashed, name in left.items():
                batch.create(people.document(hashed), {"id": made[name], "name": name, "seen": self._seen()})
            try:
                batch.commit(retry=None, timeout=SECONDS)
            except AlreadyExists:  # another process was first with one; each round has fewer left
                asked = [people.document(hashed) for hashed in left]
                for found in self._client.get_all(asked, retry=None, timeout=SECONDS):
                    if found.exists:
                        ids[left.pop(found.reference.id)] = int(found.get("id"))
                continue
            return ids | made
        return ids

    def _unlinked(self) -> int:
        """An id for what somebody did before they were erased."""
        name, number = f"{ERASED_PREFIX}{secrets.token_hex(8)}", new_id()
        document = self._client.collection(PEOPLE).document(name)
        document.create({"id": number, "name": name, "seen": self._seen()}, retry=None, timeout=SECONDS)
        return number

    def _seen(self) -> int:
        return int(self._clock() * 1_000_000)

    def doubt(self, names: Iterable[str]) -> None:
        """Ask anew for these names when they come next."""
        for name in names:
            self._known.pop(name, None)

    def known(self, names: Iterable[str]) -> dict[str, int]:
        """The ids of the names among these that `ids` recently returned as a person's."""
        return {name: self._known[name][0] for name in names if name in self._known}
