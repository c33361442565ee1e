"""The one place that chooses a store, by the database's address. Nothing else outside a store's folder imports it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tracker.firestore.address import is_firestore

if TYPE_CHECKING:
    from guardian.stores.alerts import AlertStore, Incidents
    from guardian.stores.events import UsageRepository
    from guardian.stores.history import HistoryStore
    from guardian.stores.importing import Imports
    from guardian.stores.moving import Moving
    from guardian.stores.people.book import AliasBook
    from guardian.stores.sign_ins import SignInStore
    from guardian.stores.state import StateStore
    from guardian.stores.watching import WatchStore


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that is kept in one database."""

    events: UsageRepository
    history: HistoryStore
    state: StateStore
    alerts: AlertStore
    watch: WatchStore
    sign_ins: SignInStore

    async def reopen(self) -> None:
        """Begin on what is there now, after it was deleted or replaced. Raises StorageError where it cannot be used."""
        await self.state.reopen()
        self.state.check_file()  # it may be replaced again meanwhile
        await self.events.reopen()
        await self.history.reopen()

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        await self.state.close()
        await self.events.close()
        await self.history.close()


class Closable(Protocol):
    """What holds a connection."""

    async def close(self) -> None:
        """Release it; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class ReportSources:
    """What reports are made of, and what is to be closed after them."""

    events: UsageRepository
    history: HistoryStore
    alerts: Incidents
    opened: Sequence[Closable]

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        for each in self.opened:
            await each.close()


class Backend(Protocol):
    """A kind of database at one address. Methods raise StorageError where it cannot be used."""

    async def open(self, book: AliasBook) -> Stores:
        """Open all of it, and make or bring up to date what is there."""
        ...

    async def open_for_reports(self, book: AliasBook) -> ReportSources:
        """What `open` does, but only what reports are made of is there to be used."""
        ...

    async def open_events(self, book: AliasBook) -> UsageRepository:
        """Only the events."""
        ...

    def history(self, book: AliasBook) -> HistoryStore:
        """Only the past for rules; nothing is made where there is nothing."""
        ...

    def imports(self) -> Imports:
        """What takes an imported past; made where nothing was made yet. Close it at the end. Blocks."""
        ...

    def moving(self) -> Moving:
        """What gives and takes everything that is kept, for a move. `open` must have made the tables. Close it at the
        end. Blocks."""
        ...

    def exists(self) -> bool:
        """Whether it was made yet."""
        ...

    def find_damage(self, *, seconds: float) -> str | None:
        """What is damaged of it, in one sentence with the cure; None where nothing was found. Blocks.

        Raises TimeoutError where so many seconds were not enough to look at all of it.
        """
        ...

    def copy_checked(self, copy: Path, *, progress: Callable[[float], None]) -> int:
        """Make a checked copy that only its owner may read, while others write; its size in bytes. Blocks.

        `progress` is told how much is done, 0 to 1. Raises FileExistsError where the name is taken, OSError where it
        cannot be written; nothing is left behind then.
        """
        ...

    def names(self) -> list[str]:
        """Every name that was ever recorded but those of erased people; none where nothing was made yet.

        Blocks. Raises the database's own exception where it cannot be read.
        """
        ...

    def pseudonym_key(self) -> bytes | None:
        """The key that people's pseudonyms are made with; None where there is none. What was read lately will do.

        Blocks. Raises OSError, StorageError, and NoKey where it is none.
        """
        ...

    def renew_pseudonym_key(self) -> bool:
        """Put another key in its place: what is stored leads to nobody any more. False where there is none.

        Blocks. Raises OSError, StorageError, and ValueError where it does not stand in the database.
        """
        ...

    def last_sign(self, now: datetime, within: timedelta) -> int | None:
        """When a recorder last wrote here, in µs; None where none did `within` this time, and where another Guardian
        reads it: two apps of one user are no mistake. Blocks, and never raises because of what is there."""
        ...


def shown(database: Path | str) -> str:
    """What people know a database by: the absolute path of its file, or its address."""
    return str(database.absolute()) if isinstance(database, Path) else database


def backend(database: Path | str) -> Backend:
    """The kind of database that an address means: a file, or `firestore://PROJECT[/DATABASE]`; nothing is opened yet.

    Raises StorageError for an address of Firestore that is none.
    """
    # Loaded when asked for: each brings its driver with it.
    if isinstance(database, str) and is_firestore(database):
        from guardian.stores.firestore.backend import FirestoreBackend

        return FirestoreBackend(database)
    from guardian.stores.sqlite.backend import SqliteBackend

    return SqliteBackend(Path(database))


def begin_demo(database: str, *, real: bool) -> None:
    """Make a database of Firestore ready for a demonstration; a `real` project only where somebody says so.

    Raises ValueError with the cure for anything else, and where it holds other data; StorageError.
    """
    if not is_firestore(database):
        raise ValueError(
            f"--database {database} is no address of Firestore: write firestore://PROJECT, or leave it out"
        )
    from guardian.stores.firestore import demo

    demo.begin_demo(database, real=real)
