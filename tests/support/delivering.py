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
    return sum_of(await together(deliver_lane(desk, lane, limit) for lane in desk.lanes))


async def deliver_lane(desk, lane, limit):
    """Try at most `limit` mails of a lane, one after the other, as the daemon does."""
    found = []
    while len(found) < limit and (not found or found[-1].tried):
        found.append(await desk.deliver(lane))
    return sum_of(found)
