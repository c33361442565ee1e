"""The answers of the endpoints on retention and on one person. Times are ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class CleanedUp(BaseModel):
    """What a cleanup deleted, or with `dry_run` would delete: what is older than the retention of the settings.

    `errors_cleared` counts errors that lost their text and place, `rows_deleted` mails, reports and incidents.
    """

    dry_run: bool
    events_deleted: int
    errors_cleared: int
    sessions_deleted: int
    rows_deleted: int
    events_before: datetime
    errors_before: datetime
    sessions_before: datetime
    summaries_before: datetime
    mails_before: datetime


class UserExport(BaseModel):
    """Everything stored about one person, as rows of the published tables."""

    model_config = ConfigDict(extra="allow")


class RemovedPart(BaseModel):
    """Where something of an erased person was removed, and how much."""

    where: str
    count: int


class Erased(BaseModel):
    """The receipt of an erasure; `rows_changed` counts mails, saved reports and incidents that named the person.

    `everywhere` is false while a program that reads the database still holds copies; they are removed when it ends.
    `remains` says what no erasure reaches, in sentences.
    """

    erased: Literal[True]
    rows_changed: int
    erased_at: datetime
    everywhere: bool
    removed: list[RemovedPart]
    remains: list[str]
