"""A request for signing in or out, with its client and cookies, and the answers to it."""

from __future__ import annotations

import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from guardian.application.root import Application
from guardian.application.signing_in import (
    LIFETIME,
    forget_old_sessions,
    fresh_secret,
    hashed,
    mail_link,
    new_session,
)
from guardian.core.language import Language
from guardian.web.doors import words
from guardian.web.doors.cookies import ASKED, SESSION, drop_cookie, read_cookie, set_cookie
from guardian.web.doors.entry import Doors
from guardian.web.doors.forms import check_origin, check_token, read_form
from guardian.web.doors.visitor import Visitor
from guardian.web.endpoint import Refusal
from guardian.web.pages.page import url
from guardian.web.pages.rendering import PAGE_HEADERS, page_answer

log = logging.getLogger("guardian.web")

ASKED_SECONDS = int(LIFETIME.total_seconds())
_LONGEST_WAY = 1500
"""A longer return path is dropped: it goes into a cookie, and proxies limit headers to 4 kB. A mail's link to a person
with a non-Latin name has about 600 characters."""


class Asking:
    """One request to the doors: who asks from where, and what their browser holds.

    `browser` is the secret of the browser that asks for links, `new` if it was just created; `way` is the path to
    return to, without the prefix.
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
        """Set the cookie by which a link recognises the browser."""
        way = "." + urlsafe_b64encode(self.way.encode()).decode().rstrip("=") if self.way else ""
        set_cookie(answer, ASKED, self.browser + way, self.visitor, ASKED_SECONDS)

    def to(self, path: str) -> Response:
        """A redirect to another path."""
        return RedirectResponse(url(self.visitor.base, path), 303, dict(PAGE_HEADERS))

    def back(self) -> Response:
        """A redirect to where the browser wanted to go before it had to sign in."""
        return RedirectResponse(self.visitor.base + (self.way or "/"), 303, dict(PAGE_HEADERS))

    async def form(self) -> dict[str, str]:
        """The posted fields. Raises Refusal for a form that is not ours or not from this browser, and over plain
        HTTP."""
        if not self.visitor.keeps_cookies:
            raise Refusal(403, plain_http(self.lang, self.app.settings.links_url))
        form = await read_form(self.request)
        check_origin(self.request, self.visitor)
        check_token(form, await self.app.stores.alerts.link_key(), f"asked:{self.held}" if self.held else "")
        return form

    def count(self, address: str) -> None:
        """Count that a link is asked for. Raises Refusal (429) where that is too often."""
        wait = self.doors.clients.take(self.visitor.client)
        # Only a hash is remembered: an address that somebody typed is stored nowhere.
        wait = wait or self.doors.addresses.take(hashed(address.lower()).hex())
        if wait:
            minutes = self.lang.duration(-(-wait // 60) * 60)
            raise Refusal(429, words.TOO_OFTEN, {"Retry-After": str(wait)}, time=minutes)

    def mailing(self, address: str, *, forwarded: bool = False) -> BackgroundTask:
        """The task that mails a link after the answer was sent."""

        async def work() -> None:
            try:
                await mail_link(self.app, address, hashed(self.browser), forwarded=forwarded)
            except Exception as error:  # the person gets no mail, and the log says why
                log.error("A link to sign in by cannot be mailed: %s", error)

        async def begin() -> None:
            self.doors.begin(work())

        return BackgroundTask(begin)

    async def enter(self, opened: Callable[[Any], Awaitable[str | None]]) -> Response | None:
        """Sign in with a new session that `opened` accepts; None if it does not."""
        secret, session = new_session(self.app.clock())
        if await opened(session) is None:
            return None
        answer = self.back()
        set_cookie(answer, SESSION, secret, self.visitor, self.app.settings.dashboard.sign_out_after)
        drop_cookie(answer, ASKED, self.visitor)
        await forget_old_sessions(self.app)
        return answer


def own_path(text: str) -> str:
    """A path of ours with its query, to return to; "" for anything else, such as another host's URL."""
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
