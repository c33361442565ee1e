"""Finds where a finished message names people: the marks around names become positions, which the outbox stores."""

from __future__ import annotations

import html as pages
import re
from collections.abc import Callable
from dataclasses import replace

from guardian.core.mentions import Mention, unmarked
from guardian.mail.message import Content, clean_line

_BREAK = re.compile(r"<wbr\s*/?>")


def _in_html(written: str) -> str:
    return pages.unescape(_BREAK.sub("", written))


def _in_csv(written: str) -> str:
    return written.replace('""', '"')


def shown_in_mail(content: Content) -> tuple[Content, tuple[Mention, ...]]:
    """The content as readers see it, and where it names people: in which part of the message that `build_message` makes
    of it, and at which characters."""
    people: list[Mention] = []

    def part(place: str, written: str, read: Callable[[str], str] = str) -> str:
        whole, spans = unmarked(written, read)
        people.extend(Mention(name, place, start, end) for start, end, name in spans)
        return whole

    # multipart/mixed is there with attachments, multipart/alternative with HTML, multipart/related with pictures.
    pictured = bool(content.inline)
    first = bool(content.attachments) + (content.html is not None)
    html = None if content.html is None else part(str(first + 1 + pictured), content.html, _in_html)
    own = first + (0 if html is None else 1 + pictured + pictured)
    files = [
        replace(each, content=part(str(own + 1 + n), each.content.decode("utf-8"), _in_csv).encode())
        for n, each in enumerate(content.attachments)
    ]
    subject, text = part("subject", clean_line(content.subject)), part(str(first), content.text)
    return Content(subject, text, html, content.inline, files), tuple(people)


def shown_in_channel(title: str, text: str) -> tuple[tuple[str, str], tuple[Mention, ...]]:
    """The same for the title and the text of a channel's message."""
    shown, people = [], list[Mention]()
    for key, written in (("title", clean_line(title)), ("text", text)):
        whole, spans = unmarked(written)
        people.extend(Mention(name, key, start, end) for start, end, name in spans)
        shown.append(whole)
    return (shown[0], shown[1]), tuple(people)
