"""The settings of `[report]`, what holds for every report, and the templates that `guardian import` matches the paths
of logs with."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from guardian.core.listing import MAX_USERS
from guardian.settings.section import Section
from guardian.settings.values import Names
from tracker.templates import Templates


def _routes(value: tuple[str, ...]) -> tuple[str, ...]:
    Templates(value)
    return value


Routes = Annotated[Names, AfterValidator(_routes)]
"""Templates of routes, such as /threads/{id}."""


class ReportSettings(Section):
    """How many people a mail and the summary of the API name: `[report]`. A report's file and `guardian report` name
    everybody."""

    max_users: int = Field(default=MAX_USERS, ge=1, le=20_000)
