"""Turns whatever an app uses for its users (a text, a mapping, an object) into the one name that is stored."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from types import MemberDescriptorType
from typing import Any, NamedTuple
from uuid import UUID

from tracker.event import ANONYMOUS

MAX_NAME = 320
"""RFC 5321, 4.5.3.1: 64 octets, the @, 255 octets."""
ORDER = (
    "email", "preferred_username", "upn", "username", "identity", "display_name", "id", "sub", "user_id",
)  # fmt: skip
"""The keys and attributes that may name a user, in this order; an address in any of them takes precedence over other
names."""
ERASED_PREFIX = "erased-"
"""How the names begin that erased people have instead of their own: 16 hexadecimal digits follow, and for a person's
further ids more. Somebody may be called `erased-mike`, who is none of them."""
ERASED_GLOB = f"{ERASED_PREFIX}{16 * '[0-9a-f]'}*"
"""The same as a pattern for SQLite."""
PLACEHOLDERS = frozenset(
    ("user", "anonymous", "anonymoususer", "guest", "nobody", "none", "null", "undefined", "unknown", "default")
)
"""Names that frameworks use for unknown users, in lower case."""
_DENIED = frozenset(("false", "0", "no", "n", "f", "off"))
_TUPLE_FIELD = type(NamedTuple("_", [("a", int)]).__dict__["a"])


class Names(NamedTuple):
    """The names found: an address, the first name of any kind, and whether there was something that is not a valid
    name."""

    address: str | None = None
    name: str | None = None
    refused: bool = False

    @property
    def best(self) -> str | None:
        """The address, else the name, else None."""
        return self.address or self.name


NOBODY = Names()


def clean_name(name: Any) -> str | None:
    """The name as it is stored: 1 to 320 printable characters without space around them; else None.

    Only what contains an @ becomes lower case: subjects are case-sensitive (OpenID Connect Core, 2). Text is in NFC
    (Unicode, UAX 15). Names with a character that normalises to a different one, such as the Kelvin sign to K, are
    refused: one person could pass for another.
    """
    if not isinstance(name, str):
        return None
    text = str.strip(name)
    if not text.isascii():
        if any(_masks(sign) for sign in text if sign > "\x7f"):
            return None
        text = unicodedata.normalize("NFC", text)
    if "@" in text:
        text = text.lower()
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable() or text.lower() == ANONYMOUS:
        return None
    return text


def _masks(sign: str) -> bool:
    """Whether the character is canonically equivalent to a single different one."""
    return len(unicodedata.normalize("NFC", sign)) == 1 and unicodedata.normalize("NFC", sign) != sign


def names_of(who: Any, order: Sequence[str] = ORDER, *, trusted: bool = False) -> Names:
    """What a text, a number, a UUID, a mapping or an object is called. Reading it runs no code of the app's, unless the
    app hands it over itself: then it is `trusted`, and lazy attributes, properties and proxies are read.

    `email_verified` that says no (OpenID Connect Core, 5.1) means that anybody could have entered the address: then no
    address of theirs counts, or, with an `order` of your own, only `email` does not.
    """
    kind = type(who)  # never isinstance: a proxy would load its target
    if issubclass(kind, str | int | UUID) or (trusted and isinstance(who, str)):
        given, verified = [who], True
    elif issubclass(kind, Mapping):
        given, verified = [who.get(key) for key in order], not denied(who.get("email_verified"))
    else:
        if not trusted and (row := _row_within(who)) is not None:
            who = row
        given = [peek(who, key, trusted) for key in order]
        verified = not denied(peek(who, "email_verified", trusted))
    name, refused = None, False
    for index, value in enumerate(given):
        text = _text(value)
        cleaned = clean_name(text)
        if cleaned is None:
            refused = refused or (isinstance(text, str) and bool(text.strip()) and text.strip().lower() != ANONYMOUS)
        elif "@" not in cleaned:
            name = name or cleaned
        elif verified or (order is not ORDER and order[index] != "email"):
            return Names(cleaned, name)
    return Names(None, name, refused)


def denied(value: Any) -> bool:
    """Whether a claim is false, in any of the forms that providers use."""
    return (
        value is False
        or (type(value) is int and value == 0)
        or (isinstance(value, str) and str.strip(value).lower() in _DENIED)
    )


def _text(value: Any) -> Any:
    """A number or a UUID as text; other values unchanged."""
    return str(value) if isinstance(value, UUID) or type(value) is int else value


def peek(thing: Any, name: str, trusted: bool = False) -> Any:
    """An attribute that is stored in the object: in its dictionary or slots, or a constant of its class; else None.

    Nothing is computed, so no lazy attribute of a database's object is loaded. Properties are read of Starlette's users
    (`starlette.authentication.BaseUser`), which are made of them. Of what is `trusted` everything is read.
    """
    own = _dictionary(thing)
    if own is not None and name in own:
        return own[name]
    if trusted:
        return _read(thing, name)
    for kind in type(thing).__mro__:
        found = kind.__dict__.get(name)
        if found is None:
            continue
        if isinstance(found, MemberDescriptorType | _TUPLE_FIELD):
            return getattr(thing, name, None)
        if isinstance(found, property) and (name == "is_authenticated" or not is_mapped(own)):
            return _read(thing, name) if _is_starlette_user(thing) else None
        return None if hasattr(type(found), "__get__") else found
    return None


def _read(thing: Any, name: str) -> Any:
    """An attribute, or the column of this name in a database row; None if the app's code raises."""
    try:
        return getattr(thing, name)
    except Exception:
        try:
            return thing[name]
        except Exception:
            return None


def _dictionary(thing: Any) -> dict[str, Any] | None:
    """The object's own dictionary, past any `__getattr__` of its class; None for a proxy, which pretends to be another
    object and would load it."""
    if any("__class__" in kind.__dict__ for kind in type(thing).__mro__[:-1]):
        return None
    try:
        found = object.__getattribute__(thing, "__dict__")
    except Exception:
        return None
    return found if type(found) is dict else None


def is_mapped(own: dict[str, Any] | None) -> bool:
    """Whether the object is mapped to a database: SQLAlchemy and Django instances carry a state attribute."""
    return own is not None and ("_sa_instance_state" in own or "_state" in own)


def _row_within(user: Any) -> Any:
    """The row of a database that a Starlette user is made of, whose properties would load it; None for another."""
    if not _is_starlette_user(user):
        return None
    return next((each for each in (_dictionary(user) or {}).values() if is_mapped(_dictionary(each))), None)


def _is_starlette_user(thing: Any) -> bool:
    module = sys.modules.get("starlette.authentication")
    base = None if module is None else vars(module).get("BaseUser")
    return base is not None and issubclass(type(thing), base)
