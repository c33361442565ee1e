"""Builds a message as bytes. Text from others can never inject a header."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import Parser
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import blake2b
from typing import Any

from guardian.core.bidi import one_line
from guardian.core.mail_address import split_mailbox, wire_address
from guardian.mail.headers import mailbox, unstructured

PACKING = 6
"""How hard gzip tries with an attachment: 9 takes five times as long for a tenth less."""
MAX_SUBJECT = 196
"""The most characters of a subject, not counting the "Re: " of later mails in the thread."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attached file; `kind` is its media type, such as text/csv. With `packed` it is gzipped."""

    name: str
    kind: str
    content: bytes
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Inline:
    """A PNG picture that the HTML shows as `cid:` and this id (RFC 2392)."""

    cid: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says. `html` is None for a mail in plain text; `inline` are the pictures that the HTML shows."""

    subject: str
    text: str
    html: str | None = None
    inline: Sequence[Inline] = ()
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True, slots=True)
class Thread:
    """A mail's thread: `root` is the Message-ID of its first mail, `first` whether this mail is that one."""

    root: str
    first: bool


def build_message(
    content: Content,
    *,
    sender: str,
    recipient: str,
    key: str,
    now: datetime,
    reply_to: str | None = None,
    thread: Thread | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The RFC 5322 message, lines ended by CRLF, with a text part and an HTML part (multipart/alternative).

    Its Message-ID is derived from `key`, so the same mail made again has the same bytes; X-Guardian-Id repeats it,
    since some services replace Message-IDs. It is marked as automatic (Auto-Submitted, RFC 3834), so that no vacation
    responder answers. An address whose name before the @ is not ASCII makes it a message for servers with SMTPUTF8 (RFC
    6532). Raises ValueError with one sentence for an invalid address, or if the finished bytes do not parse back to
    what was meant.
    """
    name, address = _mailbox(sender)
    own = blake2b(f"{key}\n{recipient}".encode(errors="surrogatepass"), digest_size=12).hexdigest()
    to = wire_address(recipient)
    meant: dict[str, str] = {
        "From": f"{name} <{address}>" if name else address,
        "To": to,
        "Subject": _cut(clean_line(content.subject)),
        "Date": format_datetime(now),
        "Message-ID": thread.root if thread and thread.first else message_id(own, address),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Guardian-Id": own,
        **(headers or {}),
    }
    wire = {"From": mailbox(name, "From", address), "To": mailbox("", "To", to)}
    if reply_to:
        meant["Reply-To"] = answers = wire_address(reply_to)
        wire["Reply-To"] = mailbox("", "Reply-To", answers)
    if thread and not thread.first:
        meant["In-Reply-To"] = meant["References"] = thread.root
    wire["Subject"] = unstructured("Subject", meant["Subject"])
    message = _body(content)
    for n, part in enumerate(part for part in message.walk() if part.is_multipart()):
        # "=_" occurs in no quoted-printable text (RFC 2045, 6.7), and the same mail made again is the same bytes.
        part.set_boundary(f"=_{own}.{n}")
    head = "".join(f"{header}: {wire.get(header, value)}\r\n" for header, value in meant.items())
    return _verified(head.encode() + message.as_bytes(), meant)


def _body(content: Content) -> EmailMessage:
    """The parts of the message, without the headers of the whole."""
    message = EmailMessage(policy=SMTP)
    message.set_content(_printable(content.text), cte="quoted-printable")
    if content.html is not None:
        message.add_alternative(_printable(content.html), subtype="html", cte="quoted-printable")
        page = list(message.iter_parts())[-1]
        for image in content.inline:
            page.add_related(image.content, "image", "png", cid=f"<{image.cid}>", disposition="inline")
    for each in content.attachments:
        main, _, sub = each.kind.partition("/")
        file = gzip.compress(each.content, PACKING, mtime=0) if each.packed else each.content
        message.add_attachment(file, maintype=main, subtype=sub, filename=each.name)
    return message


def _cut(subject: str) -> str:
    """The subject, shortened to MAX_SUBJECT; equally with a "Re: ", since mail programs group threads by subject."""
    again = "Re: " if subject.startswith("Re: ") else ""
    return again + subject.removeprefix(again)[:MAX_SUBJECT].rstrip()


def html_page(message: EmailMessage) -> str | None:
    """The HTML of a message with its pictures inside it (data: URLs), for a browser; None where it has no HTML."""
    part = message.get_body(("html",))
    if part is None:
        return None
    page: str = part.get_content()
    for image in message.walk():
        content = image.get_payload(decode=True)
        if image["Content-ID"] and isinstance(content, bytes):
            data = b64encode(content).decode()
            page = page.replace(
                f"cid:{image['Content-ID'].strip('<>')}", f"data:{image.get_content_type()};base64,{data}"
            )
    return page


def message_id(name: str, sender: str) -> str:
    """A Message-ID on the sender's domain."""
    return f"<{name}@{_mailbox(sender)[1].rpartition('@')[2]}>"


def without_reply_to(message: bytes) -> bytes:
    """The finished message without its Reply-To header, if it has one."""
    head, blank, body = message.partition(b"\r\n\r\n")
    return re.sub(rb"\r\nReply-To:[^\r\n]*(\r\n[ \t][^\r\n]*)*", b"", head, flags=re.IGNORECASE) + blank + body


def clean_line(text: str) -> str:
    """The text on one line, fit for a header.

    `=?` is split: Python 3.11.7 decodes an encoded word in a value that it is given, line breaks included
    (CVE-2024-6923), and writes what follows them as headers.
    """
    return " ".join(one_line(text).replace("=?", "= ?").split())


def _mailbox(text: str) -> tuple[str, str]:
    name, address = split_mailbox(text)
    return clean_line(name), wire_address(address)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _verified(data: bytes, meant: Mapping[str, str]) -> bytes:
    """The bytes, if their headers parse back to exactly what was meant."""
    head = data.partition(b"\r\n\r\n")[0].decode()  # a text: an address in another script is UTF-8 (RFC 6532)
    found = Parser(policy=SMTP).parsestr(head + "\r\n\r\n", headersonly=True)
    names = [name for name, _ in found.items() if not name.lower().startswith(("content-", "mime-version"))]
    if sorted(names) != sorted(meant):
        raise ValueError("the message would carry headers that nobody meant: it is not sent")
    raw = dict(found.raw_items())
    for name, value in meant.items():
        said = _mailbox_of(found[name], raw[name]) if name in _MAILBOXES else str(found[name])
        if " ".join(said.split()) != " ".join(value.split()):
            raise ValueError(f"the header {name} would not say what was meant: the message is not sent")
    return data


_MAILBOXES = ("From", "To", "Reply-To")


def _mailbox_of(header: Any, raw: str) -> str:
    """The address in an address header that has exactly one mailbox, else ""."""
    if len(header.addresses) != 1:
        return ""
    address, name = header.addresses[0].addr_spec, header.addresses[0].display_name
    words = raw.rpartition("<")[0].strip()
    if words.startswith("=?"):  # Python 3.11.7 puts a space between two of them in a name
        name = str(make_header(decode_header(words)))
    return f"{name} <{address}>" if name else str(address)
