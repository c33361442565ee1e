"""Mail addresses: the one grammar of what may be configured, written into a message and given to a mail server.

Local parts may be in any script (RFC 6531), domains too (IDNA, RFC 5890). Quoted local parts, address literals and
comments are refused: few mail programs accept them, and they smuggle things past whoever checks addresses.
"""

from __future__ import annotations

import json
import re
import unicodedata

MAX_LOCAL, MAX_LABEL, MAX_ADDRESS = 64, 63, 254
"""Bytes as they go over the wire: RFC 5321, section 4.5.3.1, with its erratum 1690; RFC 1035, section 2.3.4."""
_ASCII_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible characters that count as letters, marks or symbols (Unicode's Default_Ignorable_Code_Point)."""


class NoAddress(ValueError):
    """The text is no mail address that a message can be sent to; the sentence says why, and the cure."""


def check_address(text: str) -> str:
    """The one address that the text is, in Unicode's composed form (NFC). Raises NoAddress for anything else."""
    shown = json.dumps(_safe(text)[:80], ensure_ascii=False)
    if any(_unseen(each) for each in text):
        raise NoAddress(
            f"{shown} is not a mail address: it has a character that cannot be seen; type it anew, as you@example.com"
        )
    address = unicodedata.normalize("NFC", text)
    if why := _fault(address):
        raise NoAddress(f"{shown} is not a mail address: {why}")
    return address


def _fault(address: str) -> str | None:
    """What is wrong with it, and the cure; None if it is valid."""
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or "@" in local or re.search(r"\s", address):
        return "write it as you@example.com"
    if not _ASCII_LOCAL.fullmatch("".join(each for each in local if each.isascii())):
        return "quotes, brackets, commas, colons and backslashes cannot stand in it; write it as you@example.com"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "what stands before the @ begins or ends with a dot, or has two in a row; remove it"
    if len(local.encode()) > MAX_LOCAL:
        return f"what stands before the @ is longer than {MAX_LOCAL} bytes; check it"
    try:
        ascii_domain = wire_domain(domain)
    except ValueError as error:
        return str(error)
    if len(local.encode()) + 1 + len(ascii_domain) > MAX_ADDRESS:
        return f"it is longer than {MAX_ADDRESS} bytes; check it"
    return None


def wire_domain(domain: str) -> str:
    """The domain in ASCII, as DNS and mail servers know it: labels in other scripts become IDNA's `xn--…`.

    Raises ValueError that says what is wrong and the cure, to be put after the domain or the address.
    """
    if not domain.isascii():
        import idna  # 10 ms, for those who need it

        try:
            domain = idna.encode(domain, uts46=True, transitional=False).decode()
        except UnicodeError:  # idna.IDNAError is one
            raise ValueError("IDNA does not know its domain; write the domain in its xn-- form") from None
    for label in domain.split("."):
        if not label:
            return _refuse("its domain has an empty part: a dot too many; remove it")
        if len(label) > MAX_LABEL:
            return _refuse(f"a part of its domain is longer than {MAX_LABEL} bytes; check it")
        if not _LABEL.fullmatch(label):
            return _refuse("its domain has more than letters, digits and inner hyphens; write it as you@example.com")
    if len(domain) > MAX_ADDRESS - 1:
        return _refuse(f"its domain is longer than {MAX_ADDRESS - 1} bytes; check it")
    return domain


def _refuse(why: str) -> str:
    raise ValueError(why)


def wire_address(address: str) -> str:
    """The address as it goes over the wire: its domain in ASCII, what stands before the @ as it is.

    Raises NoAddress for a text that is none. The result is ASCII unless the server must know SMTPUTF8 (RFC 6531).
    """
    local, _, domain = check_address(address).rpartition("@")
    return f"{local}@{wire_domain(domain)}"


def split_mailbox(text: str) -> tuple[str, str]:
    """The display name, "" for none, and the address of `Guardian <guardian@example.com>`, as written.

    The name may hold anything: it is quoted where it goes into a message. Raises NoAddress where it is no mailbox.
    """
    text = text.strip()
    if match := re.fullmatch(r'("(?:[^"\\]|\\.)*"|[^<>]*?)\s*<([^<>]*)>', text):
        name, address = match[1].strip(), match[2]
        if quoted := re.fullmatch(r'"((?:[^"\\]|\\.)*)"', name):
            name = re.sub(r"\\(.)", r"\1", quoted[1])
        return name, check_address(address)
    if comment := re.fullmatch(r"(\S+@\S+)\s+\(([^()]*)\)", text):  # as old programs write it
        return comment[2].strip(), check_address(comment[1])
    return "", check_address(text)


def address_of(mailbox: str) -> str:
    """The address alone of a mailbox. Raises NoAddress where it is none."""
    return split_mailbox(mailbox)[1]


def _unseen(character: str) -> bool:
    """Whether it is a control, an invisible or direction-changing mark, a lone surrogate, or not a character."""
    return unicodedata.category(character)[0] == "C" or _UNSEEN.match(character) is not None


def _safe(text: str) -> str:
    return "".join(each if each.isprintable() and not _unseen(each) else f"\\u{ord(each):04x}" for each in text)
