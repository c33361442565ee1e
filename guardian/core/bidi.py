"""Names in scripts that run from right to left, set apart from the text around them: Unicode Standard Annex 9."""

from __future__ import annotations

import re
import unicodedata

FIRST_STRONG, POP = "\u2068", "\u2069"
"""FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE: text between them does not affect the direction outside."""
_OPENING = "\u2066\u2067\u2068"
_OVERRIDING = re.compile("[\u200e\u200f\u061c\u202a-\u202e]")
_FROM_THE_RIGHT = frozenset({"R", "AL", "AN"})


def isolated(text: str) -> str:
    """The text, inside isolates if anything in it runs from right to left, which would reorder numbers next to it."""
    if text.isascii():
        return text
    text = balanced(text)
    if text[0:1] == FIRST_STRONG and text[-1:] == POP and text.count(POP) == 1:
        return text
    turned = any(unicodedata.bidirectional(each) in _FROM_THE_RIGHT for each in text)
    return f"{FIRST_STRONG}{text}{POP}" if turned else text


def balanced(text: str) -> str:
    """The text without marks that turn what follows, and with as many isolates closed as opened."""
    kept, depth = [], 0
    for each in _OVERRIDING.sub("", text):
        if each == POP and not depth:
            continue
        depth += (each in _OPENING) - (each == POP)
        kept.append(each)
    return "".join(kept) + POP * depth


def bare(text: str) -> str:
    """The text without isolates, for places that take none: the header of a mail."""
    return re.sub(f"[{_OPENING}{POP}]", "", text)


def one_line(text: str) -> str:
    """The text on one line, without control characters, marks that turn text round, and lone surrogates."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
