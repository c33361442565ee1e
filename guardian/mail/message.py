"""A finished message as bytes, in which nothing that somebody else chose can add a header."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.charset import SHORTEST, Charset
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from hashlib import blake2b

MAX_SUBJECT = 200
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
"""What HTML calls a valid e-mail address (HTML standard, 4.10.5.1.5): no quotes, no comments, no line breaks."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along; `kind` is its media type, such as text/csv."""

    name: str
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Inline:
    """A PNG picture that the HTML shows as `cid:` and this id (RFC 2392)."""

    cid: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a mail belongs: `root` is the Message-ID that its thread begins with, `first` whether it is this one."""

    root: str
    first: bool


def build_message(
    *,
    sender: str,
    recipient: str,
    subject: str,
    text: str,
    html: str | None,
    key: str,
    now: datetime,
    reply_to: str | None = None,
    thread: Thread | None = None,
    headers: Mapping[str, str] | None = None,
    inline: Sequence[Inline] = (),
    attachments: Sequence[Attachment] = (),
) -> bytes:
    """The RFC 5322 message, lines ended by CRLF, with a text part and an HTML part (multipart/alternative).

    Its Message-ID follows from `key`, so that the same mail made again is the same bytes; X-Guardian-Id repeats it,
    since some services replace Message-IDs. It says that it was made by a machine (Auto-Submitted, RFC 3834), so that
    nobody's holiday notice answers. Raises ValueError with one sentence for an address that is none, or where the
    finished bytes do not read back as what was meant.
    """
    name, address = _mailbox(sender)
    own = blake2b(f"{key}\n{recipient}".encode(errors="surrogatepass"), digest_size=12).hexdigest()
    meant: dict[str, str] = {
        "From": f"{name} <{address}>" if name else address,
        "To": check_address(recipient),
        "Subject": clean_line(subject)[:MAX_SUBJECT],
        "Date": format_datetime(now),
        "Message-ID": thread.root if thread and thread.first else message_id(own, address),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Guardian-Id": own,
        **(headers or {}),
    }
    if reply_to:
        meant["Reply-To"] = check_address(reply_to)
    if thread and not thread.first:
        meant["In-Reply-To"] = meant["References"] = thread.root
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(name, addr_spec=address)
    for header in ("To", "Reply-To", "Date"):
        if header in meant:
            message[header] = meant[header]
    message.set_content(_printable(text), cte="quoted-printable")
    if html is not None:
        message.add_alternative(_printable(html), subtype="html", cte="quoted-printable")
        page = list(message.iter_parts())[-1]
        for image in inline:
            page.add_related(image.content, "image", "png", cid=f"<{image.cid}>", disposition="inline")
    for each in attachments:
        main, _, sub = each.kind.partition("/")
        message.add_attachment(each.content, maintype=main, subtype=sub, filename=each.name)
    for n, part in enumerate(part for part in message.walk() if part.is_multipart()):
        # "=_" occurs in no quoted-printable text (RFC 2045, 6.7), and the same mail made again is the same bytes.
        part.set_boundary(f"=_{own}.{n}")
    lines = [f"{header}: {_wire(header, value)}\r\n" for header, value in meant.items() if header not in _STRUCTURED]
    return _verified("".join(lines).encode("ascii") + message.as_bytes(), meant)


_STRUCTURED = {"From", "To", "Reply-To", "Date"}


def _wire(header: str, value: str) -> str:
    """The value of an unstructured header as it goes over the wire.

    Python 3.11.7's policies would make an encoded word of a long address (List-Unsubscribe), which no mail program
    reads, and lose a space where a long subject is folded. `Header` is the older way (RFC 2047), and keeps it.
    """
    if header == "Subject" and not (value.isascii() and len(value) <= 66):
        return Header(value, _utf8(), header_name=header).encode(linesep="\r\n")
    return value


def _utf8() -> Charset:
    """UTF-8 in the encoding that is shorter, whatever the process has made of Python's default (Apprise changes it)."""
    charset = Charset("utf-8")
    charset.header_encoding = SHORTEST
    return charset


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


def check_address(text: str) -> str:
    """The one address that the text is. Raises ValueError for anything else."""
    if len(text) > 254 or not _ADDRESS.fullmatch(text):
        raise ValueError(f"{clean_line(text)[:80]!r} is not an e-mail address")
    return text


def one_line(text: str) -> str:
    """The text on one line, without control characters, marks that turn text round, and lone surrogates."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def clean_line(text: str) -> str:
    """The text on one line, fit for a header.

    `=?` is pulled apart: Python 3.11.7 decodes an encoded word in a value that it is given, line breaks and all
    (CVE-2024-6923), and writes what follows them as headers.
    """
    return " ".join(one_line(text).replace("=?", "= ?").split())


def _mailbox(text: str) -> tuple[str, str]:
    name, address = parseaddr(text)
    return clean_line(name), check_address(address)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _verified(data: bytes, meant: Mapping[str, str]) -> bytes:
    """The bytes, if their headers read back as what was meant, each once, and nothing beside them."""
    found = BytesParser(policy=SMTP).parsebytes(data, headersonly=True)
    names = [name for name, _ in found.items() if not name.lower().startswith(("content-", "mime-version"))]
    if sorted(names) != sorted(meant):
        raise ValueError("the message would carry headers that nobody meant: it is not sent")
    for name, value in meant.items():
        if name != "From" and " ".join(str(found[name]).split()) != " ".join(value.split()):
            raise ValueError(f"the header {name} would not say what was meant: the message is not sent")
    return data
