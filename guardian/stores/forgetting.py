"""Removing people from a written message, at the places where its notes say it names them. Pure. Addresses without a
note, as in mails of older versions and in companion reports, are found by text search; other names are never searched
for, since a name may be any word.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from base64 import encodebytes
from binascii import a2b_base64
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from email import message_from_bytes, policy
from email.charset import SHORTEST, Charset
from email.header import Header
from email.message import Message
from email.quoprimime import body_encode as quoted_encode

from guardian.core.mentions import ERASED, Mention, without
from guardian.core.outgoing import Outgoing
from guardian.stores.erasure import digest

PACKED, _MAGIC = "application/gzip", b"\x1f\x8b"
_VERBATIM = policy.SMTP.clone(refold_source="none")
_SUBJECT = re.compile(rb"(?im)^Subject:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*")
_REPLY_TO = re.compile(rb"(?im)^Reply-To:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n")
_BASE64 = re.compile(
    rb"(?i)\nContent-Transfer-Encoding:[ \t]*base64[ \t]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n([A-Za-z0-9+/=\r\n]+)"
)
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


def message_without(message: Outgoing, people: Collection[str]) -> Outgoing:
    """The message without these people; the same object if it names none of them. Everything else stays: a mail keeps
    its Message-ID and other headers.
    """
    subject, _ = _text_without(message.subject, message.people, "subject", people)
    subject = _addresses_out(subject, people)
    if message.channel == "mail":
        body, left = _mail_without(message, subject, people)
    else:
        body, left = _channel_without(message, people)
    if body == message.body and subject == message.subject:
        return message
    kept = [each for each in left if each.name not in people]
    return replace(message, subject=subject, body=body, people=tuple(kept))


def may_name(message: Outgoing, noted: bytes, people: Collection[str]) -> bool:
    """A cheap test whether the message may name one of these people; `noted` is the JSON of its notes. Most messages
    name none, and parsing each would take long."""
    if not all(map(_is_plain, people)) or any(f'"{name}"'.encode() in noted for name in people):
        return True
    addresses = [name.lower().encode() for name in people if "@" in name]
    if not addresses:
        return False
    if any(name in message.subject.lower().encode("utf-8", "surrogatepass") for name in addresses):
        return True
    # Quoted-printable (RFC 2045, 6.7): a soft line break is = at the end of a line.
    seen = message.body.replace(b"=\r\n", b"").replace(b"<wbr>", b"").lower()
    if any(name in seen for name in addresses):
        return True
    decoded = (_unpacked(a2b_base64(found.group(1))).lower() for found in _BASE64.finditer(message.body))
    return any(name in text for text in decoded for name in addresses)


def may_say(text: str, people: Collection[str]) -> bool:
    """The same for JSON text: whether it may contain one of these people."""
    said = text.lower()
    return any(not _is_plain(name) or name.lower() in said for name in people)


def _is_plain(name: str) -> bool:
    """Whether a name is the same text in every encoding."""
    return name.isascii() and name.isprintable() and not set('="\\<&>') & set(name)


def _text_without(
    text: str, mentions: Sequence[Mention], part: str, people: Collection[str]
) -> tuple[str, list[Mention]]:
    """The text of a part without these people, and the new places where it names others."""
    mine = sorted((m for m in mentions if m.part == part), key=lambda mention: mention.start)
    if not any(m.name in people for m in mine):
        return text, mine
    whole, others = without(text, mine, people)
    return whole, [Mention(name, part, start, end) for name, start, end in others]


def _addresses_out(text: str, people: Collection[str]) -> str:
    for name in people:
        if "@" in name and name.casefold() in text.replace("<wbr>", "").casefold():
            # bob@example.com is not found in jbob@example.com, nor in bob@example.com.au
            spelled = re.sub(r"([@./_]|\\-)", r"\1(?:<wbr>)?", re.escape(name))  # as narrow columns of HTML have it
            found = re.compile(rf"(?<![\w.+-]){spelled}(?![\w-]|\.\w)", re.IGNORECASE)
            # Line by line: on a whole table of thousands of rows the expression is slow.
            first = re.split("[@._/-]", name)[0].casefold()
            lines = text.split("\n")
            text = "\n".join(found.sub(ERASED, line) if first in line.casefold() else line for line in lines)
    return text


def _channel_without(message: Outgoing, people: Collection[str]) -> tuple[bytes, list[Mention]]:
    try:
        said = json.loads(message.body)
    except ValueError:
        return message.body, list(message.people)
    changed, left = dict(said), [m for m in message.people if m.part == "subject"]
    for part in ("title", "text"):
        if isinstance(said.get(part), str):
            changed[part], others = _text_without(said[part], message.people, part, people)
            changed[part] = _addresses_out(changed[part], people)
            left += others
    return (message.body if changed == said else json.dumps(changed, ensure_ascii=False).encode()), left


def _mail_without(message: Outgoing, subject: str, people: Collection[str]) -> tuple[bytes, list[Mention]]:
    _, left = _text_without(message.subject, message.people, "subject", people)
    blocks = _Blocks(message.body)
    mail = message_from_bytes(blocks.rest, policy=_VERBATIM)
    changed = False
    for place, part in enumerate(mail.walk()):
        if part.get_content_maintype() != "text" and part.get_content_type() != PACKED:
            continue
        before = _content(part, blocks)
        text, others = _text_without(before, message.people, str(place), people)
        text = _addresses_out(text, people)
        left += others
        if text != before:
            _set_content(part, text, blocks)
            changed = True
    body = blocks.back(mail.as_bytes()) if changed else message.body
    if subject != message.subject:
        body = _with_subject(body, message.subject, subject)
    replies = [m for m in message.people if m.part == "Reply-To"]
    if any(m.name in people for m in replies):
        body = _in_headers(body, lambda head: _REPLY_TO.sub(b"", head, count=1))
    else:
        left += replies
    return body, left


def _is_packed(content: bytes) -> bool:
    return content.startswith(_MAGIC)


def _unpacked(content: bytes) -> bytes:
    """The unpacked content of a gzipped file; other content unchanged."""
    try:
        return gzip.decompress(content) if _is_packed(content) else content
    except (OSError, EOFError, zlib.error):  # it only looks gzipped
        return content


class _Blocks:
    """The base64 parts of a mail, taken out, since the email package parses them line by line. In `rest` a placeholder
    stands for each; `texts` are their contents.
    """

    def __init__(self, body: bytes) -> None:
        self._name = digest(body).hex()
        self._blocks: dict[str, bytes] = {}
        self.texts: dict[str, bytes] = {}
        self.rest = _BASE64.sub(self._out, body)

    def _out(self, found: re.Match[bytes]) -> bytes:
        name = f"{self._name}-{len(self._blocks)}-"
        self._blocks[name] = found.group(1)
        self.texts[name] = _unpacked(a2b_base64(found.group(1)))
        start = found.start()
        return found.group()[: found.start(1) - start] + name.encode() + b"\r\n"

    def put(self, name: str, text: bytes) -> None:
        """Replace a part's text; a gzipped part stays gzipped."""
        if _is_packed(a2b_base64(self._blocks[name])):
            text = gzip.compress(text, mtime=0)
        self._blocks[name] = encodebytes(text).replace(b"\n", b"\r\n")

    def back(self, rest: bytes) -> bytes:
        """The mail with its parts put back."""
        for name, block in self._blocks.items():
            rest = rest.replace(name.encode() + b"\r\n", block, 1)
        return rest


