"""Renders templates into answers, with what every dashboard page, signed in or not, has around its content."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from jinja2 import Environment
from starlette.responses import HTMLResponse

from guardian.core.language import Language
from guardian.core.templates import environment
from guardian.web.endpoint import HEADERS
from guardian.web.pages.assets import assets
from guardian.web.pages.page import url

PAGE_HEADERS: Mapping[str, str] = {
    **HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Robots-Tag": "noindex",
}
"""The headers of every page: nothing from other hosts, nothing inline, no framing, no caching, no referrer."""

FRAMING_HEADERS: Mapping[str, str] = {
    **PAGE_HEADERS,
    "Content-Security-Policy": PAGE_HEADERS["Content-Security-Policy"] + "; frame-src 'self'",
}
"""The same on a page that shows another one of ours in a frame."""


@cache
def web_templates() -> Environment:
    """The templates of pages: all of them are escaped."""
    return environment("web")


def _asset(base: str, name: str) -> str:
    return f"{base}/static/{assets()[name].name}"


def render(template: str, lang: Language, base: str, values: Mapping[str, Any]) -> str:
    """The HTML of a page. Beside `values` a template has `url(path, **query)`, `asset(name)`, `_` and `lang`."""
    shown = {"view": None, "nav": (), "here": "", "title": "Guardian", "app_label": "", "may_leave": False} | dict(
        values
    )
    helpers = {"url": partial(url, base), "asset": partial(_asset, base), "base": base, "lang": lang, "_": lang}
    return web_templates().get_template(template).render({**shown, **helpers})


def page_answer(
    template: str,
    lang: Language,
    base: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The same as an answer."""
    text = render(template, lang, base, values)
    # A name may hold half of a surrogate pair, which UTF-8 has no bytes for.
    answer = HTMLResponse(text.encode("utf-8", "replace"), status, {**PAGE_HEADERS, **(headers or {})})
    answer.headers["Content-Language"] = lang.code
    return answer
