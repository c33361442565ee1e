"""Acting from a mail: the page of a link shows one button. Opening it changes nothing.

Mail scanners fetch every link, some of them with a browser; so only the POST of the button acts, and once.
"""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from guardian.alerting.actions import Action, edit_for
from guardian.alerting.incidents import Incident
from guardian.alerting.links import WORDS, BadLink, Link, LinkUsed, read_link, read_unsubscribe_link
from guardian.alerting.wording import standing, title
from guardian.application.root import Application
from guardian.core.language import Language, marked
from guardian.core.mentions import plain
from guardian.core.storage import StorageError
from guardian.core.templates import environment
from guardian.core.time import micros
from guardian.web.endpoint import HEADERS, Refusal
from guardian.web.limits import Limiter, client_of

_MEANING: dict[Action, str] = {
    "acknowledge": marked("No more reminders; you will be told when it is over."),
    "silence-1h": marked(
        "Nothing more is sent about it for an hour. If it is still firing then, you are told at once."
    ),
    "silence-8h": marked(
        "Nothing more is sent about it for eight hours. If it is still firing then, you are told at once."
    ),
    "silence-morning": marked(
        "Nothing more is sent about it until 08:00. If it is still firing then, you are told at once."
    ),
    "fixed": marked("From now on only new requests count, so that errors from before the fix do not keep it open."),
    "resolve": marked("It is over, whatever the rule says. It opens again when the rule fires on new requests."),
}
DONE, OVER, NOTHING = marked("Done"), marked("It is already over"), marked("There is nothing to do.")
NOT_NOW, AGAIN = marked("Nothing was changed"), marked("The database does not answer just now: try again in a minute.")
USELESS = marked("This link does not work")
TOO_MANY = marked("Too many links that do not work were opened from this address: wait a minute.")
READ_SECONDS = 3.0
"""The longest that a page waits for a locked database."""


def page(
    status: int, lang: Language, heading: str, *, note: str, button: str = "", field: str = "", subject: str = ""
) -> Response:
    """The page with a heading, a note, and perhaps a button that posts `field`, all three in the reader's language; it
    is not cached, framed or indexed."""
    texts = {"title": heading, "note": note, "button": button}
    said = {name: lang(text) if text else "" for name, text in texts.items()}
    values = {**said, "code": lang.code, "field": field, "subject": subject}
    headers = {**HEADERS, "X-Robots-Tag": "noindex"}
    headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    )
    return HTMLResponse(environment("web").get_template("action.html").render(values), status, headers)


def bad_link(app: Application, limiter: Limiter, request: Request, error: BadLink) -> Response:
    """The page for an invalid link, which is counted against the client."""
    limiter.failed(client_of(request.scope, app.settings.dashboard.networks))
    return page(410, app.email.language, USELESS, note=str(error))


def held_up(app: Application, limiter: Limiter, request: Request) -> Response | None:
    """The page for a client that opened too many invalid links; None for others."""
    try:
        limiter.check(client_of(request.scope, app.settings.dashboard.networks))
    except Refusal as refusal:
        shown = page(refusal.status, app.email.language, NOT_NOW, note=TOO_MANY)
        shown.headers.update(refusal.headers or {})
        return shown
    return None


