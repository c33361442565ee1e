"""Taking people out of a message that was written: where its notes say that it names them. Pure.

An address that stands somewhere without a note, as in mails of an older version and in what companion reports say, is
found as a text; no other name is ever searched for, since a name may be any word.
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
    """The message without these people; the very same where it names none of them.

    All else stays as it is: a mail keeps its Message-ID and its other headers.
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
    """Whether a look that costs little finds that the message may name one of these people; `noted` is the JSON of its
    notes. Most messages name nobody of them, and to take each apart takes long."""
    if not all(map(_is_plain, people)) or any(f'"{name}"'.encode() in noted for name in people):
        return True
    addresses = [name.lower().encode() for name in people if "@" in name]
    if not addresses:
        return False
    if any(name in message.subject.lower().encode("utf-8", "surrogatepass") for name in addresses):
        return True
    # Quoted-printable (RFC 2045, 6.7): lines that go on end with =.
    seen = message.body.replace(b"=\r\n", b"").replace(b"<wbr>", b"").lower()
    if any(name in seen for name in addresses):
        return True
    decoded = (_unpacked(a2b_base64(found.group(1))).lower() for found in _BASE64.finditer(message.body))
    return any(name in text for text in decoded for name in addresses)


def may_say(text: str, people: Collection[str]) -> bool:
    """The same of a text that is JSON: whether one of these people may stand in it."""
    said = text.lower()
    return any(not _is_plain(name) or name.lower() in said for name in people)


def _is_plain(name: str) -> bool:
    """Whether a name is written in every encoding as it is."""
    return name.isascii() and name.isprintable() and not set('="\\<&>') & set(name)


def _text_without(
    text: str, mentions: Sequence[Mention], part: str, people: Collection[str]
) -> tuple[str, list[Mention]]:
    """The text of a part without these people, and where it names the others now."""
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
            # Line by line, since the expression alone takes long for a table of thousands.
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
    """What is packed in a file, or the content as it is."""
    try:
        return gzip.decompress(content) if _is_packed(content) else content
    except (OSError, EOFError, zlib.error):  # it only begins like one
        return content


class _Blocks:
    """The parts of a mail in base64, taken out: the email package goes through a table of thousands line by line.

    In the place of each stands a name, in `rest`; `texts` are what they hold.
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
        """Let a part hold another text; one that is packed stays so."""
        if _is_packed(a2b_base64(self._blocks[name])):
            text = gzip.compress(text, mtime=0)
        self._blocks[name] = encodebytes(text).replace(b"\n", b"\r\n")

    def back(self, rest: bytes) -> bytes:
        """The mail with its parts in their places again."""
        for name, block in self._blocks.items():
            rest = rest.replace(name.encode() + b"\r\n", block, 1)
        return rest


def _content(part: Message, blocks: _Blocks) -> str:
    """The text of a part, as it was written: base64 keeps its ends of lines, everything else goes by those of mails."""
    payload = str(part.get_payload())
    if payload.strip() in blocks.texts:
        return blocks.texts[payload.strip()].decode("utf-8", "replace")
    content = part.get_payload(decode=True)
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
    return text if _encoding(part) == "base64" else text.replace("\r\n", "\n")


def _encoding(part: Message) -> str:
    return str(part.get("Content-Transfer-Encoding", "")).lower()


def _set_content(part: Message, text: str, blocks: _Blocks) -> None:
    """Give a part another text in the encoding that it has."""
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
    """The mail with another subject, "Re: " before it as before."""
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
