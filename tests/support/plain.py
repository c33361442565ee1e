"""Texts of mails as they are written in tests."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """The text with ordinary spaces where a line must not end, and ordinary ends of lines."""
    return re.sub("[\u00a0\u202f]", " ", text).replace("\r\n", "\n")
