"""Templates into text: Jinja with escaping wherever HTML is written, styles inlined for mail programs."""

from __future__ import annotations

import re
from functools import cache
from textwrap import fill
from typing import Any

import css_inline
from jinja2 import Environment
from markupsafe import Markup, escape

from guardian.core.language import Language
from guardian.core.templates import environment


@cache
def mail_templates() -> Environment:
    """The templates of mails, with the filters `cut`, `flow` and `breakable`."""
    found = environment("mail")
    found.filters.update(cut=cut, flow=flow, breakable=breakable)
    return found


def cut(text: str, width: int) -> str:
    """The text in at most so many characters, for a column of plain text; its middle goes, since routes and addresses
    that begin alike differ at their ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + text[-tail:]


def breakable(text: str) -> Markup:
    """The text as HTML that may break after each of `@ . / _ -`, rather than anywhere, where its column is narrow."""
    return Markup(re.sub(r"([@./_-])(?=\w)", r"\1<wbr>", str(escape(text))))


def flow(text: str, hang: int = 0) -> str:
    """The text in lines of at most 78 characters; all but the first begin with `hang` blanks."""
    return fill(text, 78, subsequent_indent=" " * hang, break_on_hyphens=False)


def render(name: str, lang: Language, **values: Any) -> tuple[str, str]:
    """The mail `name` as (HTML, plain text), from `name`.html and `name`.txt; in templates `_` translates."""
    given = {"lang": lang, "_": lang, **values}
    # Macros are imported without the caller's values, so what they all need is global.
    html = mail_templates().get_template(f"{name}.html").render(given)
    text = mail_templates().get_template(f"{name}.txt").render(given)
    return inlined(html), re.sub(r"\n{3,}", "\n\n", re.sub(r" +\n", "\n", text)).strip() + "\n"


def is_whole(html: str) -> bool:
    """Whether Gmail shows all of a mail: no more than the first 102 kB of its HTML."""
    return len(html.encode(errors="replace")) < 100_000


def inlined(html: str) -> str:
    """The same page with its styles on the elements (mail programs drop style sheets), media queries kept."""
    page = _INLINER.inline(html)
    return re.sub(r"\n\s*\n+", "\n", page)


_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False, keep_at_rules=True)
