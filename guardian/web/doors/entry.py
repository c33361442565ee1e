"""Who looks at a page: somebody signed in, somebody with a token, or somebody whom a proxy has let in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from guardian.application.root import Application
from guardian.application.signing_in import Role, live_session, role_of
from guardian.core.language import LANGUAGES, Language, language, marked
from guardian.web.auth import require_admin_claims
from guardian.web.doors.cookies import SESSION, read_cookie
from guardian.web.doors.forms import check_origin, check_token, form_token
from guardian.web.doors.visitor import Visitor, visitor_of
from guardian.web.endpoint import Refusal
from guardian.web.limits import Limiter, Quota, client_of
from tracker.tokens import TokenVerifier

log = logging.getLogger("guardian.web")

A_CLIENT, AN_ADDRESS = 20, 10
"""How many sign-in links may be requested in an hour, by one client and for one address."""
NOBODY = marked(
    "The proxy has let in %(who)s, who is neither an admin nor a viewer of Guardian: add the address to admins."
)
TWICE = marked("%(header)s came twice, so nobody knows who you are: the proxy must remove what clients send of it.")


@dataclass(frozen=True, slots=True)
class Person:
    """The person who looks at a page. `identity` is what their form tokens are bound to; `session` is the hash of their
    cookie, None if they did not sign in here. With a `bearer` token no form token is needed: browsers never send it by
    themselves, so other pages cannot abuse it."""

    address: str
    role: Role
    identity: str
    session: bytes | None = None
    bearer: bool = False


class Doors:
    """Decides who may look. `verifier` checks bearer tokens (None: there are none); `limiter` counts wrong ones."""

    def __init__(self, app: Application, verifier: TokenVerifier | None, limiter: Limiter) -> None:
        self.app, self.limiter = app, limiter
        self.clients, self.addresses = Quota(A_CLIENT), Quota(AN_ADDRESS)
        self._verifier = verifier
        self._tasks = set[asyncio.Task[None]]()
        self._told = False

    def visitor(self, request: Request) -> Visitor:
        """From where the request comes."""
        return visitor_of(request, self.app.settings)

    def language(self, request: Request) -> Language:
        """The language of whoever is not signed in: the first of their browser's that there is."""
        asked = request.headers.get("accept-language", "")
        codes = [part.partition(";")[0].strip().lower().partition("-")[0] for part in asked.split(",")[:10]]
        return next((language(code) for code in codes if code in LANGUAGES), self.app.email.language)

    async def who(self, request: Request, visitor: Visitor) -> Person | None:
        """Who asks; None for somebody who has to sign in. Raises Refusal for a token that is wrong, and for somebody
        whom a proxy let in but the settings do not name; StorageError where sessions cannot be read."""
        if person := self._by_token(request):
            return person
        header = self.app.settings.dashboard.trusted_header
        given = self._by_proxy(request, visitor, header) if header else ""
        if given:
            role = role_of(self.app.settings, given)
            if role is None:
                raise Refusal(403, NOBODY, who=given[:80])
            return Person(given, role, f"proxy:{given.lower()}")
        cookie = read_cookie(SESSION, request, visitor)
        session = await live_session(self.app, cookie) if cookie else None
        role = role_of(self.app.settings, session.address) if session else None
        if session is None or role is None:
            return None
        return Person(session.address, role, f"session:{cookie}", session.cookie)

    def _by_proxy(self, request: Request, visitor: Visitor, header: str) -> str:
        """Whom a configured proxy says it has let in; "" for nobody. Raises Refusal where the header came twice."""
        said = request.headers.getlist(header)
        if len(said) > 1 and visitor.proxied:
            raise Refusal(403, TWICE, header=header)
        if said and visitor.hidden and not self._told:
            self._told = True
            log.warning(
                "%s is not believed: the server that runs Guardian has put the address of X-Forwarded-For in place of "
                "the proxy's, so that nobody knows who asks; for uvicorn add --no-proxy-headers", header,
            )  # fmt: skip
        return said[0].strip() if said and visitor.proxied else ""

    def _by_token(self, request: Request) -> Person | None:
        given = request.headers.get("authorization", "")
        if self._verifier is None or given.strip().partition(" ")[0].lower() != "bearer":
            return None
        client = client_of(request.scope, self.app.settings.dashboard.networks)
        self.limiter.check(client)
        try:
            claims = require_admin_claims(given, self._verifier, self.app.settings.api)
        except Refusal as refusal:
            if refusal.status == 401:
                self.limiter.failed(client)
            raise
        named = next((str(claims[name]) for name in ("email", "sub") if claims.get(name)), "token")
        return Person(named[:320], "admin", "", bearer=True)

    async def token(self, identity: str) -> str:
        """The form token for this identity; "" if none is needed."""
        return form_token(await self.app.stores.alerts.link_key(), identity) if identity else ""

    async def check_form(self, request: Request, visitor: Visitor, person: Person, form: Mapping[str, str]) -> None:
        """Raises Refusal (403) for a form that is not one of ours."""
        check_origin(request, visitor)
        if not person.bearer:
            check_token(form, await self.app.stores.alerts.link_key(), person.identity)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background, so that an answer's time does not reveal what was done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
