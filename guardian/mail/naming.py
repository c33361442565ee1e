"""Finds where a finished message names people: the marks around names become positions, which the outbox stores."""

from __future__ import annotations

import html as pages
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from guardian.core.mentions import Mention, unmarked
from guardian.mail.message import Attachment, clean_line

_BREAK = re.compile(r"<wbr\s*/?>")


def _in_html(written: str) -> str:
    return pages.unescape(_BREAK.sub("", written))


def _in_csv(written: str) -> str:
    return written.replace('""', '"')


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of a mail as readers see them, and where they name people."""

    subject: str
    text: str
    html: str | None
    attachments: tuple[Attachment, ...]
    people: tuple[Mention, ...]

    @classmethod
    def of(
        cls,
        subject: str,
        text: str,
        html: str | None,
        attachments: Sequence[Attachment] = (),
        *,
        pictured: bool = False,
    ) -> Shown:
        """Removes the marks from these parts. `pictured` means that the HTML part has inline pictures. Positions refer
        to the parts of the message as `build_message` builds it.
        """
        people: list[Mention] = []

        def part(place: str, written: str, read: Callable[[str], str] = str) -> str:
            whole, spans = unmarked(written, read)
            people.extend(Mention(name, place, start, end) for start, end, name in spans)
            return whole

        # multipart/mixed is there with attachments, multipart/alternative with HTML, multipart/related with pictures.
        first = bool(attachments) + (html is not None)
        plain_html = None if html is None else part(str(first + 1 + pictured), html, _in_html)
        own = first + (0 if html is None else 1 + pictured + pictured)
        files = [
            replace(each, content=part(str(own + 1 + n), each.content.decode("utf-8"), _in_csv).encode())
            for n, each in enumerate(attachments)
        ]
        shown = part("subject", clean_line(subject))
        return cls(shown, part(str(first), text), plain_html, tuple(files), tuple(people))


def shown_in_channel(title: str, text: str) -> tuple[tuple[str, str], tuple[Mention, ...]]:
    """The same for the title and the text of a channel's message."""
    shown, people = [], list[Mention]()
    for key, written in (("title", clean_line(title)), ("text", text)):
        whole, spans = unmarked(written)
        people.extend(Mention(name, key, start, end) for start, end, name in spans)
        shown.append(whole)
    return (shown[0], shown[1]), tuple(people)
