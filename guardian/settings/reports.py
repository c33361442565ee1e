"""The settings of `[report]`: what holds for every report."""

from __future__ import annotations

from pydantic import Field

from guardian.core.report.model import MAX_USERS
from guardian.settings.section import Section


class ReportSettings(Section):
    """How many people a mail and the summary of the API name: `[report]`. A report's file and `guardian report` name
    everybody."""

    max_users: int = Field(default=MAX_USERS, ge=1, le=20_000)
