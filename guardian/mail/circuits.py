"""Circuit breakers: which transports are paused, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from guardian.core.clock import was_ahead

HANGS = 2
"""After this many hangs in a row a transport is paused: otherwise each waiting message would cost a time-out."""

LONGEST_PAUSE = timedelta(minutes=4)
"""An unreachable server is tried again after this at the latest."""

RandomFloat = Callable[[], float]


@dataclass(slots=True)
class Circuits:
    """The transports that are paused because their server hangs or cannot be reached. Single attempts find out whether
    it is back, after 1, 2, then at most 4 minutes: a server that is down for hours sees at most 20 tries an hour, and
    what waits goes out within minutes of its return, however many mails there are.
    """

    failures: dict[str, int] = field(default_factory=dict)
    hangs: dict[str, int] = field(default_factory=dict)
    closed_at: dict[str, datetime] = field(default_factory=dict)
    closed_until: dict[str, datetime] = field(default_factory=dict)

    def allow(self, transport: str, now: datetime) -> bool:
        """Whether this transport may be tried."""
        if was_ahead(self.closed_at.get(transport, now), now):
            return True  # the clock was set back: the pause's end is meaningless
        return self.closed_until.get(transport, now) <= now

    def failing(self, transport: str) -> bool:
        """Whether nothing has got through this transport since its server could not be used."""
        return transport in self.failures

    def hung(self, transport: str, now: datetime, random: RandomFloat) -> None:
        """A send hung and failed. That may be due to one mail, but not if it happens several times in a row."""
        self.hangs[transport] = self.hangs.get(transport, 0) + 1
        if self.hangs[transport] >= HANGS:
            self.failed(transport, now, random)

    def failed(self, transport: str, now: datetime, random: RandomFloat) -> None:
        """The server could not be reached."""
        count = self.failures[transport] = self.failures.get(transport, 0) + 1
        wait = min(LONGEST_PAUSE, timedelta(minutes=2 ** min(count - 1, 2)))
        self._close(transport, now, wait * (1 - random() / 4))

    def rest(self, transport: str, now: datetime, wait: timedelta) -> None:
        """The server asked for a pause of this length."""
        self._close(transport, now, wait)

    def _close(self, transport: str, now: datetime, wait: timedelta) -> None:
        self.closed_at[transport], self.closed_until[transport] = now, now + wait

    def answered(self, transport: str) -> None:
        """The server is there, whatever it said."""
        for known in (self.failures, self.hangs, self.closed_at, self.closed_until):
            known.pop(transport, None)
