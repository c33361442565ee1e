"""Firestore as a sink of the recorder: each batch is one commit of slices, heartbeat and notes. A commit with unknown
outcome is repeated unchanged: its documents have unique names and are only created, so nothing is stored twice.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from tracker.event import ANONYMOUS, Event
from tracker.firestore.address import Address, parse
from tracker.firestore.client import SECONDS, client_of, why
from tracker.firestore.clients import CLIENTS, Clients, documents_of
from tracker.firestore.expiry import Expiry
from tracker.firestore.people import People
from tracker.firestore.pseudonyms import make_key
from tracker.firestore.slices import slices_of, storable
from tracker.pseudonyms import NoKey, pseudonym
from tracker.sink import Beat, Heartbeat, Unavailable, Unusable
from tracker.source import Source

SLICES, FEATURES, RELEASES = "feature_usage", "guardian_features", "guardian_releases"
RECORDERS, NOTES = "guardian_recorders", "guardian_recorder_notes"
BEAT_US = 60 * 1_000_000
"""While slices carry the heartbeat, the recorder's own document is written this often."""
_AT_ONCE = 300


class Waiting:
    """The state that passes from one of a recorder's sinks to the next: this instance's name, and the pending commit.
    `ahead` describes the events at the head of the buffer that are already stored although the recorder was not told:
    `number` in all, `stored` without those that can never be stored.
    """

    def __init__(self, made_by: Source | None = None) -> None:
        self.made_by = made_by
        self.begin()

    def begin(self) -> None:
        """Take a new instance name, as after a fork."""
        self.pid = os.getpid()
        self.instance = secrets.token_hex(8)
        self.serial = 0
        self.commit: tuple[list[tuple[str, dict[str, Any]]], int, int] | None = None
        self.ahead, self.ahead_stored = 0, 0
        self.clients = Clients()
        self.beaten_us = 0
        self.released = False


