"""One pass over an outbox, by the same `Desk` that the daemon delivers with."""

import time
from datetime import timedelta

from guardian.mail.circuits import Circuits
from guardian.mail.delivery import Desk, sum_of, together


async def deliver_due(
    state, transports, *, now, holder="test", limit=20, circuits=None, random=lambda: 0.0, warnings=None
):
    """Try what is due at `now`, all lanes at the same time, of each at most `limit` mails. The counts of all."""
    began = time.monotonic()
    desk = Desk(
        state=state, transports=transports, holder=holder, random=random, warnings=warnings,
        circuits=Circuits() if circuits is None else circuits,
        clock=lambda: now + timedelta(seconds=time.monotonic() - began),
    )  # fmt: skip
    return sum_of(await together(desk.deliver(lane, limit) for lane in desk.lanes))
