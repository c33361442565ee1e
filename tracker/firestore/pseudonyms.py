"""The key of pseudonyms where the database is one of Firestore: a secret of the database, which all processes share.

So anybody who can read the whole database has the key. If that is too much, put the key into the environment of the app
and the daemon instead; then it is nowhere in the database.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tracker.firestore.client import SECONDS
from tracker.firestore.people import SECRETS
from tracker.pseudonyms import NoKey

SECRET = "pseudonyms"
"""The document of `guardian_secret` that holds it."""
VARIABLE = "TRACKER_PSEUDONYMS_KEY"
"""The variable that names another key: 64 hexadecimal digits."""
_KEY = re.compile(r"[0-9a-f]{64}")


def key_apart(environ: Mapping[str, str] | None = None) -> bytes | None:
    """The key that the environment names; None where it names none. Raises NoKey."""
    text = (os.environ if environ is None else environ).get(VARIABLE, "").strip()
    if not text:
        return None
    if not _KEY.fullmatch(text):
        raise NoKey(f"{VARIABLE} holds no key: let it be 64 hexadecimal digits, as 'openssl rand -hex 32' prints them")
    return bytes.fromhex(text)


def key_in(fields: Mapping[str, Any]) -> bytes:
    """The key of the document. Raises NoKey."""
    text = str(fields.get("value", ""))
    if not _KEY.fullmatch(text):
        raise NoKey(f"{SECRETS}/{SECRET} holds no key: put back what it had, or delete it, and all become new people")
    return bytes.fromhex(text)


def new_key() -> dict[str, str]:
    """The fields of a document with another key."""
    return {"value": secrets.token_hex(32)}


def make_key(client: Any) -> bytes:
    """The key of the environment, else of the database, made where there is none. Raises NoKey, and what Google's
    library raises."""
    from google.api_core.exceptions import AlreadyExists

    apart = key_apart()
    if apart is not None:
        return apart
    document = client.collection(SECRETS).document(SECRET)
    found = document.get(retry=None, timeout=SECONDS)
    if not found.exists:
        with suppress(AlreadyExists):  # another process was first
            document.create(new_key(), retry=None, timeout=SECONDS)
        found = document.get(retry=None, timeout=SECONDS)
    return key_in(found.to_dict() or {})
