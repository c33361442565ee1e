"""What Guardian does by itself, again and again, while it leads.

APScheduler is the alarm clock only: what is due follows from the schedules and the ledger, so nothing is lost when a
step runs late or the process dies. `STEPS` is the table; a new duty is one entry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from guardian.application.delivering import deliver_all
from guardian.application.erasing import erase_again
from guardian.application.judging.steps import alert_step, probe_step
from guardian.application.lead import file_is_there, renew_lead, stand_by
from guardian.application.logins import login_step
from guardian.application.reporting import send_due_reports
from guardian.application.root import LEASE, Application, StepHealth
from guardian.application.upkeep import clean_up
from guardian.application.watchdog import watch_step
from guardian.core.clock import ClockWatch
from guardian.core.storage import StorageError
from guardian.core.time import utc_now
from guardian.stores.state import LeaseLost

log = logging.getLogger("guardian.scheduler")

PULSE_SECONDS = 5.0
"""How often the lease is renewed and the clock is looked at; measured by the monotonic clock."""

STOP_SECONDS = 2.5
"""How long steps that run may take to end when Guardian stops; then they are cancelled."""


@dataclass(frozen=True, slots=True)
class Step:
    """One duty: `run(app, now, token)` every `seconds`, at once after taking the lead."""

    name: str
    seconds: int
    run: Callable[[Application, datetime, int], Awaitable[None]]


async def report_step(app: Application, now: datetime, token: int) -> None:
    """Put the reports that are due into the outbox; the step "deliver" sends them."""
    for result in await send_due_reports(app, now=now, token=token):
        if result.claimed:
            log.info(
                "Report %r for %s to %s is in the outbox for %d recipients",
                *(result.schedule, *(edge.isoformat(timespec="minutes") for edge in result.covers)),
                len(result.recipients),
            )


async def deliver_step(app: Application, now: datetime, token: int) -> None:
    """Send what is due until nothing is, or the process stops or loses the lead."""
    await deliver_all(app, lambda: app.token is not None and not app.stopping)


async def seal_step(app: Application, now: datetime, token: int) -> None:
    """Summarise the buckets of time that have closed."""
    await app.repository.seal(now)


async def erase_step(app: Application, now: datetime, token: int) -> None:
    """Erase anew who was brought back by what was queued or rendered while they were erased."""
    if again := await erase_again(app):
        log.info("%d erased people had come back by events of before, and were erased again", again)


async def purge_step(app: Application, now: datetime, token: int) -> None:
    """Delete what is older than the retention allows."""
    gone = await clean_up(app, now)
    if gone.events or gone.rows:
        log.info("Deleted %d events, and %d mails and reports, older than the retention", gone.events, gone.rows)


STEPS: tuple[Step, ...] = (
    Step("reports", 30, report_step),
    Step("probes", 60, probe_step),
    Step("alerts", 15, alert_step),
    Step("deliver", 10, deliver_step),
    Step("watchdog", 60, watch_step),
    Step("seal", 60, seal_step),
    Step("erasures", 60, erase_step),
    Step("logins", 3_600, login_step),
    Step("purge", 86_400, purge_step),
)


async def run_step(app: Application, step: Step) -> bool:
    """Run a step if this process leads, and note in `app.health` how it went; its failure goes no further.

    False where it did not run: this process stands by, or is running the same step already. A step in which the lead
    was lost is not noted: another process does it now, and notes that.
    """
    if step.name in app.under_way:
        return False
    app.under_way.add(step.name)
    try:
        return await _run_step(app, step)
    finally:
        app.under_way.discard(step.name)


async def _run_step(app: Application, step: Step) -> bool:
    token = app.token
    if token is None or app.stopping or not file_is_there(app):
        return False
    error, unexpected, began = None, None, app.clock()
    try:
        await step.run(app, began, token)
    except LeaseLost as lost:
        stand_by(app)
        log.info("The step %r was broken off: %s", step.name, lost)
    except StorageError as failure:
        error = str(failure)
    except Exception as failure:  # one scheduled step: the others must go on
        error, unexpected = f"{type(failure).__name__}: see the log", failure
    if app.token != token:
        return False
    before = app.health.get(step.name)
    failures = 0 if error is None else 1 + (before.failures if before else 0)
    app.health[step.name] = StepHealth(app.clock(), error, began, failures)
    if error == (before.error if before else None):
        return True
    if error is None:
        log.info("The step %r works again", step.name)
    else:
        text = "The step %r failed and is tried again in %d s: %s"
        log.error(text, step.name, step.seconds, error, exc_info=unexpected)
    return True


@asynccontextmanager
async def running(app: Application, steps: Sequence[Step] | None = None) -> AsyncIterator[None]:
    """Run the steps (None: STEPS) in this event loop while the context is open, as long as this process leads.

    One process at a time leads; others stand by and take over within LEASE_TTL. At the end steps that run get
    STOP_SECONDS, and the lease is given up.
    """
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})
    tasks = set[asyncio.Task[bool]]()

    async def fire(step: Step) -> None:
        # APScheduler does not wait for the step: at a stop it would cancel it, and log that with a traceback.
        task = asyncio.create_task(run_step(app, step), name=f"guardian-{step.name}")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for step in STEPS if steps is None else steps:
        scheduler.add_job(fire, IntervalTrigger(seconds=step.seconds, timezone=UTC), [step], id=step.name)
    await renew_lead(app)
    scheduler.start()
    run_all_now(scheduler)
    pulse = asyncio.create_task(_pulse(app, scheduler), name="guardian-pulse")
    try:
        yield
    finally:
        app.stopping = True
        scheduler.pause()
        pulse.cancel()
        if tasks:
            running_still = tuple(tasks)
            _, late = await asyncio.wait(running_still, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*running_still, return_exceptions=True)
        await asyncio.gather(pulse, return_exceptions=True)
        scheduler.shutdown(wait=False)
        app.token = None
        try:
            await app.state.release_lease(LEASE, app.holder)
        except StorageError as failure:
            log.warning("The lease was not given up and ends by itself: %s", failure)


async def _pulse(app: Application, scheduler: AsyncIOScheduler) -> None:
    watch = ClockWatch(app.clock(), time.monotonic())
    while True:
        await asyncio.sleep(PULSE_SECONDS)
        step = watch.stepped(app.clock(), time.monotonic())
        if step:
            log.warning("The clock was set by %+.0f s: all steps run now", step.total_seconds())
        if await renew_lead(app) or step:
            run_all_now(scheduler)


def run_all_now(scheduler: AsyncIOScheduler) -> None:
    """Make each job due now.

    APScheduler 3 computes a run from the one before: after the clock went back an hour, nothing ran for an hour.
    """
    for job in scheduler.get_jobs():
        job.modify(next_run_time=utc_now())
