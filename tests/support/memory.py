"""A store in memory: it passes the contract of stores, so that nothing above them can take SQL for granted."""

from collections import Counter
from dataclasses import dataclass, field

from guardian.alerting.engine import AlertState
from guardian.stores.backend import Stores
from guardian.stores.people.book import NO_BOOK
from tests.support.memory_alerts import MemoryAlerts, MemoryWatch
from tests.support.memory_events import MemoryEvents, MemoryHistory
from tests.support.memory_sign_ins import MemorySignIns
from tests.support.memory_state import MemoryState


@dataclass
class Database:
    """What is kept, whoever has it open. `summed` are events that retention deleted, and that summaries still count;
    `imported` are those of `events` that came from a log, and `marks` those of its lines, by stretch."""

    place: str = ""
    events: list = field(default_factory=list)
    summed: list = field(default_factory=list)
    imported: Counter = field(default_factory=Counter)
    marks: dict = field(default_factory=dict)
    users: dict = field(default_factory=dict)
    features: set = field(default_factory=set)
    purged_until: int = 0
    purged: int = 0
    forgotten_until: int = 0
    leases: dict = field(default_factory=dict)
    token: int = 0
    periods: dict = field(default_factory=dict)
    editions: dict = field(default_factory=dict)
    doubted: set = field(default_factory=set)
    reports: dict = field(default_factory=dict)
    outbox: dict = field(default_factory=dict)
    watched: dict = field(default_factory=dict)
    told_at: dict = field(default_factory=dict)
    unsubscribed: set = field(default_factory=set)
    tombstones: dict = field(default_factory=dict)
    outages: dict = field(default_factory=dict)
    alerts: AlertState = field(default_factory=AlertState)
    incidents: dict = field(default_factory=dict)
    used_links: dict = field(default_factory=dict)
    link_key: str = ""
    asked: dict = field(default_factory=dict)
    sessions: dict = field(default_factory=dict)

    def own(self):
        """The events that the app itself recorded, in the order of time."""
        left, found = self.imported.copy(), []
        for event in self.events:
            if left[event]:
                left[event] -= 1
            else:
                found.append(event)
        return found

    async def open(self, book=NO_BOOK):
        """All stores, with `book` for the names of people."""
        state = MemoryState(self)
        return Stores(
            MemoryEvents(self, book),
            MemoryHistory(self, book),
            state,
            MemoryAlerts(state),
            MemoryWatch(state),
            MemorySignIns(state),
        )
