"""Mail: what was sent to whom and when, what waits, what could not be sent, and which report goes out next."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from guardian.application.reporting import send_report_now
from guardian.application.root import NamedSchedule
from guardian.application.schedule_words import schedule_name
from guardian.core.language import marked
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import SECRET, OutboxItem
from guardian.mail.report.wording import short
from guardian.web.endpoint import HEADERS, Refusal
from guardian.web.pages.frame import framed
from guardian.web.pages.page import Page, View
from guardian.web.pages.paging import paged
from guardian.web.pages.ranges import HOURS, NAMES
from guardian.web.pages.sent_mail import POLICY, read_mail
from guardian.web.pages.tables import Table
from guardian.web.reports import SENDING, SENDING_TTL

MOST, SHOWN = 2000, 25
"""How many of the newest messages are listed, and how many on a page."""
STATUSES = {
    "": marked("All"),
    "pending": marked("Waiting"),
    "sent": marked("Sent"),
    "dead": marked("Not delivered"),
    "dropped": marked("Dropped"),
}
FATES = {
    "pending": marked("waits"),
    "sent": marked("sent"),
    "dead": marked("not delivered"),
    "dropped": marked("dropped"),
}
"""How one message stands; STATUSES are of several, which are other words in other languages."""
KINDS = {
    "report": marked("Report"),
    "alert": marked("Alert"),
    "digest": marked("Digest"),
    "test": marked("Test"),
    "warning": marked("Warning"),
    "sign-in": marked("Sign-in"),
}
TONES = {"sent": "ok", "pending": "warning", "dead": "critical", "dropped": "unknown"}


def _for_admins(view: View) -> None:
    if not view.may_act:
        raise Refusal(
            403, view.lang("Mails are shown to admins only: their links act for the person they were sent to.")
        )


async def run(view: View) -> Mapping[str, Any] | Response:
    """The list of messages, and the next reports. Raises Refusal for who may only look."""
    _for_admins(view)
    status = view.query.get("status", "") if view.query.get("status", "") in STATUSES else ""
    search = view.query.get("q", "").strip().casefold()[:320]
    found = await view.app.state.outbox(status=status or None, limit=MOST)
    if search:
        found = [i for i in found if search in f"{i.message.recipient} {i.message.subject}".casefold()]
    counts = await view.app.state.outbox_counts()
    page = paged(found, view.query, SHOWN)
    kept = {name: value for name, value in (("status", status), ("q", view.query.get("q", ""))) if value}
    return await framed(
        view,
        {
            "rows": [mail_row(item, view) for item in page.rows],
            "pages": page,
            "kept": kept,
            "status": status,
            "search": view.query.get("q", ""),
            "statuses": [
                (key, view.lang(name), sum(counts.values()) if not key else counts.get(key, 0))
                for key, name in STATUSES.items()
            ],
            "schedules": [next_report(named, view) for named in view.app.schedules],
            "ranges": [(hours, view.lang(NAMES[key])) for key, hours in HOURS.items()],
            "once": uuid.uuid4().hex,
            "admins": len(view.app.settings.admins),
            "transports": [
                {"name": each.name, "channel": each.channel,
                 "closed": _when(view.app.circuits.closed_until.get(each.name), view)}
                for each in view.app.transports
            ],
        },
        tables=[_table(found), _schedules(view), _transports(view)],
    )  # fmt: skip


def next_report(named: NamedSchedule, view: View) -> dict[str, Any]:
    """A schedule, and in a sentence which report of it goes out next."""
    fire, covers = named.schedule.upcoming(view.now)
    zone = named.schedule.zone
    said = view.lang(
        "The next report goes out on %(at)s and covers %(span)s.",
        at=view.lang.moment(fire, zone), span=view.lang.span(covers.start, covers.end, zone),
    )  # fmt: skip
    return {
        "name": schedule_name(named, view.lang),
        "sentence": f"{said} ({zone.key})",
        "recipients": view.lang.plural("%(n)s recipient", "%(n)s recipients", len(named.recipients)),
    }


def mail_row(item: OutboxItem, view: View) -> dict[str, Any]:
    """A message in a list."""
    message, lang = item.message, view.lang
    fate = lang(FATES.get(item.status, item.status))
    tries = lang.plural("%(n)s try", "%(n)s tries", item.attempts)
    return {
        "id": item.id,
        "subject": short(message.subject) or lang(KINDS.get(message.kind, message.kind)),
        "recipient": short(message.recipient),
        "raw": message.recipient,
        "channel": message.channel,
        "kind": lang(KINDS.get(message.kind, message.kind)),
        "status": fate[:1].upper() + fate[1:],
        "tone": TONES.get(item.status, "unknown"),
        "when": lang.moment(item.sent_at or item.created_at, view.zone),
        "tries": tries if item.attempts > 1 or item.status != "sent" else "",
        "error": short(item.last_error or ""),
        "next": lang.moment(item.next_attempt_at, view.zone) if item.status == "pending" else "",
        "may_retry": item.status in ("dead", "dropped", "pending") and bool(message.body),
        "may_drop": item.status in ("pending", "dead"),
    }


def _when(at: Any, view: View) -> str:
    return "" if at is None or at <= view.now else view.lang.moment(at, view.zone)


def _table(found: list[OutboxItem]) -> Table:
    columns = ("id", "kind", "channel", "recipient", "subject", "status", "tries", "created", "sent", "error")
    rows = (
        (i.id, i.message.kind, i.message.channel, i.message.recipient, i.message.subject, i.status, i.attempts,
         i.created_at, i.sent_at, i.last_error)
        for i in found
    )  # fmt: skip
    return Table("mails", columns, rows)


def _schedules(view: View) -> Table:
    columns = ("schedule", "goes_out", "covers_from", "covers_until", "recipients")
    upcoming = ((named, *named.schedule.upcoming(view.now)) for named in view.app.schedules)
    return Table("schedules", columns, ((n.name, at, w.start, w.end, len(n.recipients)) for n, at, w in upcoming))


def _transports(view: View) -> Table:
    paused = view.app.circuits.closed_until
    rows = ((each.name, each.channel, paused.get(each.name)) for each in view.app.transports)
    return Table("transports", ("transport", "channel", "paused_until"), rows)


async def _item(view: View) -> OutboxItem:
    _for_admins(view)
    asked = str(view.path["id"])
    item = await view.app.state.outbox_item(int(asked)) if asked.isdecimal() and len(asked) < 19 else None
    if item is None:
        raise Refusal(404, view.lang("There is no such mail, or it is older than the retention."))
    return item


async def run_one(view: View) -> Mapping[str, Any] | Response:
    """One message as it was sent. Raises Refusal for one that is not known."""
    item = await _item(view)
    own: dict[str, Any] = {"mail": mail_row(item, view), "headers": (), "text": "", "html": False, "files": ()}
    if item.message.kind in SECRET:
        own["text"] = view.lang("This is shown to nobody but whom it was sent to: its link lets them in.")
    elif item.message.channel != "mail":
        own["text"] = item.message.body.decode("utf-8", "replace")
    elif item.message.body:
        parts = await off_loop(read_mail, item.message.body)
        own |= {"headers": parts.headers, "text": parts.text, "html": bool(parts.html),
                "files": [(name, view.lang.number(size)) for name, size in parts.files]}  # fmt: skip
    tables = [Table("headers", ("header", "value"), own["headers"])] if own["headers"] else []
    return await framed(view, own, tables=tables)


async def run_body(view: View) -> Response:
    """The HTML of a mail, for the frame of its page: with a policy of its own, under which it can do nothing."""
    item = await _item(view)
    if item.message.kind in SECRET:
        raise Refusal(403, view.lang("This is shown to nobody but whom it was sent to: its link lets them in."))
    parts = await off_loop(read_mail, item.message.body)
    headers = {**HEADERS, "Content-Security-Policy": POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return Response(parts.html.encode("utf-8", "replace"), headers=headers, media_type="text/html; charset=utf-8")


async def act(view: View, form: Mapping[str, str]) -> str:
    """Retry or drop a message, or send a report now; where to go then. Raises Refusal with one sentence."""
    what = form.get("do", "")
    if what == "send":
        return await _send(view, form.get("hours", ""), form.get("once", ""))
    number = form.get("id", "")
    if what not in ("retry", "drop") or not number.isdecimal() or len(number) > 18:
        raise Refusal(422, view.lang("This button is not known."))
    done = view.app.state.retry if what == "retry" else view.app.state.drop
    if not await done(int(number), view.app.clock()):
        item = await view.app.state.outbox_item(int(number))
        if item is None:
            raise Refusal(404, view.lang("There is no such mail, or it is older than the retention."))
        if what == "drop" and item.status == "dropped":
            return f"/mail/{number}"  # the button was pressed twice
        raise Refusal(409, view.lang("It was sent meanwhile, or is being sent just now: nothing was changed."))
    return f"/mail/{number}"


async def _send(view: View, hours: str, once: str) -> str:
    """Send the report on the last hours to the admins: one at a time, in all processes together, and for one form,
    which has a number of its own, `once`, one."""
    if hours not in map(str, HOURS.values()):
        raise Refusal(422, view.lang("Choose one of the ranges."))
    if not view.app.settings.admins:
        raise Refusal(409, view.lang("Nobody would get it: set admins in the settings."))
    app, caller = view.app, once if re.fullmatch("[0-9a-f]{32}", once) else uuid.uuid4().hex
    if await app.state.acquire_lease(SENDING, caller, app.clock(), SENDING_TTL) is None:
        raise Refusal(409, view.lang("A report is being sent just now: wait until that is done."))
    try:
        await send_report_now(app, hours=int(hours), once=caller)
    finally:
        await app.state.release_lease(SENDING, caller)
    return "/mail"


PAGE = Page("/mail", marked("Mail"), run, "mail.html", nav=True, key="7", act=act, admins=True)
ONE = Page("/mail/{id}", marked("Mail"), run_one, "mail_one.html", act=act, frames=True, admins=True)
BODY = Page("/mail/{id}/body", marked("Mail"), run_body, "mail_one.html", admins=True)
