"""Checks of the middleware's arguments. Each returns the value, or raises ValueError with one sentence that names the
argument, the value and the cure. Secrets are not repeated."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any
from urllib.parse import urlsplit


def whole_number(name: str, value: Any, least: int) -> None:
    """An int of at least `least`."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name} = {value!r} must be a whole number of at least {least}, without quotes")


def seconds(name: str, value: Any, *, least: float, most: float) -> None:
    """A number from `least` to `most`."""
    if type(value) not in (int, float) or not isfinite(value) or not least <= value <= most:
        raise ValueError(f"{name} = {value!r} must be a number of seconds from {least:g} to {most:g}, without quotes")


def yes_or_no(name: str, value: Any) -> None:
    """True or False."""
    if type(value) is not bool:
        raise ValueError(f"{name} = {value!r} must be True or False")


def text(name: str, value: Any) -> str | None:
    """A text that is not empty, or None."""
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ValueError(f"{name} = {value!r} must be a text that is not empty")
    return value


def name(name: str, value: Any) -> str | None:
    """The name of a key, a cookie, a parameter or a header, or None."""
    if value is not None and (not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{1,200}", value)):
        raise ValueError(f"{name} = {value!r} must be a name without spaces, as in 'user_id'")
    return value


def texts(name: str, value: Any) -> tuple[str, ...] | None:
    """One text or several, as a tuple; or None."""
    if value is None:
        return None
    found = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not found or not all(isinstance(each, str) and each.strip() for each in found):
        raise ValueError(f"{name} = {value!r} must be a text or a list of texts")
    return found


def several(name: str, value: Any, what: str) -> None:
    """A list or another collection, but not a text."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"{name} = {value!r} must be a list of {what}")


def key(value: Any) -> None:
    """A secret or a public key; None for none."""
    if value is not None and not isinstance(value, str | bytes):
        raise ValueError(
            f"jwt_key is a {type(value).__name__} and must be a text or bytes, such as key.get_secret_value()"
        )


def jwks(value: Any) -> None:
    """A file or an URL; None for none."""
    if value is None:
        return
    if not isinstance(value, str) and not hasattr(value, "__fspath__"):
        raise ValueError(f"jwks = {value!r} must be a file or an https:// address")
    parts = urlsplit(str(value))
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise ValueError(f"jwks = {value!r} names no host, as in 'https://example.com/jwks.json'")


def identify(value: Any) -> Any:
    """A function that can be called with the scope; None for none."""
    if value is None:
        return None
    if callable(value):
        from inspect import signature  # slow to import, and only needed here

        try:
            signature(value).bind({})
        except TypeError:
            pass
        except ValueError:  # a C function has no signature
            return value
        else:
            return value
    raise ValueError(f"identify = {value!r} must be a function that takes the scope")
