"""Pages of the dashboard as somebody who is signed in sees them, without the signing in."""

from zoneinfo import ZoneInfo

from starlette.responses import Response
from starlette.routing import compile_path

from guardian.core.language import language
from guardian.web.pages import PAGES
from guardian.web.pages.page import View
from guardian.web.pages.rendering import page_answer


def view_of(app, path, *, lang="en", role="admin", zone="Europe/Zurich", base="", **query):
    """The page at this path, and the view that it is given."""
    for page in PAGES:
        pattern, _, _ = compile_path(page.path)
        if found := pattern.match(path):
            break
    else:
        raise LookupError(path)
    view = View(
        app=app, address="admin@example.com", role=role, base=base, lang=language(lang), zone=ZoneInfo(zone),
        query=query, path=found.groupdict(), now=app.clock(), csrf="a token",
    )  # fmt: skip
    return page, view


async def look(app, path, **more):
    """The answer that the page gives."""
    page, view = view_of(app, path, **more)
    values = await page.run(view)
    if isinstance(values, Response):
        return values
    nav = [p for p in PAGES if p.nav and (view.may_act or not p.admins)]
    around = {"view": view, "nav": nav, "here": page.path, "title": view.lang(page.title),
              "app_label": "", "may_leave": True}  # fmt: skip
    return page_answer(page.template, view.lang, view.base, {**around, **values})


async def text_of(app, path, **more):
    """Its HTML."""
    return (await look(app, path, **more)).body.decode()


async def post(app, path, form, **more):
    """Where a form of the page leads, once it was done."""
    page, view = view_of(app, path, **more)
    return await page.act(view, form)
