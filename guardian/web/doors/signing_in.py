"""The routes of signing in and out: asking for a link, opening it, typing its code.

A link that is opened in the browser that asked signs in. In any other it shows a code to type in the first, and a
button that mails another link for this browser: mail scanners that fetch, or press buttons, get in nowhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from guardian.application.root import Application
from guardian.application.signing_in import code_of, hashed, read_token, typed
from guardian.core.mail_address import NoAddress, check_address
from guardian.core.storage import StorageError
from guardian.stores.sign_ins import AskedLink
from guardian.web.doors import words
from guardian.web.doors.asking import Asking, plain_http
from guardian.web.doors.cookies import SESSION, drop_cookie
from guardian.web.doors.entry import Doors
from guardian.web.doors.forms import check_origin, read_form
from guardian.web.endpoint import Refusal
from guardian.web.pages.rendering import page_answer
from guardian.web.pages.routes import problem


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


Run = Callable[[Asking], Awaitable[Response]]


def _answering(app: Application, doors: Doors, run: Run) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        asking = Asking(app, doors, request)
        try:
            return await run(asking)
        except (Refusal, StorageError) as error:
            return problem(app, error, asking.lang, asking.visitor.base, words.NOT_IN, back="/sign-in")

    return respond


async def _show(asking: Asking) -> Response:
    if await asking.doors.who(asking.request, asking.visitor):
        return asking.back()
    if not asking.visitor.keeps_cookies:
        why = plain_http(asking.lang, asking.app.settings.links_url)
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
    try:
        return await _follow(asking)
    except Refusal:
        # A link clicked twice, or while already signed in: nothing to do.
        if await asking.doors.who(asking.request, asking.visitor):
            return asking.back()
        raise


async def _follow(asking: Asking) -> Response:
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
    # Before identifying the person: another page's form comes without the cookie, and the answer would delete it.
    check_origin(asking.request, asking.visitor)
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
    """Whether the browser prefetches the page."""
    said = headers.get("sec-purpose", "") + headers.get("purpose", "") + headers.get("x-moz", "")
    return "prefetch" in said or "preview" in said
