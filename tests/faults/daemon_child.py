"""Runs the daemon with the settings of argv[1] (JSON). argv[2] quickens its clockwork, so that tests need not wait;
argv[3] adds a step that hangs in a thread; without it, a stop and a look at the database may take long."""

import asyncio
import json
import sys
import time
from datetime import timedelta

import guardian.application.lead
import guardian.application.scheduler
import guardian.mail.delivery
import guardian.web.daemon
import guardian.web.health
from guardian.settings.schema import Settings
from guardian.web.daemon import run_daemon

if len(sys.argv) > 3:
    guardian.application.scheduler.STEPS += (
        guardian.application.scheduler.Step("hang", 60, lambda app, now, token: asyncio.to_thread(time.sleep, 3600)),
    )
else:
    guardian.web.daemon.STOP_SECONDS = 60
    guardian.web.health.READ_SECONDS = 60
if len(sys.argv) > 2:
    lease, pulse, claim = map(float, sys.argv[2].split(","))
    guardian.application.lead.LEASE_TTL = timedelta(seconds=lease)
    guardian.application.scheduler.PULSE_SECONDS = pulse
    guardian.mail.delivery.LEASE = timedelta(seconds=claim)
    steps = {"reports": 1, "deliver": 1}
    guardian.application.scheduler.STEPS = tuple(
        guardian.application.scheduler.Step(step.name, steps.get(step.name, step.seconds), step.run)
        for step in guardian.application.scheduler.STEPS
    )
sys.exit(run_daemon(Settings(**json.loads(sys.argv[1]))))
