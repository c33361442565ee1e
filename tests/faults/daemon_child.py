"""Runs the daemon with the settings of argv[1] (JSON). argv[2] quickens its clockwork, so that tests need not wait;
argv[3] adds a step that hangs in a thread."""

import asyncio
import json
import sys
import time
from datetime import timedelta

import guardian.delivery
import guardian.scheduler
from guardian.config import Settings
from guardian.daemon import run_daemon

if len(sys.argv) > 3:
    guardian.scheduler.STEPS += (
        guardian.scheduler.Step("hang", 60, lambda app, now, token: asyncio.to_thread(time.sleep, 60)),
    )
if len(sys.argv) > 2:
    lease, pulse, claim = map(float, sys.argv[2].split(","))
    guardian.scheduler.LEASE_TTL = timedelta(seconds=lease)
    guardian.scheduler.PULSE_SECONDS = pulse
    guardian.delivery.LEASE = timedelta(seconds=claim)
    steps = {"reports": 1, "deliver": 1}
    guardian.scheduler.STEPS = tuple(
        guardian.scheduler.Step(step.name, steps.get(step.name, step.seconds), step.run)
        for step in guardian.scheduler.STEPS
    )
sys.exit(run_daemon(Settings(**json.loads(sys.argv[1]))))