class FirestoreSink:
    """A Sink on one database of Firestore; when it is `pseudonymous`, with a keyed hash in place of each name. Raises
    Unavailable when the library is missing."""

    def __init__(self, database: str, waiting: Waiting | None = None, *, pseudonymous: bool = False) -> None:
        self._address: Address = parse(database)
        self._waiting = waiting or Waiting()
        if self._waiting.pid != os.getpid():
            self._waiting.begin()
        try:
            self._client: Any = client_of(self._address)
        except Exception as error:
            raise Unavailable(why(error, self._address)) from error
        self._people, self._expiry = People(self._client), Expiry(self._client)
        self._pseudonymous, self._key = pseudonymous, b""
        self._features: set[str] = set()

    def write(
        self,
        events: Iterable[Event],
        *,
        heartbeat: Beat | None = None,
        notes: Iterable[tuple[str, str, int]] = (),
        between: Callable[[], bool] | None = None,
    ) -> int:
        """See Sink. After a failed call, `events` begins with the events of that call."""
        waiting = self._waiting
        events = list(events)
        try:
            if waiting.commit is not None:
                documents, number, stored = waiting.commit
                self._create(documents)
                waiting.commit = None
                waiting.ahead, waiting.ahead_stored = waiting.ahead + number, waiting.ahead_stored + stored
            rest = list(islice(events, waiting.ahead, None))
            good = self._hidden([event for event in rest if storable(event)])
            starting = waiting.clients.starting(good)
            self._people.doubt({event.user for event in starting})
            ids = self._people.ids((event.user, event.at_us) for event in good)
            self._note_clients([event for event in starting if ids[event.user, event.at_us] in self._known(event)])
            if between is not None:
                between()
            documents = []
            for fields in slices_of(good, lambda event: ids[event.user, event.at_us]):
                waiting.serial += 1
                fields |= self._expiry.field(fields["end"])
                if waiting.made_by is not None:
                    fields |= waiting.made_by._asdict()
                documents.append((f"{waiting.instance}-{waiting.serial}", fields))
            stored = waiting.ahead_stored + len(good)
            beat = None if heartbeat is None else heartbeat(stored, waiting.ahead + len(rest) - stored)
            if beat is not None and documents:
                documents[-1][1]["beat"] = dict(beat._asdict())
            self._name_features({event.feature for event in good})
            self._name_release(min((event.at_us for event in good), default=None))
            if documents:
                waiting.commit = (documents, len(rest), len(good))
                self._create(documents)
            self._say(beat, list(notes), alone=not documents)
        except NoKey as error:
            raise Unusable(str(error)) from error
        except Exception as error:
            raise Unavailable(why(error, self._address), reopen=False) from error
        waiting.clients.noted(good)
        waiting.commit, waiting.ahead, waiting.ahead_stored = None, 0, 0
        return stored

    def _hidden(self, events: list[Event]) -> list[Event]:
        """These events as they are stored."""
        if not self._pseudonymous or not events:
            return events
        self._key = self._key or make_key(self._client)
        return [
            event if event.user == ANONYMOUS else event._replace(user=pseudonym(self._key, event.user))
            for event in events
        ]

    def _known(self, event: Event) -> Collection[int]:
        """The id of an event's person, in a collection; empty if they were erased since."""
        return self._people.known([event.user]).values()

    def _note_clients(self, events: list[Event]) -> None:
        """Store from where these came: the same documents where that is tried again."""
        person = self._people.known(event.user for event in events)
        for some in _in_batches(documents_of(events, person)):
            batch = self._client.batch()
            for name, fields in some:
                fields |= self._expiry.field(fields["at_us"])
                batch.set(self._client.collection(CLIENTS).document(name), fields)
            batch.commit(retry=None, timeout=SECONDS)

    def _create(self, documents: list[tuple[str, dict[str, Any]]]) -> None:
        """Create these slices together. If they exist, the previous attempt created them."""
        from google.api_core.exceptions import AlreadyExists
        from google.cloud import firestore

        batch = self._client.batch()
        for name, fields in documents:
            batch.create(
                self._client.collection(SLICES).document(name), {**fields, "written": firestore.SERVER_TIMESTAMP}
            )
        with contextlib.suppress(AlreadyExists):
            batch.commit(retry=None, timeout=SECONDS)

    def _name_features(self, features: set[str]) -> None:
        """Let each feature that was never seen here have its document."""
        if new := features - self._features:
            batch = self._client.batch()
            for name in new:
                batch.set(self._client.collection(FEATURES).document(document_name(name)), {"name": name})
            batch.commit(retry=None, timeout=SECONDS)
            self._features |= new

    def _name_release(self, at_us: int | None) -> None:
        """Let a release have its document, since when it answers: the earliest that any process has seen, whoever was
        the first to store it."""
        from google.api_core.exceptions import AlreadyExists, FailedPrecondition

        source = self._waiting.made_by
        if at_us is None or self._waiting.released or source is None or not source.release:
            return
        place = self._client.collection(RELEASES).document(document_name(source.release))
        try:
            place.create({"release": source.release, "first_us": at_us}, retry=None, timeout=SECONDS)
        except AlreadyExists:
            found = place.get(retry=None, timeout=SECONDS)
            while found.exists and at_us < int(found.get("first_us")):
                since = self._client.write_option(last_update_time=found.update_time)
                with contextlib.suppress(FailedPrecondition):
                    place.update({"first_us": at_us}, option=since, retry=None, timeout=SECONDS)
                found = place.get(retry=None, timeout=SECONDS)
        self._waiting.released = True

    def _say(self, beat: Heartbeat | None, notes: list[tuple[str, str, int]], *, alone: bool) -> None:
        """Store the notes, and the heartbeat if no slice has just carried it or the recorder's document is due."""
        waiting = self._waiting
        if beat is None or not (alone or notes or beat.seen_us - waiting.beaten_us >= BEAT_US or not waiting.beaten_us):
            return
        batch = self._client.batch()
        place, expires = self._client.collection(RECORDERS), self._expiry.field(beat.seen_us)
        batch.set(place.document(document_name(beat.recorder)), {**beat._asdict(), **expires})
        for kind, detail, count in notes:
            name = document_name(f"{beat.recorder}|{kind}|{detail}")
            fields = {
                "recorder": beat.recorder,
                "kind": kind,
                "detail": detail,
                "count": count,
                "seen_us": beat.seen_us,
                **expires,
            }
            batch.set(self._client.collection(NOTES).document(name), fields)
        batch.commit(retry=None, timeout=SECONDS)
        if beat.stored:  # the first slice is told of at once, whatever was said before it
            waiting.beaten_us = beat.seen_us

    def moved(self) -> bool:
        """See Sink: a Firestore address always means the same database."""
        return False

    def leave(self) -> None:
        """See Sink."""

    def close(self) -> None:
        """See Sink. The client stays open: the process shares it."""


def _in_batches(documents: list[tuple[str, dict[str, Any]]]) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    for first in range(0, len(documents), _AT_ONCE):
        yield documents[first : first + _AT_ONCE]


def document_name(text: str) -> str:
    """A name for the document of this text: names hold no slash, and are no longer than 1,500 bytes."""
    from hashlib import blake2b

    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
