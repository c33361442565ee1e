"""Finding one person in what was saved or mailed, so that erasing them leaves nothing behind. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from email import message_from_bytes, policy
from typing import Any

ERASED = "(erased)"
"""What stands in a saved report where a person's address stood."""


def _pattern(email: str) -> re.Pattern[str]:
    # bob@example.com is not found in jbob@example.com, nor in bob@example.com.au
    return re.compile(rf"(?<![\w.+-]){re.escape(email)}(?![\w-]|\.\w)", re.IGNORECASE)


def without_person(value: Any, email: str) -> Any:
    """A JSON value with the address replaced by `ERASED` in every key and text, whatever its case."""
    return _replace(value, _pattern(email))


def _replace(value: Any, pattern: re.Pattern[str]) -> Any:
    match value:
        case str():
            return pattern.sub(ERASED, value)
        case dict():
            return {pattern.sub(ERASED, key): _replace(item, pattern) for key, item in value.items()}
        case list():
            return [_replace(item, pattern) for item in value]
    return value


def names_person(texts: Iterable[str], body: bytes, email: str) -> bool:
    """Whether the address stands in one of the texts or in a message: its headers, or any text part, decoded."""
    pattern = _pattern(email)
    message = message_from_bytes(body, policy=policy.default)
    parts = [part.get_payload(decode=True) for part in message.walk() if part.get_content_maintype() == "text"]
    written = [part.decode("utf-8", "replace") for part in parts if isinstance(part, bytes)]
    found = [*texts, *map(str, message.values()), *written]
    return any(pattern.search(text) or pattern.search(html.unescape(text)) for text in found)


def incident_without(incident: Mapping[str, Any], email: str) -> dict[str, Any] | None:
    """An incident, as JSON, without the person; None for one that is about them."""
    if without_person(incident["subject"], email) == ERASED:
        return None
    found: dict[str, Any] = _unnamed(without_person(dict(incident), email))
    return found


def alerts_without(state: Mapping[str, Any], email: str) -> dict[str, Any]:
    """The alert state, as JSON, without the person, in a new version.

    A new one also where nothing named them: a minute that is judged just now may.
    """
    found: dict[str, Any] = _unnamed(without_person(dict(state), email))
    held = found.get("held", ())
    found["held"] = [each for each in held if each["transition"]["incident"]["subject"] != ERASED]
    found["version"] = found.get("version", 0) + 1
    return found


def _unnamed(value: Any) -> Any:
    """A JSON value without what is said under the key of an erased person, and without them in lists of names."""
    match value:
        case dict():
            return {key: _unnamed(item) for key, item in value.items() if key != ERASED}
        case list():
            return [_unnamed(item) for item in value if item != ERASED]
    return value
