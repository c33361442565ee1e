"""The routes of signing in and out: asking for a link, opening it, typing its code.

A link that is opened in the browser that asked signs in. In any other it shows a code to type in the first, and a
button that mails another link for this browser: mail scanners that fetch, or press buttons, get in nowhere.
"""

from __future__ import annotations

import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from guardian.application.root import Application
from guardian.application.signing_in import (
    LIFETIME,
    code_of,
    forget_old_sessions,
    fresh_secret,
    hashed,
    mail_link,
    new_session,
    read_token,
    typed,
)
from guardian.core.language import Language
from guardian.core.mail_address import NoAddress, check_address
from guardian.core.storage import StorageError
from guardian.stores.sign_ins import AskedLink
from guardian.web.doors import words
from guardian.web.doors.cookies import ASKED, SESSION, drop_cookie, read_cookie, set_cookie
from guardian.web.doors.entry import Doors
from guardian.web.doors.forms import check_origin, check_token, read_form
from guardian.web.doors.visitor import Visitor
from guardian.web.endpoint import Refusal
from guardian.web.pages.page import url
from guardian.web.pages.rendering import PAGE_HEADERS, page_answer
from guardian.web.pages.routes import problem

log = logging.getLogger("guardian.web")

ASKED_SECONDS = int(LIFETIME.total_seconds())
_LONGEST_WAY = 500
"""A longer address to come back to is forgotten: it goes into a cookie."""


def sign_in_routes(app: Application, doors: Doors) -> list[Route]:
    """GET and POST of /sign-in, /sign-in/code and /sign-in/{token}, and POST of /sign-out."""
    found = []
    for path, method, run in (
        ("/sign-in", "GET", _show), ("/sign-in", "POST", _ask),
        ("/sign-in/code", "GET", _show_code), ("/sign-in/code", "POST", _type_code),
        ("/sign-in/{token}", "GET", _open), ("/sign-in/{token}", "POST", _press),
        ("/sign-out", "POST", _leave),
    ):  # fmt: skip
        found.append(Route(path, _answering(app, doors, run), methods=[method]))
    return found


