"""Storage for alerting, whatever the database: one state, and every incident that ever opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from guardian.alerting.actions import Edit
from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError


class ChangedMeanwhile(StorageError):
    """The state changed since it was loaded (somebody acted on an incident, or was erased): load it and judge again."""

    def __init__(self) -> None:
        super().__init__("the alerts were changed while a minute was judged: it is judged again")


class Incidents(Protocol):
    """Reads incidents. Methods raise StorageError where the database cannot answer."""

    async def incidents(
        self, *, open_only: bool = False, since: datetime | None = None, limit: int = 100
    ) -> list[Incident]:
        """Incidents, newest first. With `since` only those that opened later or were still open then."""
        ...

    async def incident(self, incident_id: str) -> Incident | None:
        """One incident by its id, or None."""
        ...


class AlertStore(Incidents, Protocol):
    """Alert state and incidents. Methods raise StorageError where the store cannot answer.

    Every change of the state gives it a new version, `StateStore.forget` included.
    """

    async def load(self) -> AlertState:
        """The state after the last committed minute; an empty one before the first."""
        ...

    async def commit(
        self, state: AlertState, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None
    ) -> AlertState:
        """Write the state, its incidents and the mails they cause in one transaction, and return the state as written.
        Incidents that go on but are missing in the state (their rule left the settings) end now. Raises
        ChangedMeanwhile if the stored version is not the one that `state` came from, and LeaseLost for an outdated
        `token`; then nothing is written.
        """
        ...

    async def change(self, incident_id: str, edit: Edit) -> Incident | None:
        """Apply `edit` (pure) to one incident that goes on. Returns the new incident; None where there is no such
        incident."""
        ...

    async def change_by_link(self, nonce: str, incident_id: str, edit: Edit, now: datetime) -> Incident | None:
        """The same by a link, which is used up in the transaction that changes the incident. Raises LinkUsed if it was
        used before; then nothing is changed.
        """
        ...

    async def change_all(self, edit: Edit) -> list[Incident]:
        """Apply `edit` to every incident that goes on or is pending. Returns the new incidents."""
        ...

    async def link_key(self, *, make: bool = True) -> str:
        """The secret that signs links in mails; made at the first call, and kept until it is renewed. Without `make`
        nothing is written: it is empty if there is none yet."""
        ...

    async def renew_link_key(self) -> None:
        """Replace the secret: no link in a mail that was written before works any more."""
        ...
