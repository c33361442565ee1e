"""The endpoints under /api/usage: reports on the spot, retention, and the rights of one person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from guardian.application.erasing import erase_person
from guardian.application.exporting import export_person
from guardian.application.listing import asked_for, read_csv, read_page
from guardian.application.upkeep import clean_up
from guardian.core.listing import MAX_USERS
from guardian.core.off_loop import off_loop
from guardian.core.report.rows import users_json
from guardian.core.storage import WindowGone
from guardian.stores.erasure import as_kept
from guardian.web.answers import GeneratedReport, Report, UserPage
from guardian.web.endpoint import Asked, Call, Endpoint, Refusal, Streamed
from guardian.web.receipts import CleanedUp, Erased, UserExport


class Window(Asked):
    """The last `hours` hours."""

    hours: int = Field(2, ge=1, le=720, description="a whole number of hours from 1 to 720")


class Listed(Asked):
    """A window, a place in it, and how the answer is written."""

    hours: int | None = Field(None, ge=1, le=720, description="a whole number of hours from 1 to 720")
    start: AwareDatetime | None = Field(None, description="a time with a zone, such as 2026-03-01T00:00:00Z")
    end: AwareDatetime | None = Field(None, description="a time with a zone, such as 2026-03-02T00:00:00Z")
    after: str | None = Field(None, description="the value of `after` that the page before had, or leave it out")
    limit: int | None = Field(None, ge=1, le=1_000_000, description="a whole number from 1 to 1000000")
    format: Literal["json", "csv"] | None = Field(None, description="json or csv")


class Cleanup(Asked):
    """Whether anything is deleted at all."""

    dry_run: bool = Field(False, description="true or false")


class Person(Asked):
    """One person, by their address or by an id that the tracker recorded."""

    email: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(as_kept)] = Field(
        min_length=1, max_length=320, description="the person's mail address, or an id of theirs"
    )


class PersonExport(Person):
    """One person, and how what is stored about them is written."""

    format: Literal["json", "html"] = Field("json", description="json or html")


PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""A page of an export has its style in it, and nothing that acts."""


async def usage_summary(call: Call) -> dict[str, Any]:
    """The report on the last hours.

    It names at most `report.max_users` people of the settings, those with most errors and then most requests;
    `users_left_out` counts the others, whom /api/usage/users lists too.
    """
    most = call.app.settings.report.max_users
    return await call.app.usage.generate_report(call.asked.hours, max_users=most)


async def list_users(call: Call) -> dict[str, Any] | Streamed:
    """Everybody who was there in the last `hours` hours, or in [start, end): most errors first, then most requests.

    As JSON a page of `limit` users, at most and if not given 1,000; the answer's `after` asks for the next page, and
    brings the window with it. As CSV (`format=csv`, or a client that accepts text/csv) everybody at once, or `limit`
    of them, while they are read. People who were erased are not among them.
    """
    asked, now = call.asked, call.app.clock()
    whole = asked.hours is None and asked.start is None and asked.end is None
    try:
        wanted = asked_for(now, 2 if whole else asked.hours, asked.start, asked.end, asked.after)
    except ValueError as error:
        raise Refusal(400, str(error).replace("start_time", "start").replace("end_time", "end")) from None
    form = asked.format or ("csv" if _takes_csv(call.accept) else "json")
    try:
        if form == "csv":
            headers = {"Content-Disposition": 'attachment; filename="users.csv"'}
            return Streamed(await read_csv(call.app, wanted, asked.limit), "text/csv", headers)
        page = await read_page(call.app, wanted, min(asked.limit or MAX_USERS, MAX_USERS))
    except WindowGone as gone:
        raise Refusal(400, str(gone)) from None
    return {
        "period_start": page.start.isoformat(),
        "period_end": page.end.isoformat(),
        "users": await off_loop(users_json, page.users),
        "after": page.after,
    }


def _takes_csv(accept: str) -> bool:
    """Whether the client asks for CSV and not for JSON."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "text/csv" in kinds and "application/json" not in kinds


async def generate_report(call: Call) -> dict[str, Any]:
    """The report on the last hours, saved as usage_report.json in the reports directory."""
    try:
        report, path = await call.app.usage.generate_and_save_report(call.asked.hours)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Refusal(
            503,
            f"usage_report.json cannot be written to reports_dir ({why}): free it, or ask for the "
            "summary, which needs no file",
        ) from None
    return {"saved_as": path.name, "report": report}


async def cleanup(call: Call) -> dict[str, Any]:
    """Delete now what is older than the retention of the settings, as happens by itself once a day.

    With `dry_run=true` nothing is deleted, and the answer counts what would be.
    """
    done = await clean_up(call.app, call.app.clock(), dry_run=call.asked.dry_run)
    return {
        "dry_run": done.dry_run,
        "events_deleted": done.events,
        "errors_cleared": done.errors,
        "sessions_deleted": done.sessions,
        "rows_deleted": done.rows,
        "events_before": done.kept.events_before.isoformat(),
        "errors_before": done.kept.errors_before.isoformat(),
        "sessions_before": done.kept.sessions_before.isoformat(),
        "summaries_before": done.kept.summaries_before.isoformat(),
        "mails_before": done.kept.mails_before.isoformat(),
    }


async def export_user(call: Call) -> Streamed:
    """Everything stored about one person: as JSON, or with `format=html` as a page that they can be handed."""
    found = await export_person(call.app, call.asked.email, call.asked.format)
    if found is None:
        raise _unknown(call.asked.email)
    if call.asked.format == "json":
        return Streamed(found)
    return Streamed(found, "text/html", {"Content-Security-Policy": PAGE_POLICY})


async def erase_user(call: Call) -> dict[str, Any]:
    """Erase one person: from events, sessions and errors, from mails that name them and from saved reports.

    The answer is a receipt: what was removed where, and what remains by design.

    Totals stay true. The address cannot be found again; new requests of the same person are recorded anew.
    """
    erased = await erase_person(call.app, call.asked.email)
    if erased is None:
        raise _unknown(call.asked.email)
    return erased.as_json()


def _unknown(email: str) -> Refusal:
    return Refusal(404, f'email is "{email[:80]}": nobody of this name was seen, check the spelling')


_NOBODY = {404: "Nobody of this name was seen"}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(method="GET", path="/api/usage/summary", run=usage_summary, asked=Window, answer=Report,
             large=True),
    Endpoint(method="GET", path="/api/usage/users", run=list_users, asked=Listed, answer=UserPage, large=True,
             refusals={400: "The window or `after` is none"}, other_kinds=("text/csv",)),
    Endpoint(
        method="POST", path="/api/usage/generate-report", run=generate_report, asked=Window, answer=GeneratedReport,
        large=True
    ),
    Endpoint(method="POST", path="/api/usage/cleanup", run=cleanup, asked=Cleanup, answer=CleanedUp),
    # A name may have slashes, such as the subject of a token: hence `path`.
    Endpoint(
        method="GET", path="/api/usage/users/{email:path}/export", run=export_user, asked=PersonExport,
        answer=UserExport, refusals=_NOBODY,
    ),
    Endpoint(
        method="DELETE", path="/api/usage/users/{email:path}", run=erase_user, asked=Person, answer=Erased,
        refusals=_NOBODY,
    ),
)  # fmt: skip
