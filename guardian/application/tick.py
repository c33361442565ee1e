"""One round of all that Guardian does by itself, for a scheduler outside: where no process runs all the time, as on
Cloud Run scaled to zero, a call each minute does what the daemon would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from guardian.application.lead import renew_lead
from guardian.application.root import Application
from guardian.application.scheduler import STEPS, Step, run_step

ORDER = ("seal", "erasures", "probes", "alerts", "reports", "deliver", "watchdog", "logins", "purge")
"""What a round does first: summaries before rules and reports, and what these have to say before it is sent."""

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

    Twice at once does no harm: a step runs once in a process, and one process leads. A step that is running when the
    time is up is interrupted as at a stop, and the next round does again what it had not committed.
    """
    await renew_lead(app)
    if app.token is None:
        return Round(leads=False)
    result, until = Round(leads=True), time.monotonic() + seconds
    for step in sorted(steps, key=lambda each: ORDER.index(each.name)):
        remaining = until - time.monotonic()
        if app.token is None:
            return result
        if not _is_due(app, step, app.clock()):
            continue
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


def _is_due(app: Application, step: Step, now: datetime) -> bool:
    """Whether as much time has gone by since this process last began the step, or the clock was set back since."""
    health = app.health.get(step.name)
    if step.seconds <= SOON or health is None or health.error is not None or health.began_at is None:
        return True
    return not 0 <= (now - health.began_at).total_seconds() < step.seconds
