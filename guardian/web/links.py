"""Acting from a mail: signed, expiring links whose page shows one button. Opening one changes nothing.

Mail scanners fetch every link, some of them with a browser; so only the POST of the button acts, and once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from itsdangerous import BadData, URLSafeSerializer
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from guardian.alerting.actions import Action, edit_for, parse_action
from guardian.alerting.incidents import Incident
from guardian.alerting.store import AlertStore
from guardian.application import Application
from guardian.resources import templates_dir
from guardian.web.endpoint import HEADERS

LIFETIME = timedelta(days=7)
"""How long a link of a mail works."""

WORDS: dict[Action, str] = {
    "acknowledge": "Acknowledge",
    "silence-1h": "Silence for 1 hour",
    "silence-8h": "Silence for 8 hours",
    "silence-morning": "Silence until morning",
    "fixed": "Mark as fixed",
    "resolve": "Resolve",
}
"""What the buttons say."""

_MEANING: dict[Action, str] = {
    "acknowledge": "No more reminders; you will hear when it is over.",
    "silence-1h": "Nothing more is sent about it for an hour. If it still fires then, you will hear at once.",
    "silence-8h": "Nothing more is sent about it for eight hours. If it still fires then, you will hear at once.",
    "silence-morning": "Nothing more is sent about it until 08:00. If it still fires then, you will hear at once.",
    "fixed": "From now on only new requests count, so that errors of before the fix do not keep it open.",
    "resolve": "It is over, whatever the rule says. It opens again when the rule fires on new requests.",
}


@dataclass(frozen=True, slots=True)
class Link:
    """What a link means: an action on an incident by the person whom the mail was sent to."""

    incident: str
    action: Action
    by: str
    expires: int
    nonce: str


class BadLink(ValueError):
    """The link cannot be used; the message is one sentence for the person who followed it."""


def make_link(public_url: str, key: str, incident: str, action: Action, by: str, now: datetime) -> str:
    """The address of an action, for one mail; works once, until `LIFETIME` from now."""
    expires = int((now + LIFETIME).timestamp())
    token = _serializer(key).dumps([incident, action, by, expires, secrets.token_urlsafe(9)])
    return f"{public_url.rstrip('/')}/a/{token}"


def read_link(key: str, token: str, now: datetime) -> Link:
    """What the token of a link means. Raises BadLink where it was changed, or is too old."""
    try:
        incident, action, by, expires, nonce = _serializer(key).loads(token)
        link = Link(str(incident), parse_action(action), str(by), int(expires), str(nonce))
    except (BadData, ValueError, TypeError):
        raise BadLink("This link is not one of ours, or was cut short: open it again from the mail.") from None
    if link.expires < now.timestamp():
        raise BadLink("This link is more than a week old: use the one of a newer mail, or 'guardian alerts'.")
    return link


def _serializer(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="guardian.alert-action")


def action_routes(app: Application, store: AlertStore) -> list[Route]:
    """GET /a/{token}, a page that changes nothing, and its POST, which acts once."""
    env = Environment(
        loader=FileSystemLoader(templates_dir() / "web"), autoescape=True, undefined=StrictUndefined, auto_reload=False
    )

    def page(status: int, **values: Any) -> Response:
        values = {"title": "Guardian", "button": "", "note": "", "subject": "", "done": False, **values}
        headers = {**HEADERS, "X-Robots-Tag": "noindex"}
        headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
        )
        return HTMLResponse(env.get_template("action.html").render(values), status, headers)

    async def read(request: Request) -> tuple[Link, Incident]:
        link = read_link(await store.link_key(), request.path_params["token"], app.clock())
        incident = await store.incident(link.incident)
        if incident is None:
            raise BadLink("This incident is no longer known: it is older than the retention.")
        return link, incident

    def described(incident: Incident) -> str:
        return f"{incident.thread_subject or incident.rule}" + (f" · {incident.status}" if incident.status else "")

    async def show(request: Request) -> Response:
        try:
            link, incident = await read(request)
        except BadLink as error:
            return page(410, title="This link does not work", note=str(error))
        if incident.status == "resolved":
            return page(200, title="It is over already", note="There is nothing to do.", subject=described(incident))
        return page(
            200, title=WORDS[link.action], note=_MEANING[link.action], button=WORDS[link.action],
            subject=described(incident),
        )  # fmt: skip

    async def act(request: Request) -> Response:
        now = app.clock()
        try:
            link, incident = await read(request)
            if not await store.use_link(link.nonce, now):
                raise BadLink("This link has been used: what it does is done.")
        except BadLink as error:
            return page(410, title="This link does not work", note=str(error))
        zone = ZoneInfo(app.settings.timezone)
        changed = await store.change(incident.id, edit_for(link.action, by=link.by, now=now, zone=zone))
        if changed is None:
            return page(200, title="It is over already", note="There is nothing to do.", subject=described(incident))
        return page(200, title="Done", note=_MEANING[link.action], subject=described(changed), done=True)

    return [Route("/a/{token}", show, methods=["GET"]), Route("/a/{token}", act, methods=["POST"])]