def action_routes(app: Application, limiter: Limiter) -> list[Route]:
    """GET /a/{token}, a page that changes nothing, and its POST, which acts once."""
    store = app.stores.alerts

    async def read(request: Request) -> tuple[Link, Incident]:
        async with asyncio.timeout(READ_SECONDS):
            link = read_link(await store.link_key(make=False), request.path_params["token"], app.clock())
            incident = await store.incident(link.incident)
        if incident is None:
            raise BadLink(marked("This incident is no longer known: it is older than the retention."))
        if not may_act(link.by, incident):
            raise BadLink(marked("This link was sent to somebody who no longer receives these alerts."))
        return link, incident

    def may_act(address: str, incident: Incident) -> bool:
        """Whether the settings still have this address among those who get the incident's alerts."""
        rule = app.settings.rules.get(incident.rule)
        known = (*app.settings.admins, *(rule.recipients if rule else ()))
        return address.lower() in {each.lower() for each in known}

    def described(incident: Incident, lang: Language) -> str:
        rule = app.settings.rules.get(incident.rule)
        name = title(rule, incident.subject, lang) if rule else plain(incident.thread_subject or incident.rule)
        return f"{name} · {standing(incident, micros(app.clock()), lang, ZoneInfo(app.settings.timezone))}"

    async def show(request: Request) -> Response:
        if refused := held_up(app, limiter, request):
            return refused
        try:
            link, incident = await read(request)
        except BadLink as error:
            return bad_link(app, limiter, request, error)
        except (StorageError, TimeoutError):
            return page(503, app.email.language, NOT_NOW, note=AGAIN)
        lang = app.email.language_of(link.by)
        about = described(incident, lang)
        if incident.status == "resolved":
            return page(200, lang, OVER, note=NOTHING, subject=about)
        word = WORDS[link.action]
        return page(200, lang, word, note=_MEANING[link.action], button=word, subject=about)

    async def act(request: Request) -> Response:
        if refused := held_up(app, limiter, request):
            return refused
        now = app.clock()
        try:
            link, incident = await read(request)
        except BadLink as error:
            return bad_link(app, limiter, request, error)
        except (StorageError, TimeoutError):
            return page(503, app.email.language, NOT_NOW, note=AGAIN)
        try:
            edit = edit_for(link.action, by=link.by, now=now, zone=ZoneInfo(app.settings.timezone))
            changed = await store.change_by_link(link.nonce, incident.id, edit, now)
        except LinkUsed as error:
            return page(410, app.email.language, USELESS, note=str(error))
        except StorageError:
            return page(503, app.email.language, NOT_NOW, note=AGAIN, button=WORDS[link.action])
        lang = app.email.language_of(link.by)
        if changed is None:
            return page(200, lang, OVER, note=NOTHING, subject=described(incident, lang))
        return page(200, lang, DONE, note=_MEANING[link.action], subject=described(changed, lang))

    return [Route("/a/{token}", show, methods=["GET"]), Route("/a/{token}", act, methods=["POST"])]


ONE_CLICK = "List-Unsubscribe"
"""The field that mail programs post (RFC 8058, 3.1), and the button too."""


def unsubscribe_routes(app: Application, limiter: Limiter) -> list[Route]:
    """GET /u/{token}, a page with one button, and its POST, which ends a schedule's reports for one recipient.

    Mail programs post to it without a page (RFC 8058). Posting `wanted` subscribes again.
    """
    store = app.stores.alerts

    async def answer(request: Request, form: bytes | None) -> Response:
        if refused := held_up(app, limiter, request):
            return refused
        pairs = [(named.name, to) for named in app.schedules for to in named.recipients]
        try:
            async with asyncio.timeout(READ_SECONDS):
                key = await store.link_key(make=False)
            schedule, recipient = read_unsubscribe_link(key, request.path_params["token"], app.clock(), pairs)
        except BadLink as error:
            return bad_link(app, limiter, request, error)
        except (StorageError, TimeoutError):
            return page(503, app.email.language, NOT_NOW, note=AGAIN)
        lang = app.email.language_of(recipient)
        subject = lang("Reports %(schedule)s to %(who)s", schedule=schedule, who=recipient)
        if form is None:
            word = marked("Unsubscribe")
            return page(200, lang, word, note="", button=word, field=ONE_CLICK, subject=subject)
        wanted = form.startswith(b"wanted=")
        try:
            await app.state.unsubscribe(schedule, recipient, wanted=wanted, now=app.clock())
        except StorageError:
            return page(503, lang, NOT_NOW, note=AGAIN)
        if wanted:
            note = marked("The next report will come as before.")
            return page(200, lang, marked("Subscribed again"), note=note, subject=subject)
        note = marked("You will get no more of these reports, but still the alerts.")
        return page(200, lang, DONE, note=note, button=marked("Subscribe again"), field="wanted", subject=subject)

    async def show(request: Request) -> Response:
        return await answer(request, None)

    async def act(request: Request) -> Response:
        form = b""
        async for chunk in request.stream():
            form += chunk[:100]
            if len(form) > 100:
                break
        return await answer(request, form)

    return [Route("/u/{token}", show, methods=["GET"]), Route("/u/{token}", act, methods=["POST"])]
