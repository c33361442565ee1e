"""From where people came, where the app asked for it: a document for each session that a process sees begin.

    guardian_clients/{person}-{at_us}    person: their id, at_us: when the session's first event there ended,
                                         ip_address, user_agent: a text each, or None

A session that several processes see has a document of each, and counts as the first one says. Erasing somebody deletes
these documents, so the name behind a new one is asked for just before it is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracker.event import ANONYMOUS, SESSION_GAP_US, Event

CLIENTS = "guardian_clients"
_MOST_KNOWN = 50_000


class Clients:
    """Tracks which people are in a session in this process."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def starting(self, events: Iterable[Event]) -> list[Event]:
        """The events that start a session, as far as this process knows, and have client information."""
        last = dict[str, int]()
        found = []
        for event in sorted(events, key=lambda event: event.at_us):
            if event.client is None or event.user == ANONYMOUS:
                continue
            before = last.get(event.user, self._last.get(event.user))
            if before is None or event.at_us - event.duration_us - before >= SESSION_GAP_US:
                found.append(event)
            last[event.user] = event.at_us
        return found

    def noted(self, events: Iterable[Event]) -> None:
        """Call when these events, and the documents for `starting`, are stored."""
        if len(self._last) > _MOST_KNOWN:
            self._last.clear()
        for event in events:
            if event.client is not None and event.user != ANONYMOUS:
                self._last[event.user] = max(event.at_us, self._last.get(event.user, 0))


def documents_of(events: Iterable[Event], person: dict[str, int]) -> list[tuple[str, dict[str, Any]]]:
    """The names and fields of the documents for these events; `person` maps verified users to ids."""
    found = []
    for event in events:
        if event.user in person and event.client is not None:
            number = person[event.user]
            address, agent = event.client
            fields = {"person": number, "at_us": event.at_us, "ip_address": address, "user_agent": agent}
            found.append((f"{number:016x}-{event.at_us}", fields))
    return found
