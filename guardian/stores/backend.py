"""What a kind of database gives: all the stores of one, and what can be asked of it before they are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

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
    """All the stores of one database."""

    events: UsageRepository
    history: HistoryStore
    state: StateStore
    alerts: AlertStore
    watch: WatchStore
    sign_ins: SignInStore

    async def reopen(self) -> None:
        """Open what is there now, after the database was deleted or replaced. Raises StorageError if it cannot be
        used."""
        await self.state.reopen()
        self.state.check_file()  # replaced again meanwhile
        await self.events.reopen()
        await self.history.reopen()

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        await self.state.close()
        await self.events.close()
        await self.history.close()


class Closable(Protocol):
    """Something that holds a connection."""

    async def close(self) -> None:
        """Release it; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class ReportSources:
    """The stores that reports read, and what to close after them."""

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
        """Open all stores, creating or migrating what is there."""
        ...

    async def open_for_reports(self, book: AliasBook) -> ReportSources:
        """Like `open`, but only for what reports read."""
        ...

    async def open_events(self, book: AliasBook) -> UsageRepository:
        """Open only the events."""
        ...

    def history(self, book: AliasBook) -> HistoryStore:
        """Open only the history for rules; creates nothing."""
        ...

    def imports(self) -> Imports:
        """Open the database for an import, creating it if necessary. Close it at the end. Blocks."""
        ...

    def moving(self) -> Moving:
        """Open the database for a move. `open` must have created the tables. Close it at the end. Blocks."""
        ...

    def exists(self) -> bool:
        """Whether the database exists."""
        ...

    def find_damage(self, *, seconds: float) -> str | None:
        """What is damaged, in one sentence with the cure; None where nothing was found. Blocks. Raises TimeoutError if
        `seconds` were not enough to check everything.
        """
        ...

    def copy_checked(self, copy: Path, *, progress: Callable[[float], None]) -> int:
        """Make a checked copy, readable only by its owner, while others write; returns its size in bytes. Blocks.
        `progress` is called with the fraction done, 0 to 1. Raises FileExistsError if the name is taken, OSError if it
        cannot be written; then nothing is left behind.
        """
        ...

    def names(self) -> list[str]:
        """Every name ever recorded, without erased people; empty if the database does not exist yet. Blocks. Raises the
        database's own exception if it cannot be read.
        """
        ...

    def pseudonym_key(self) -> bytes | None:
        """The key of pseudonyms, maybe from a cache; None where there is none. Blocks. Raises OSError, StorageError,
        and NoKey if what is there is not a key.
        """
        ...

    def renew_pseudonym_key(self) -> bool:
        """Replace the key: pseudonyms stored so far can no longer be linked to anybody. False if there is none. Blocks.
        Raises OSError, StorageError, and ValueError if the key is not kept in the database.
        """
        ...

    def last_sign(self, now: datetime, within: timedelta) -> int | None:
        """When (µs) a recorder last wrote here; None if none did `within` this time, or if another Guardian reads this
        database, since one user may rightly run two apps. Blocks, and never raises, whatever is there."""
        ...
