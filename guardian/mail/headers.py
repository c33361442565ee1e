"""Encoding headers: non-ASCII names and texts as encoded words, addresses in angle brackets. Written here because
Python 3.11.7 makes encoded words of up to 77 characters (RFC 2047 allows 75), loses spaces when folding, turns long
URLs (List-Unsubscribe) into encoded words, and encodes non-ASCII addresses wrongly.
"""

from __future__ import annotations

import re
from base64 import b64encode

MAX_WORD, MAX_LINE = 75, 76
"""Characters of an encoded word, and of a line that has one: RFC 2047, section 2."""
_START, _END = "=?utf-8?{}?", "?="
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
"""The characters allowed in a Q-encoded word anywhere, including display names (RFC 2047, section 5, rule 3)."""
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
"""Atoms and spaces: display names that need no quotes."""


def unstructured(name: str, text: str) -> str:
    """The value of an unstructured header, folded; plain if it is ASCII and fits on one line."""
    if text.isascii() and len(name) + 2 + len(text) <= MAX_LINE - 1:
        return text
    return _encoded(text, len(name) + 2)


def mailbox(name: str, header: str, address: str) -> str:
    """The value of an address header: `Guardian <guardian@example.com>`, or `<guardian@example.com>` without a name.

    The angle brackets are always there: spam filters mark addresses without them down.
    """
    if not name:
        return f"<{address}>"
    if name.isascii() and len(header) + len(name) <= MAX_LINE - 10:
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        shown = name if _PHRASE.fullmatch(name) else f'"{escaped}"'
    else:
        shown = _encoded(name, len(header) + 2)
    fits = len(header) + 2 + len(shown.rpartition("\n")[2]) + len(address) + 3 <= MAX_LINE
    return f"{shown}{' ' if fits else chr(13) + chr(10) + ' '}<{address}>"


def _encoded(text: str, before: int) -> str:
    """The text as encoded words, in Q or in base64, whichever is shorter; `before` characters stand on the first line.

    No word ends inside a character (RFC 2047, section 5).
    """
    data = text.encode()
    in_q = sum(1 if each in _PLAIN or each == 0x20 else 3 for each in data) <= (len(data) + 2) // 3 * 4
    write = _q if in_q else _b
    kind = _START.format("q" if in_q else "b")
    words: list[str] = []
    chunk = ""
    for each in text:
        room = min(MAX_WORD, MAX_LINE - (before if not words else 1)) - len(kind) - len(_END)
        if chunk and len(write(chunk + each)) > room:
            words.append(f"{kind}{write(chunk)}{_END}")
            chunk = ""
        chunk += each
    return "\r\n ".join([*words, f"{kind}{write(chunk)}{_END}"])


def _q(text: str) -> str:
    return "".join("_" if each == 0x20 else chr(each) if each in _PLAIN else f"={each:02X}" for each in text.encode())


def _b(text: str) -> str:
    return b64encode(text.encode()).decode()
