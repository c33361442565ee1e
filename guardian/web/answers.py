"""The answers of the endpoints on reports. Times are ISO 8601 in UTC; None means never, or nothing there."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class FailedRequest(BaseModel):
    """A failed request of a user; `error` is what the app's author wrote.

    `failed` is there, and true, where `code` does not show it: the app noted the request as failed.
    """

    endpoint: str
    error: str
    timestamp: datetime
    code: int
    failed: bool | None = None


class User(BaseModel):
    """One user in a report; the newest errors, oldest first."""

    email: str
    total_time_minutes: int
    features_used: list[str]
    requests_count: int
    errors_count: int
    errors: list[FailedRequest]


class UserPage(BaseModel):
    """Some users of the window [period_start, period_end), most errors first, then most requests.

    `after` asks for the next page; None: this was the last one.
    """

    period_start: datetime
    period_end: datetime
    users: list[User]
    after: str | None


class FeatureCount(BaseModel):
    """How often a feature was used."""

    name: str
    count: int


class Report(BaseModel):
    """A report: the totals of the window [period_start, period_end). Other keys stand beside these."""

    model_config = ConfigDict(extra="allow")

    period_start: datetime
    period_end: datetime
    active_users: int
    total_requests: int
    total_errors: int
    users: list[User]
    top_features: list[FeatureCount]
    error_breakdown: dict[str, int]


class GeneratedReport(BaseModel):
    """A report and the name of the file in the reports directory that now holds it."""

    saved_as: str
    report: Report


class SentReport(BaseModel):
    """An on-demand report: each recipient's copy is sent, pending (tried again) or dead; `errors` say why."""

    period_start: datetime
    period_end: datetime
    recipients: dict[str, str]
    errors: dict[str, str]


class ScheduledReport(BaseModel):
    """`sent` is False where this period had been reported before, and nothing was sent now."""

    schedule: str
    period_start: datetime
    period_end: datetime
    sent: bool
    recipients: int
    message: str


class ReportHead(BaseModel):
    """A saved report without its body."""

    id: int
    schedule: str
    period_start: datetime
    period_end: datetime
    created_at: datetime


class ReportList(BaseModel):
    """Saved reports, the newest first."""

    reports: list[ReportHead]


class SavedReportAnswer(ReportHead):
    """A saved report."""

    report: Report


class TickAnswer(BaseModel):
    """One round of what Guardian does by itself. Nothing ran where this process does not lead (`leads`).

    `done` and `failed` (with why) are the steps that ran; those in `left` had no time left, and the next round does
    them.
    """

    leads: bool
    done: list[str]
    failed: dict[str, str]
    left: list[str]
