"""`Backend` for Firestore: opening its stores, and inspecting it from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from guardian.core.storage import StorageError
from guardian.core.unlinked import is_unlinked
from guardian.stores.backend import ReportSources, Stores
from guardian.stores.firestore.alerts import FirestoreAlertStore
from guardian.stores.firestore.database import META, STATE
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.history import FirestoreHistory
from guardian.stores.firestore.importing import FirestoreImports
from guardian.stores.firestore.moving import FirestoreMoving
from guardian.stores.firestore.sign_ins import FirestoreSignInStore
from guardian.stores.firestore.state import FirestoreStateStore
from guardian.stores.firestore.watching import FirestoreWatchStore
from guardian.stores.people.book import AliasBook
from tracker.event import ANONYMOUS
from tracker.firestore.address import Address, parse
from tracker.firestore.people import SECRETS
from tracker.firestore.pseudonyms import SECRET, VARIABLE, key_apart, key_in, new_key
from tracker.firestore.sink import SLICES
from tracker.pseudonyms import NoKey

FRESH_SECONDS = 60.0
"""The pseudonym key is cached for this long, since each answer asks for it."""
_keys: dict[Address, tuple[float, bytes | None]] = {}


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

    async def open_for_reports(self, book: AliasBook) -> ReportSources:
        """See Backend."""
        stores = await self.open(book)
        return ReportSources(stores.events, stores.history, stores.alerts, (stores,))

    async def open_events(self, book: AliasBook) -> FirestoreRepository:
        """See Backend."""
        return FirestoreRepository(str(self._address), book)

    def history(self, book: AliasBook) -> FirestoreHistory:
        """See Backend."""
        return FirestoreHistory(str(self._address), book)

    def imports(self) -> FirestoreImports:
        """See Backend. Stores pseudonyms if the app does."""
        try:
            return FirestoreImports(self._address, self.pseudonym_key())
        except NoKey as error:
            raise StorageError(str(error)) from error

    def moving(self) -> FirestoreMoving:
        """See Backend."""
        return FirestoreMoving(self._address)

    def exists(self) -> bool:
        """See Backend. Raises StorageError where the database does not answer."""
        documents = Documents(self._address)
        return documents.get(META, STATE) is not None or bool(documents.query(SLICES, limit=1))

    def find_damage(self, *, seconds: float) -> str | None:
        """See Backend: keeping the data intact is Google's task."""
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
        return [name for name in named if name != ANONYMOUS and not is_unlinked(name)]

    def pseudonym_key(self) -> bytes | None:
        """See Backend: the key is in the database, unless the environment provides one."""
        apart = key_apart()
        if apart is not None:
            return apart
        known = _keys.get(self._address)
        if known is None or time.monotonic() - known[0] > FRESH_SECONDS:
            found = Documents(self._address).get(SECRETS, SECRET)
            known = _keys[self._address] = time.monotonic(), None if found is None else key_in(found.fields)
        return known[1]

    def renew_pseudonym_key(self) -> bool:
        """See Backend."""
        if key_apart() is not None:
            raise ValueError(
                f"the key of pseudonyms stands in {VARIABLE}: write another one there, for the app and for Guardian"
            )
        documents = Documents(self._address)
        if documents.get(SECRETS, SECRET) is None:
            return False
        documents.commit([Change(SECRETS, SECRET, new_key())])
        _keys.pop(self._address, None)
        return True

    def last_sign(self, now: datetime, within: timedelta) -> int | None:
        """See Backend: always None, since many machines may rightly share a database."""
        return None
