"""A mail as it was sent: its headers, its text, and its HTML as a page of its own that can do nothing. Pure."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage

POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; "
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
"""Of the framed mail: its style and its own pictures, no script, no form, nothing from another address."""

_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_ELSEWHERE = '<base target="_blank">'
"""Links open a page of their own: the frame shows nothing but the mail."""


@dataclass(frozen=True, slots=True)
class SentMail:
    """The parts of a mail: `headers` in their order, `text` and `html` ("" where there is none), and the `files` that
    are attached, each a name and its size in bytes."""

    headers: tuple[tuple[str, str], ...]
    text: str
    html: str
    files: tuple[tuple[str, int], ...]


def read_mail(body: bytes) -> SentMail:
    """The parts of a whole RFC 5322 message; the pictures of the HTML are put into it."""
    message = message_from_bytes(body, policy=policy.default)
    assert isinstance(message, EmailMessage)
    text = html = ""
    pictures: dict[str, str] = {}
    files: list[tuple[str, int]] = []
    for part in message.walk():
        if part.is_multipart():
            continue
        kind, disposition = part.get_content_type(), part.get_content_disposition()
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        if disposition == "attachment":
            files.append((part.get_filename() or kind, len(data)))
        elif kind == "text/html" and not html:
            html = _decoded(data, part.get_content_charset())
        elif kind == "text/plain" and not text:
            text = _decoded(data, part.get_content_charset())
        elif kind.startswith("image/") and part["Content-ID"]:
            encoded = base64.b64encode(data).decode("ascii")
            pictures[part["Content-ID"].strip().strip("<>")] = f"data:{kind};base64,{encoded}"
    html = re.sub(r"cid:([^\"'>\s]+)", lambda found: pictures.get(found[1], "data:,"), html)
    html = _HEAD.sub(r"\g<0>" + _ELSEWHERE, html, count=1)
    headers = tuple((name, str(value)) for name, value in message.items())
    return SentMail(headers, text, html, tuple(files))


def _decoded(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8", "replace")
    except LookupError:  # no charset that there is: the row is damaged
        return data.decode("utf-8", "replace")
