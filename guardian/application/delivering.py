"""Sends what the outbox holds. Each channel goes at its own pace, so that a hanging one holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from guardian.application.logins import login_refused
from guardian.application.root import Application
from guardian.mail.delivery import DeliveryCounts, Desk, Lane, sum_of, together

LOOK_AGAIN = 1.0
"""The seconds after which an idle channel looks again while another is still sending."""


async def deliver_now(app: Application, *channels: str) -> DeliveryCounts:
    """Try, for each of the channels (without any: for all), the one message that is due first, if there is one."""
    desk = _desk(app)
    lanes = [lane for lane in desk.lanes if not channels or lane in channels]
    return sum_of(await together(_next(app, desk, lane) for lane in lanes))


async def deliver_all(app: Application, go_on: Callable[[], bool], *, look_again: float = LOOK_AGAIN) -> None:
    """Send until nothing is due any more, or `go_on` returns False; includes what becomes due meanwhile.

    Raises StorageError where the outbox cannot be read or marked.
    """
    if await app.stores.watch.oldest_unsent() is None:
        return  # each lane would ask for itself
    desk, sending = _desk(app), set[Lane]()

    async def work(lane: Lane) -> None:
        while go_on():
            sending.add(lane)
            try:
                tried = (await _next(app, desk, lane)).tried
            finally:
                sending.discard(lane)
            if tried:
                continue
            if not sending:
                return
            await asyncio.sleep(look_again)

    await together(work(lane) for lane in desk.lanes)


async def _next(app: Application, desk: Desk, lane: Lane) -> DeliveryCounts:
    async with app.delivering[lane]:
        return await desk.deliver(lane)


def _desk(app: Application) -> Desk:
    return Desk(
        state=app.state, transports=app.transports, holder=app.holder, clock=app.clock, circuits=app.circuits,
        warnings=partial(login_refused, app.email, app.settings.admins),
    )  # fmt: skip
