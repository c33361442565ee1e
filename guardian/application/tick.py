"""One round of all that Guardian does by itself, for a scheduler outside: where no process runs all the time, as on
Cloud Run scaled to zero, a call each minute does what the daemon would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from guardian.application.lead import renew_lead
from guardian.application.root import Application
from guardian.application.scheduler import PULSE_SECONDS, STEPS, Step, run_step
from guardian.core.storage import StorageError

ORDER = ("seal", "erasures", "probes", "alerts", "reports", "deliver", "watchdog", "logins", "purge")
"""What a round does first: summaries before rules and reports, and what these have to say before it is sent."""

KEPT = 1 / 20
"""What part of a round each step keeps for itself, whatever those before it take."""

SOON = 60
"""A step that is due more often than each 60 s runs in every round."""


@dataclass(slots=True)
class Round:
    """What a round did. `leads` is False where another process leads, which does it all by itself; nothing ran then.

    `done` and `failed` (with the reason) are the steps that ran, `left` those for which there was no time: the next
    round does them.
    """

    leads: bool
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


async def tick(app: Application, seconds: float, steps: Sequence[Step] = STEPS) -> Round:
    """Take or keep the lead, run each step that is due, in order, and say how that went; over within `seconds`.

    Twice at once does no harm: a step runs once in a process, and one process leads. A step that is running when its
    time is up is interrupted as at a stop, and the next round does again what it had not committed. Each step leaves
    some of the time to those behind it, so that one that never ends stops no other one, however often this is called.
    Raises StorageError where the database does not say who leads.
    """
    until = time.monotonic() + seconds
    await _renew_lead(app, seconds)
    if app.token is None:
        return Round(leads=False)
    async with _leading(app):
        return await _round(app, seconds, until, steps)


async def _round(app: Application, seconds: float, until: float, steps: Sequence[Step]) -> Round:
    result = Round(leads=True)
    ordered = sorted(steps, key=lambda each: ORDER.index(each.name))
    for place, step in enumerate(ordered, 1):
        if app.token is None:
            return result
        if not _is_due(app, step, app.clock()):
            continue
        remaining = until - time.monotonic() - seconds * KEPT * (len(ordered) - place)
        try:
            if remaining <= 0:
                raise TimeoutError
            async with asyncio.timeout(remaining):
                ran = await run_step(app, step)
        except TimeoutError:
            result.left.append(step.name)
            continue
        health = app.health.get(step.name)
        if not ran or health is None:
            result.left.append(step.name)
        elif health.error is None:
            result.done.append(step.name)
        else:
            result.failed[step.name] = health.error
    return result


@asynccontextmanager
async def _leading(app: Application) -> AsyncIterator[None]:
    """Keeps the lead meanwhile: a round may last longer than the lease does. Who loses it begins no further step."""

    async def renew() -> None:
        while app.token is not None:
            await asyncio.sleep(PULSE_SECONDS)
            await renew_lead(app)

    pulse = asyncio.create_task(renew(), name="guardian-tick-pulse")
    try:
        yield
    finally:
        pulse.cancel()
        await asyncio.gather(pulse, return_exceptions=True)


async def _renew_lead(app: Application, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await renew_lead(app)
    except TimeoutError:
        app.token = None
        raise StorageError(f"the database did not answer within {seconds:g} s: look at the network") from None
    # Not the same as another process that leads, which needs nobody's help.
    if app.token is None and (reason := app.trouble or app.unrenewed):
        raise StorageError(reason)


def _is_due(app: Application, step: Step, now: datetime) -> bool:
    """Whether as much time has gone by since this process last began the step, or the clock was set back since."""
    health = app.health.get(step.name)
    if step.seconds <= SOON or health is None or health.error is not None or health.began_at is None:
        return True
    return not 0 <= (now - health.began_at).total_seconds() < step.seconds
