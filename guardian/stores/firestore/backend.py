"""A database of Firestore as a kind of database: what is opened of it, and what can be seen of it from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from guardian.core.storage import StorageError
from guardian.stores.firestore.alerts import FirestoreAlertStore
from guardian.stores.firestore.database import META, STATE
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.history import FirestoreHistory
from guardian.stores.firestore.importing import FirestoreImports
from guardian.stores.firestore.moving import FirestoreMoving
from guardian.stores.firestore.sign_ins import FirestoreSignInStore
from guardian.stores.firestore.state import FirestoreStateStore
from guardian.stores.firestore.watching import FirestoreWatchStore
from guardian.stores.opening import Stores
from guardian.stores.people.book import AliasBook
from tracker.event import ANONYMOUS
from tracker.firestore.address import parse
from tracker.firestore.sink import SLICES


class FirestoreBackend:
    """`Backend` for the database of an address. Raises StorageError for what is no address."""

    def __init__(self, database: str) -> None:
        try:
            self._address = parse(database)
        except ValueError as error:
            raise StorageError(str(error)) from error

    async def open(self, book: AliasBook) -> Stores:
        """See Backend."""
        state = await FirestoreStateStore.open(self._address)
        events = await self.open_events(book)
        alerts, watch, sign_ins = FirestoreAlertStore(state), FirestoreWatchStore(state), FirestoreSignInStore(state)
        return Stores(events, self.history(book), state, alerts, watch, sign_ins)

    async def open_events(self, book: AliasBook) -> FirestoreRepository:
        """See Backend."""
        return FirestoreRepository(str(self._address), book)

    def history(self, book: AliasBook) -> FirestoreHistory:
        """See Backend."""
        return FirestoreHistory(str(self._address), book)

    def imports(self) -> FirestoreImports:
        """See Backend."""
        return FirestoreImports(self._address)

    def moving(self) -> FirestoreMoving:
        """See Backend."""
        return FirestoreMoving(self._address)

    def exists(self) -> bool:
        """See Backend. Raises StorageError where the database does not answer."""
        documents = Documents(self._address)
        return documents.get(META, STATE) is not None or bool(documents.query(SLICES, limit=1))

    def find_damage(self, *, seconds: float) -> str | None:
        """See Backend: Google looks after what Firestore holds."""
        return None

    def copy_checked(self, copy: Path, *, progress: Callable[[float], None]) -> int:
        """See Backend: raises StorageError, since Firestore is copied by Google."""
        raise StorageError(
            f"{self._address} is no file that can be copied: run gcloud firestore export, or turn its backups on"
        )

    def names(self) -> list[str]:
        """See Backend."""
        people = Directory(Documents(self._address)).everyone()
        named = [str(each.fields["name"]) for each in people]
        return [name for name in named if name != ANONYMOUS and not name.startswith("erased-")]

    def last_sign(self, now: datetime, within: timedelta) -> int | None:
        """See Backend: a database that many machines share is no sign of a mistake."""
        return None
