"""The report file of other programs, `usage_report.json`: where it cannot be written, the mail goes all the same."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from guardian.application.root import Application, StepHealth
from guardian.core.notes import Note, as_json

log = logging.getLogger("guardian.reporting")

STEP = "report file"
"""What the status and the health call it."""


async def report_with_file(
    app: Application,
    hours: int | None = None,
    *,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
    zone: ZoneInfo | None = None,
) -> dict[str, Any]:
    """The report on a window (see `UsageGuardian.generate_report`), saved as `usage_report.json` too.

    Where that fails, it is a note of the report, an error in the log, and a step that failed in status and health.
    """
    report = await app.usage.generate_report(hours, start_time=start_time, end_time=end_time, zone=zone)
    before = app.health.pop(STEP, None)
    try:
        await app.usage.save_report(report)
    except OSError as error:
        why = error.strerror or type(error).__name__
        sentence = f"usage_report.json cannot be written to reports_dir ({why})"
        app.health[STEP] = StepHealth(app.clock(), sentence)
        if before is None:
            log.error("%s: reports go out without it", sentence)
        report["notes"] = [*report["notes"], as_json(Note("unsaved", 1, why))]
    else:
        if before is not None:
            log.info("usage_report.json is written again")
    return report
