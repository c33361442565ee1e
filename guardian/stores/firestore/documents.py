"""The documents of one database, as the code for events reads and writes them: every query is made and counted here.
Calls block, so they are made in threads, on the process's synchronous client: rules and arrays are computed in threads
anyway, and this client, unlike the asynchronous one, is tied to no event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from guardian.core.storage import StorageError
from tracker.firestore.address import Address
from tracker.firestore.client import client_of, why

T = TypeVar("T")

SECONDS = 30.0
"""How long one call may take."""
LEAST, MOST = -(2**63), 2**63 - 1
"""The range of a Firestore integer."""
_AT_ONCE, _CHANGES = 300, 200
COMMIT_BYTES = 2_500_000
"""The most bytes in one commit: Firestore takes 10 MiB, the emulator 4 MB."""


class Found(NamedTuple):
    """A document that exists: its name, its fields, and the version to use in a precondition."""

    name: str
    fields: Mapping[str, Any]
    version: Any = None
    read_at: datetime | None = None


class Documents:
    """One database. Every method raises StorageError with one sentence where it does not answer."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.closed = False
        self.reads = 0
        """How many documents were read, as Firestore bills them: a query without results counts one."""
        self.queries: set[tuple[str, tuple[str, ...], tuple[str, ...]]] = set()
        """The shape of each query made: the collection, the fields of its conditions, those of its order."""

    def ask(self, work: Callable[[Any], T]) -> T:
        """What this work on the client gives back, its errors as StorageError."""
        if self.closed:
            raise StorageError(f"the database {self.address} is closed")
        try:
            return work(client_of(self.address))
        except StorageError:
            raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("google", "grpc") and not isinstance(
                error, ImportError
            ):
                raise
            raise StorageError(f"the database {self.address} does not answer: {why(error, self.address)}") from error

    def get(self, collection: str, name: str) -> Found | None:
        """One document; None where there is none."""
        found = self.get_all(collection, [name])
        return found[0] if found else None

    def get_all(self, collection: str, names: Sequence[str]) -> list[Found]:
        """The documents among these that exist."""

        def work(client: Any) -> list[Found]:
            place, found = client.collection(collection), []
            for first in range(0, len(names), _AT_ONCE):
                asked = [place.document(name) for name in names[first : first + _AT_ONCE]]
                self.reads += len(asked)
                found += [_found(each) for each in client.get_all(asked, retry=None, timeout=SECONDS) if each.exists]
            return found

        return self.ask(work)

    def query(
        self,
        collection: str,
        *conditions: tuple[str, str, Any],
        order: Sequence[tuple[str, str]] = (),
        limit: int | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[Found]:
        """The documents that match these (field, operator, value) conditions, sorted by (field, direction); only these
        `fields`, if given."""

        def work(client: Any) -> list[Found]:
            from google.cloud.firestore import FieldFilter

            query = client.collection(collection)
            for condition in conditions:
                query = query.where(filter=FieldFilter(*condition))
            for field, direction in order:
                query = query.order_by(field, direction=direction)
            if limit is not None:
                query = query.limit(limit)
            query = query if fields is None else query.select(fields)
            self.queries.add((collection, tuple(c[0] for c in conditions), tuple(field for field, _ in order)))
            return self._answers(query)

        return self.ask(work)

    def named(self, collection: str, first: str, end: str) -> list[Found]:
        """The documents whose names lie in [first, end), in order."""
        return self.ask(lambda client: self._answers(_range(client, collection, first, end)))

    def names(self, collection: str, first: str, end: str) -> list[str]:
        """The names alone of the documents that `named` gives."""
        found = self.ask(lambda client: self._answers(_range(client, collection, first, end).select([])))
        return [each.name for each in found]

    def first_named(self, collection: str, prefix: str) -> Found | None:
        """The first document whose name starts with this; None where there is none."""
        found = self.ask(lambda client: self._answers(_range(client, collection, prefix, prefix + "~").limit(1)))
        return found[0] if found else None

    def _answers(self, query: Any) -> list[Found]:
        """A query's results, counted as Google bills them."""
        found = [_found(each) for each in query.stream(retry=None, timeout=SECONDS)]
        self.reads += max(1, len(found))
        return found

    def total(self, collection: str, field: str | None = None, *conditions: tuple[str, str, Any]) -> int:
        """How many documents match, or with a field, its sum. Firestore bills one read for each thousand."""

        def work(client: Any) -> int:
            from google.cloud.firestore import FieldFilter

            query = client.collection(collection)
            for condition in conditions:
                query = query.where(filter=FieldFilter(*condition))
            asked = query.count(alias="n") if field is None else query.sum(field, alias="n")
            self.reads += 1
            [[found]] = asked.get(retry=None, timeout=SECONDS)
            return int(found.value or 0)

        return self.ask(work)

    def commit(self, changes: Iterable[Change]) -> bool:
        """Make these changes atomically. False if a precondition does not hold, or somebody writes the same at this
        moment; then nothing is changed."""
        made = list(changes)

        def work(client: Any) -> bool:
            from google.api_core.exceptions import Aborted, AlreadyExists, FailedPrecondition, NotFound

            batch = client.batch()
            for change in made:
                document = client.collection(change.collection).document(change.name)
                if change.fields is None:
                    batch.delete(document)
                elif change.version is NEW:
                    batch.create(document, dict(change.fields))
                elif change.version is not None:
                    batch.update(
                        document, dict(change.fields), option=client.write_option(last_update_time=change.version)
                    )
                else:
                    batch.set(document, dict(change.fields))
            try:
                batch.commit(retry=None, timeout=SECONDS)
            except (Aborted, AlreadyExists, FailedPrecondition, NotFound) as error:
                if any(change.version is not None for change in made) and "index" not in str(error):
                    return False
                raise
            return True

        return self.ask(work) if made else True

    def delete(self, collection: str, names: Iterable[str]) -> None:
        """Delete these documents, in batches."""
        left = list(names)
        for first in range(0, len(left), _AT_ONCE):
            self.commit(Change(collection, name, None) for name in left[first : first + _AT_ONCE])


NEW: Any = object()
"""The version of a document that must not be there yet."""


class Change(NamedTuple):
    """A document to be written, or deleted if `fields` is None. `version` is a precondition: NEW, or that of a
    `Found`."""

    collection: str
    name: str
    fields: Mapping[str, Any] | None
    version: Any = None


def _range(client: Any, collection: str, first: str, end: str) -> Any:
    """A query for a collection's documents whose names lie in [first, end); needs no index."""
    from google.cloud.firestore import FieldFilter

    place = client.collection(collection)
    query = place.where(filter=FieldFilter("__name__", ">=", place.document(first)))
    return query.where(filter=FieldFilter("__name__", "<", place.document(end)))


def _found(snapshot: Any) -> Found:
    return Found(snapshot.id, snapshot.to_dict() or {}, snapshot.update_time, snapshot.read_time)


def as_time(us: int) -> datetime:
    """A moment in µs as a value to compare with Firestore's timestamps."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


def in_commits(groups: Iterable[Sequence[Change]]) -> Iterator[list[Change]]:
    """The changes, split into commits that are small enough; a group is never split. A document that several groups of
    a commit delete is deleted once."""
    made: list[Change] = []
    gone = set[tuple[str, str]]()
    size = 0
    for group in groups:
        new = [each for each in group if each.fields is not None or each[:2] not in gone]
        grows = sum(len(value) for each in new for value in (each.fields or {}).values() if isinstance(value, bytes))
        if made and (len(made) + len(new) > _CHANGES or size + grows > COMMIT_BYTES):
            yield made
            made, gone, size, new = [], set(), 0, list(group)
        made += new
        gone |= {each[:2] for each in new if each.fields is None}
        size += grows
    if made:
        yield made


def in_pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in lists of at most `size`."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
