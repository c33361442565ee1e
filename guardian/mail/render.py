"""Renders templates: Jinja with escaping for HTML, and styles inlined for mail programs."""

from __future__ import annotations

import re
from collections.abc import Sized
from functools import cache
from textwrap import fill
from typing import Any

import css_inline
from jinja2 import Environment, pass_environment
from jinja2.filters import do_wordwrap
from markupsafe import Markup, escape

from guardian.core.bidi import FIRST_STRONG, POP
from guardian.core.language import Language
from guardian.core.mentions import plain, shortening, wrapping
from guardian.core.templates import environment


@cache
def mail_templates() -> Environment:
    """The Jinja environment for mails, with the filters `cut`, `flow` and `breakable`, and replacements for Jinja's
    filters that count characters."""
    found = environment("mail")
    found.filters.update(cut=cut, flow=flow, breakable=breakable, wordwrap=wordwrap, length=length)
    return found


def cut(text: str, width: int) -> str:
    """The text in at most `width` characters, for a plain-text column. The middle is removed, since similar routes and
    addresses differ at their ends."""
    tail = (width - 1) // 2
    return shortening(
        text, lambda whole: whole if len(whole) <= width else whole[: width - 1 - tail] + "…" + whole[-tail:]
    )


def breakable(text: str) -> Markup:
    """The text as HTML with allowed line breaks after each of `@ . / _ -`, for narrow columns."""
    return Markup(re.sub(r"([@./_-])(?=\w)", r"\1<wbr>", str(escape(text))))


def flow(text: str, hang: int = 0) -> str:
    """The text in lines of at most 78 characters; all but the first begin with `hang` blanks."""
    return wrapping(text, lambda whole: fill(whole, 78, subsequent_indent=" " * hang, break_on_hyphens=False))


@pass_environment
def wordwrap(found: Environment, text: str, width: int, wrapstring: str) -> str:
    """Jinja's `wordwrap` that ignores the marks around names."""
    return wrapping(text, lambda whole: do_wordwrap(found, whole, width, wrapstring=wrapstring))


def length(value: Sized) -> int:
    """The length of the value without the marks around names."""
    return len(plain(value)) if isinstance(value, str) else len(value)


def render(name: str, lang: Language, **values: Any) -> tuple[str, str]:
    """The mail `name` as (HTML, plain text), from `name`.html and `name`.txt; in templates `_` translates."""
    given = {"lang": lang, "_": lang, **values}
    # Imported macros do not see the caller's values, so what all need is global.
    html = mail_templates().get_template(f"{name}.html").render(given)
    text = mail_templates().get_template(f"{name}.txt").render(given)
    return inlined(_set_apart(html)), re.sub(r"\n{3,}", "\n\n", re.sub(r" +\n", "\n", text)).strip() + "\n"


def _set_apart(html: str) -> str:
    """The page with the isolates in its text replaced by `<bdi>`; in attributes and the title, where elements are
    impossible, they stay."""

    def element(found: re.Match[str]) -> str:
        return {FIRST_STRONG: "<bdi>", POP: "</bdi>"}.get(found[0], found[0])

    return re.sub(f"<title>.*?</title>|<[^>]*>|[{FIRST_STRONG}{POP}]", element, html, flags=re.DOTALL)


def is_whole(html: str) -> bool:
    """Whether Gmail shows the whole mail: it clips HTML after 102 kB."""
    return len(html.encode(errors="replace")) < 100_000


def inlined(html: str) -> str:
    """The same page with its styles on the elements (mail programs drop style sheets), media queries kept."""
    page = _INLINER.inline(html)
    # It puts the queries first; a browser looks for the encoding in the first 1,024 bytes (HTML standard, 4.2.5.4).
    page = re.sub(r"(<head>)(<style>.*?</style>)(.*?)(</head>)", r"\1\3\2\4", page, count=1, flags=re.DOTALL)
    return re.sub(r"\n\s*\n+", "\n", page)


_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False, keep_at_rules=True)
