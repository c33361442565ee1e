"""Where alerting keeps its memory, whichever database is under it: one state, and every incident that opened."""

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
    """Somebody acted on an incident, or was erased, since the state was loaded: load it again and judge again."""

    def __init__(self) -> None:
        super().__init__("the alerts were changed while a minute was judged: it is judged again")


class Incidents(Protocol):
    """Reads incidents. Methods raise StorageError where the database cannot answer."""

    async def incidents(
        self, *, open_only: bool = False, since: datetime | None = None, limit: int = 100
    ) -> list[Incident]:
        """Incidents that opened, the newest first; `since` also keeps those that were open then."""
        ...

    async def incident(self, incident_id: str) -> Incident | None:
        """One incident by its id, or None."""
        ...


class AlertStore(Incidents, Protocol):
    """Alert state and incidents. Methods raise StorageError where the store cannot answer.

    Whatever changes the state, `StateStore.forget` too, gives it a new version.
    """

    async def load(self) -> AlertState:
        """The state after the last committed minute; an empty one before the first."""
        ...

    async def commit(
        self, state: AlertState, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None
    ) -> AlertState:
        """Write the state, its incidents and the mails they cause in one transaction; the state as it was written.

        An incident that is not over and of which the state knows nothing (its rule is no longer in the settings) ends
        now. Raises ChangedMeanwhile where another version is stored than that which `state` came from, and LeaseLost
        for an outdated `token`; nothing is written then.
        """
        ...

    async def change(self, incident_id: str, edit: Edit) -> Incident | None:
        """Change one incident that is not over by `edit` (pure); the new one, or None where there is none such."""
        ...

    async def change_by_link(self, nonce: str, incident_id: str, edit: Edit, now: datetime) -> Incident | None:
        """The same, once for each link: it is used up in the transaction that changes the incident.

        Raises LinkUsed where it had been used; nothing is changed then.
        """
        ...

    async def change_all(self, edit: Edit) -> list[Incident]:
        """Change every incident that is not over, those too that are pending; what became of them."""
        ...

    async def link_key(self, *, make: bool = True) -> str:
        """The secret that signs the links of mails; made at the first call, and the same until it is renewed. Without
        `make` nothing is written, and it is empty where there is none yet."""
        ...

    async def renew_link_key(self) -> None:
        """Put a new secret in its place: no link of a mail that was written before works any more."""
        ...
