"""Which transports are left alone for now, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from guardian.core.clock import was_ahead

HANGS = 2
"""After so many hangs in a row a transport is left alone: what waits would lose a time-out each."""

LONGEST_PAUSE = timedelta(minutes=4)
"""An unreachable server is tried again after this at the latest."""

RandomFloat = Callable[[], float]


@dataclass(slots=True)
class Circuits:
    """Which transports are left alone for now, because their server cannot be reached or hangs.

    One try at a time finds out whether it is back, after 1, 2, then at most 4 minutes: a server that is down for hours
    sees at most 20 tries an hour, and what waits goes out within minutes of its return, however many mails there are.
    """

    failures: dict[str, int] = field(default_factory=dict)
    hangs: dict[str, int] = field(default_factory=dict)
    closed_at: dict[str, datetime] = field(default_factory=dict)
    closed_until: dict[str, datetime] = field(default_factory=dict)

    def allow(self, transport: str, now: datetime) -> bool:
        """Whether this transport may be tried."""
        if was_ahead(self.closed_at.get(transport, now), now):
            return True  # the clock was set back: until when it was to be left alone means nothing now
        return self.closed_until.get(transport, now) <= now

    def failing(self, transport: str) -> bool:
        """Whether nothing has got through this transport since its server could not be used."""
        return transport in self.failures

    def hung(self, transport: str, now: datetime, random: RandomFloat) -> None:
        """A send took its time and failed. One mail may be to blame for that, not several in a row."""
        self.hangs[transport] = self.hangs.get(transport, 0) + 1
        if self.hangs[transport] >= HANGS:
            self.failed(transport, now, random)

    def failed(self, transport: str, now: datetime, random: RandomFloat) -> None:
        """The server could not be reached."""
        count = self.failures[transport] = self.failures.get(transport, 0) + 1
        wait = min(LONGEST_PAUSE, timedelta(minutes=2 ** min(count - 1, 2)))
        self._close(transport, now, wait * (1 - random() / 4))

    def rest(self, transport: str, now: datetime, wait: timedelta) -> None:
        """The server has asked to be left alone for so long."""
        self._close(transport, now, wait)

    def _close(self, transport: str, now: datetime, wait: timedelta) -> None:
        self.closed_at[transport], self.closed_until[transport] = now, now + wait

    def answered(self, transport: str) -> None:
        """The server is there, whatever it said."""
        for known in (self.failures, self.hangs, self.closed_at, self.closed_until):
            known.pop(transport, None)