def _content(part: Message, blocks: _Blocks) -> str:
    """The text of a part as it was written: base64 keeps its line ends, other encodings use those of mail."""
    payload = str(part.get_payload())
    if payload.strip() in blocks.texts:
        return blocks.texts[payload.strip()].decode("utf-8", "replace")
    content = part.get_payload(decode=True)
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
    return text if _encoding(part) == "base64" else text.replace("\r\n", "\n")


def _encoding(part: Message) -> str:
    return str(part.get("Content-Transfer-Encoding", "")).lower()


def _set_content(part: Message, text: str, blocks: _Blocks) -> None:
    """Replace a part's text, keeping its encoding."""
    content = text.encode()
    encoding, name = _encoding(part), str(part.get_payload()).strip()
    if name in blocks.texts:
        blocks.put(name, content)
    elif encoding == "base64":
        part.set_payload(encodebytes(content).decode("ascii"))
    elif encoding == "quoted-printable":
        part.set_payload(quoted_encode(content.decode("latin-1")))
    else:
        part.set_payload(content.decode("ascii", "replace") if encoding in ("", "7bit") else text)


def _with_subject(body: bytes, old: str, new: str) -> bytes:
    """The mail with another subject, keeping a "Re: "."""
    header = str(message_from_bytes(body, policy=policy.default)["Subject"] or "")
    said = f"Re: {new}" if header.startswith("Re: ") and not old.startswith("Re: ") else new
    charset = Charset("utf-8")
    charset.header_encoding = SHORTEST
    plain = said.isascii() and len(said) <= 66
    line = said if plain else Header(said[:200], charset, header_name="Subject").encode(linesep="\r\n")
    return _in_headers(body, lambda head: _SUBJECT.sub(lambda _: f"Subject: {line}".encode("ascii"), head, count=1))


def _in_headers(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    end = _END_OF_HEADERS.search(body)
    at = end.end() if end else len(body)
    return change(body[:at]) + body[at:]
