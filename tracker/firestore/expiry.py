"""When Firestore may delete a document by itself, where a policy (TTL) for the field `expires` is switched on.

How long single events are kept is a setting of the daemon, which writes it down in the database. Until it has, nothing
expires. The daemon deletes what is old itself, once it has added it up: so this is some days later.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tracker.firestore.client import SECONDS

FIELD = "expires"
"""The field with the moment, a timestamp of Firestore. It is never indexed."""
META, PROGRESS, KEEP = "guardian_meta", "progress", "keep_us"
"""The document that says how long single events are kept, in µs."""
LATER_US = 2 * 86_400 * 1_000_000
FRESH_SECONDS = 3_600.0


def expires_at(at_us: int, keep_us: int) -> dict[str, datetime]:
    """The field for an event at this moment; empty if nothing expires."""
    if not keep_us:
        return {}
    us = at_us + keep_us + LATER_US
    return {FIELD: datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)}


class Expiry:
    """Gives the field, reading the setting from the database once an hour."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._keep_us, self._asked = 0, -FRESH_SECONDS

    def field(self, at_us: int) -> dict[str, datetime]:
        """The field for what happened at this moment. Raises what Google's library raises."""
        now = time.monotonic()
        if now - self._asked >= FRESH_SECONDS:
            document = self._client.collection(META).document(PROGRESS)
            found = document.get(field_paths=[KEEP], retry=None, timeout=SECONDS)
            self._keep_us, self._asked = int((found.to_dict() or {}).get(KEEP, 0)), now
        return expires_at(at_us, self._keep_us)