class Asking:
    """One request to the doors: who asks from where, and what their browser holds.

    `browser` is the secret of the browser that asks for links, `new` where it was made just now; `way` is the path
    that it wants to come back to, without the prefix.
    """

    def __init__(self, app: Application, doors: Doors, request: Request) -> None:
        self.app, self.doors, self.request = app, doors, request
        self.visitor: Visitor = doors.visitor(request)
        self.lang: Language = doors.language(request)
        held, _, way = read_cookie(ASKED, request, self.visitor).partition(".")
        self.held = held if 20 <= len(held) <= 100 and held.isascii() else ""
        self.browser = self.held or fresh_secret()
        self.way = own_path(request.query_params.get("next", "")) or own_path(_decoded(way))

    async def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page with a form, and the cookie that binds it to this browser."""
        around = {"app_label": self.app.settings.app_label, "minutes": ASKED_SECONDS // 60, "error": ""}
        token = await self.doors.token(f"asked:{self.browser}")
        answer: Response = page_answer(
            template, self.lang, self.visitor.base, {**around, "csrf": token, **values}, status=status
        )
        if self.visitor.keeps_cookies:
            self.bind(answer)
        return answer

    def bind(self, answer: Response) -> None:
        """Give the browser the cookie by which a link knows it again."""
        way = "." + urlsafe_b64encode(self.way.encode()).decode().rstrip("=") if self.way else ""
        set_cookie(answer, ASKED, self.browser + way, self.visitor, ASKED_SECONDS)

    def to(self, path: str) -> Response:
        """The way to another path."""
        return RedirectResponse(url(self.visitor.base, path), 303, dict(PAGE_HEADERS))

    def back(self) -> Response:
        """The way to where the browser wanted to go before it was asked to sign in."""
        return RedirectResponse(self.visitor.base + (self.way or "/"), 303, dict(PAGE_HEADERS))

    async def form(self) -> dict[str, str]:
        """What was posted. Raises Refusal for what is no form of ours in this browser, and over plain HTTP."""
        if not self.visitor.keeps_cookies:
            raise Refusal(403, plain_http(self.lang, self.app.settings.public_url))
        form = await read_form(self.request)
        check_origin(self.request, self.visitor)
        check_token(form, await self.app.stores.alerts.link_key(), f"asked:{self.held}" if self.held else "")
        return form

    def count(self, address: str) -> None:
        """Count that a link is asked for. Raises Refusal (429) where that is too often."""
        wait = self.doors.clients.take(self.visitor.client)
        # What is remembered is a hash: an address that somebody typed is kept nowhere.
        wait = wait or self.doors.addresses.take(hashed(address.lower()).hex())
        if wait:
            minutes = self.lang.duration(-(-wait // 60) * 60)
            raise Refusal(429, self.lang(words.TOO_OFTEN, time=minutes), {"Retry-After": str(wait)})

    def mailing(self, address: str, *, forwarded: bool = False) -> BackgroundTask:
        """What mails a link after the answer is out."""

        async def work() -> None:
            try:
                await mail_link(self.app, address, hashed(self.browser), forwarded=forwarded)
            except Exception as error:  # one link: whoever asked sees no mail, and the log says why
                log.error("A link to sign in by cannot be mailed: %s", error)

        async def begin() -> None:
            self.doors.begin(work())

        return BackgroundTask(begin)

    async def enter(self, opened: Callable[[Any], Awaitable[str | None]]) -> Response | None:
        """Sign in by what `opened` makes of a session; None where it makes nothing of it."""
        secret, session = new_session(self.app.clock())
        if await opened(session) is None:
            return None
        answer = self.back()
        set_cookie(answer, SESSION, secret, self.visitor, self.app.settings.dashboard.sign_out_after)
        drop_cookie(answer, ASKED, self.visitor)
        await forget_old_sessions(self.app)
        return answer


Run = Callable[[Asking], Awaitable[Response]]


def _answering(app: Application, doors: Doors, run: Run) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        asking = Asking(app, doors, request)
        try:
            return await run(asking)
        except Refusal as refusal:
            said = Refusal(refusal.status, asking.lang(refusal.sentence), refusal.headers)
            return problem(app, said, asking.lang, asking.visitor.base, words.NOT_IN, back="/sign-in")
        except StorageError as error:
            return problem(app, error, asking.lang, asking.visitor.base, words.NOT_IN, back="/sign-in")

    return respond


async def _show(asking: Asking) -> Response:
    if await asking.doors.who(asking.request, asking.visitor):
        return asking.back()
    if not asking.visitor.keeps_cookies:
        why = plain_http(asking.lang, asking.app.settings.public_url)
        return page_answer(
            "problem.html", asking.lang, asking.visitor.base,
            {"title": asking.lang(words.NO_WAY_IN), "text": why, "back": ""},
        )  # fmt: skip
    return await asking.page("sign_in.html", title=asking.lang(words.SIGN_IN))


async def _ask(asking: Asking) -> Response:
    form = await asking.form()
    given = form.get("address", "").strip()
    try:
        address = check_address(given[:400])
    except (NoAddress, ValueError):
        said = asking.lang(words.NO_ADDRESS)
        return await asking.page("sign_in.html", 422, title=asking.lang(words.SIGN_IN), error=said)
    asking.count(address)
    answer = asking.to("/sign-in/code")
    asking.bind(answer)
    answer.background = asking.mailing(address)
    return answer


async def _show_code(asking: Asking) -> Response:
    if await asking.doors.who(asking.request, asking.visitor):
        return asking.back()
    if not asking.held:
        return asking.to("/sign-in")
    return await asking.page("sign_in_code.html", title=asking.lang(words.LOOK))


async def _type_code(asking: Asking) -> Response:
    form = await asking.form()
    asking.doors.limiter.check(asking.visitor.client)
    app, now = asking.app, asking.app.clock()
    code, browser = hashed(typed(form.get("code", "")[:40])), hashed(asking.browser)
    entered = await asking.enter(lambda session: app.stores.sign_ins.open_code(code, browser, session, now))
    if entered is None:
        asking.doors.limiter.failed(asking.visitor.client)
        said = asking.lang(words.WRONG_CODE)
        return await asking.page("sign_in_code.html", 422, title=asking.lang(words.LOOK), error=said)
    return entered


async def _found(asking: Asking) -> tuple[str, AskedLink]:
    """The secret of the link and what is known of it. Raises Refusal (410) for one that is not good."""
    asking.doors.limiter.check(asking.visitor.client)
    app, now = asking.app, asking.app.clock()
    key = await app.stores.alerts.link_key(make=False)
    secret = read_token(key, asking.request.path_params["token"], now) if key else None
    if secret is None:
        asking.doors.limiter.failed(asking.visitor.client)
        raise Refusal(410, words.BAD_LINK)
    link = await app.stores.sign_ins.link(hashed(secret), now)
    if link is None:
        raise Refusal(410, words.SPENT)
    return secret, link


async def _opened(asking: Asking, link: AskedLink) -> Response | None:
    app, now, browser = asking.app, asking.app.clock(), hashed(asking.held) if asking.held else None
    return await asking.enter(lambda session: app.stores.sign_ins.open_link(link.link, browser, session, now))


async def _open(asking: Asking) -> Response:
    if not asking.visitor.keeps_cookies:
        return await _show(asking)
    secret, link = await _found(asking)
    mine = link.browser is not None and asking.held != "" and link.browser == hashed(asking.held)
    if mine and asking.request.method == "GET" and not _ahead(asking.request.headers):
        if entered := await _opened(asking, link):
            return entered
        raise Refusal(410, words.SPENT)
    if mine or link.browser is None:
        return await asking.page("sign_in_here.html", title=asking.lang(words.SIGN_IN), code="", button=words.SIGN_IN)
    code = code_of(await asking.app.stores.alerts.link_key(), secret)
    button = "" if link.forwarded else words.ANOTHER
    shown = f"{code[:4]}-{code[4:]}"
    return await asking.page("sign_in_here.html", title=asking.lang(words.ELSEWHERE), code=shown, button=button)


async def _press(asking: Asking) -> Response:
    await asking.form()
    _, link = await _found(asking)
    if entered := await _opened(asking, link):
        return entered
    if link.browser is None or link.browser == hashed(asking.browser):
        raise Refusal(410, words.SPENT)
    asking.count(link.address)
    address = await asking.app.stores.sign_ins.forward_link(link.link, asking.app.clock())
    if address is None:
        raise Refusal(410, words.FORWARDED)
    answer = asking.to("/sign-in/code")
    asking.bind(answer)
    answer.background = asking.mailing(address, forwarded=True)
    return answer


async def _leave(asking: Asking) -> Response:
    person = await asking.doors.who(asking.request, asking.visitor)
    if person is not None:
        form = await read_form(asking.request)
        await asking.doors.check_form(asking.request, asking.visitor, person, form)
        if person.session is not None:
            if form.get("everywhere"):
                await asking.app.stores.sign_ins.end_sessions(person.address)
            else:
                await asking.app.stores.sign_ins.end_session(person.session)
    answer = asking.to("/sign-in")
    drop_cookie(answer, SESSION, asking.visitor)
    return answer


def _ahead(headers: Mapping[str, str]) -> bool:
    """Whether a browser fetches the page before anybody asked for it."""
    said = headers.get("sec-purpose", "") + headers.get("purpose", "") + headers.get("x-moz", "")
    return "prefetch" in said or "preview" in said


def own_path(text: str) -> str:
    """A path of ours with its query, to come back to; "" for anything else, such as another host's address."""
    if not text.startswith("/") or text.startswith("//") or len(text) > _LONGEST_WAY or not text.isascii():
        return ""
    if not text.isprintable() or any(each in text for each in '\\ "<>') or text.startswith("/sign-"):
        return ""
    return "" if text == "/" else text


def _decoded(way: str) -> str:
    try:
        return urlsafe_b64decode(way + "=" * (-len(way) % 4)).decode("ascii")
    except ValueError:
        return ""


def plain_http(lang: Language, public_url: str) -> str:
    """Why nobody can sign in over plain HTTP, and what to do."""
    if public_url.startswith("https:"):
        return lang(words.PLAIN_HTTP_HERE, url=public_url)
    return lang(words.PLAIN_HTTP)
