"""Reading incidents from SQLite: all that reports need of alerting, without loading the code that judges and stores its
state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from guardian.core.time import micros
from guardian.stores.sqlite.database import StateDatabase

if TYPE_CHECKING:
    from guardian.alerting.incidents import Incident


class SqliteIncidents:
    """`Incidents` in the database of the outbox."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def incidents(
        self, *, open_only: bool = False, since: datetime | None = None, limit: int = 100
    ) -> list[Incident]:
        """See Incidents."""
        where, values = "1", []
        if open_only:
            where += " AND status != 'resolved'"
        if since is not None:
            where += " AND (resolved_us IS NULL OR resolved_us >= ?)"
            values.append(micros(since))
        sql = f"SELECT body FROM guardian_incident WHERE {where} ORDER BY opened_us DESC, id LIMIT ?"
        return await self._state.read_as(_incident, sql, (*values, limit))

    async def incident(self, incident_id: str) -> Incident | None:
        """See Incidents."""
        sql = "SELECT body FROM guardian_incident WHERE id = ?"
        found = await self._state.read_as(_incident, sql, (incident_id,))
        return found[0] if found else None


def _incident(row: Sequence[Any]) -> Incident:
    from guardian.stores.alert_state import read_incident  # loads all of alerting; most windows have no incident

    return read_incident(row[0])
