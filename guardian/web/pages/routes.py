"""The routes of the pages: people are let in or sent to sign in, and a page's values become HTML."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from guardian.application.root import Application
from guardian.core.language import Language, marked
from guardian.core.off_loop import off_loop
from guardian.core.storage import StorageError
from guardian.web.doors.entry import Doors, Person
from guardian.web.doors.forms import read_form
from guardian.web.doors.visitor import Visitor
from guardian.web.endpoint import HEADERS, Refusal
from guardian.web.pages import PAGES
from guardian.web.pages.assets import FOREVER, served
from guardian.web.pages.page import SAFE, Page, View, url
from guardian.web.pages.rendering import FRAMING_HEADERS, PAGE_HEADERS, page_answer

log = logging.getLogger("guardian.web")

NOT_NOW = marked("This page cannot be shown now")
NOT_THERE = marked("There is no such page")
ELSEWHERE = marked("The address was cut short, or is from another version of Guardian.")
AGAIN = marked("The database does not answer just now: try again in a minute.")
REFUSED = marked("This was not done")
READ_ONLY = marked("You may look, but change nothing: an admin can.")
FAILED = marked("Guardian failed at this: its log says why.")


def page_routes(app: Application, doors: Doors, pages: Sequence[Page] | None = None) -> list[Route]:
    """The pages of the table, and the files that they link to."""
    table = PAGES if pages is None else pages
    nav = [each for each in table if each.nav]
    routes = [Route("/static/{name}", _asset, methods=["GET"])]
    for each in table:
        routes.append(Route(each.path, _page_handler(app, doors, each, nav), methods=["GET"]))
        if each.act is not None:
            routes.append(Route(each.path, _form_handler(app, doors, each), methods=["POST"]))
    return routes


def no_page(app: Application, doors: Doors, request: Request, status: int = 404) -> Response | None:
    """The page for a browser at an address that there is not, or that only forms lead to (405); None for a program."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return None
    lang = doors.language(request)
    return _page(app, lang, doors.visitor(request).base, status, NOT_THERE, lang(ELSEWHERE))


async def _asset(request: Request) -> Response:
    found = served().get(request.path_params["name"])
    if found is None:
        raise Refusal(404, "there is no such file: load the page again")
    headers = {**HEADERS, "Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    # Pages themselves are never packed: their length would tell what stands beside a form's token (BREACH).
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, 200, headers, media_type=found.media_type)
    return Response(found.body, 200, headers, media_type=found.media_type)


Handler = Callable[[Request], Awaitable[Response]]


def _page_handler(app: Application, doors: Doors, page: Page, nav: Sequence[Page]) -> Handler:
    async def respond(request: Request) -> Response:
        visitor = doors.visitor(request)
        lang = doors.language(request)
        try:
            person = await doors.who(request, visitor)
            if person is None:
                return to_sign_in(request, visitor)
            view = await _view(app, doors, request, visitor, person)
            lang = view.lang
            values = await page.run(view)
            if isinstance(values, Response):
                return with_headers(values)
            around = {
                "view": view, "nav": [each for each in nav if view.may_act or not each.admins],
                "here": page.path, "title": lang(page.title),
                "app_label": app.settings.app_label, "may_leave": person.session is not None,
            }  # fmt: skip
            headers = FRAMING_HEADERS if page.frames else None
            return await off_loop(page_answer, page.template, lang, visitor.base, {**around, **values}, headers=headers)
        except (Refusal, StorageError) as error:
            return problem(app, error, lang, visitor.base)
        except Exception:
            log.exception("The page %s cannot be shown", page.path)
            return _page(app, lang, visitor.base, 500, NOT_NOW, lang(FAILED))

    return respond


def _form_handler(app: Application, doors: Doors, page: Page) -> Handler:
    async def respond(request: Request) -> Response:
        visitor = doors.visitor(request)
        lang = doors.language(request)
        try:
            person = await doors.who(request, visitor)
            if person is None:
                return to_sign_in(request, visitor)
            lang = app.email.language_of(person.address)
            form = await read_form(request)
            await doors.check_form(request, visitor, person, form)
            view = await _view(app, doors, request, visitor, person)
            if not view.may_act:
                raise Refusal(403, READ_ONLY)
            assert page.act is not None
            return RedirectResponse(visitor.base + await page.act(view, form), 303, dict(PAGE_HEADERS))
        except (Refusal, StorageError) as error:
            return problem(app, error, lang, visitor.base, REFUSED)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("A form of the page %s failed", page.path)
            return _page(app, lang, visitor.base, 500, REFUSED, lang(FAILED))

    return respond


async def _view(app: Application, doors: Doors, request: Request, visitor: Visitor, person: Person) -> View:
    app.glances.as_of(await app.state.erasures())
    return View(
        app=app, address=person.address, role=person.role, base=visitor.base,
        lang=app.email.language_of(person.address), zone=_zone(app, request),
        query=dict(request.query_params.multi_items()), path=request.path_params, now=app.clock(),
        csrf=await doors.token(person.identity),
    )  # fmt: skip


def _zone(app: Application, request: Request) -> ZoneInfo:
    """The zone that the address names, else that of the reader's browser, else that of the settings."""
    for name in (request.query_params.get("zone"), request.cookies.get("guardian-zone")):
        if name and len(name) <= 64:
            try:
                return ZoneInfo(name)
            except (KeyError, ValueError, OSError):  # no such zone; a name of another kind; a folder's name
                continue
    return ZoneInfo(app.settings.timezone)


def to_sign_in(request: Request, visitor: Visitor) -> Response:
    """A redirect to sign in, and back afterwards. A script gets 401, and then loads the page."""
    if request.method not in ("GET", "HEAD") or request.headers.get("sec-fetch-dest") == "empty":
        return Response("sign in first\n", 401, dict(PAGE_HEADERS), media_type="text/plain")
    path, root = str(request.scope["path"]), str(request.scope.get("root_path", ""))
    # Some servers hand on the path with the root_path, others without.
    path = path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else path
    path = quote(path or "/", safe=SAFE)
    wanted = f"{path}?{request.url.query}" if request.url.query else path
    return RedirectResponse(url(visitor.base, "/sign-in", next=None if wanted == "/" else wanted), 303, PAGE_HEADERS)


def with_headers(answer: Response) -> Response:
    """The same answer with what every page has around it."""
    for name, value in PAGE_HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def problem(
    app: Application, error: Refusal | StorageError, lang: Language, base: str, title: str = NOT_NOW, back: str = "/"
) -> Response:
    """The page of what could not be shown or done, and why."""
    if isinstance(error, StorageError):
        log.error("A page cannot be shown: %s", error)
        return _page(app, lang, base, 503, title, lang(AGAIN), back)
    said = error.said(lang)
    answer = _page(app, lang, base, error.status, title, said[:1].upper() + said[1:], back)
    answer.headers.update(error.headers or {})
    return answer


def _page(app: Application, lang: Language, base: str, status: int, title: str, text: str, back: str = "/") -> Response:
    values = {"title": lang(title), "text": text, "back": back, "app_label": app.settings.app_label}
    return page_answer("problem.html", lang, base, values, status=status)
