"""People under pseudonyms: a keyed hash of each name is stored, and the key lies in a file beside the database.

Whoever has only the database cannot find out who somebody is, not even by trying addresses. Whoever has the key as well
can try addresses: that is how the daemon shows the people whom it is told of.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from contextlib import suppress

SUFFIX = ".pseudonyms"
"""What the name of the key's file ends with, after that of the database."""
_PREFIX = "person-"
_STORED = re.compile(_PREFIX + r"[0-9a-f]{32}")
_KEY = re.compile(r"[0-9a-f]{64}")


class NoKey(ValueError):
    """The file holds no key; the message says so, with the cure."""


def pseudonym(key: bytes, name: str) -> str:
    """What is stored for a name, as it is told by `tracker.names.clean_name`: always the same under the same key."""
    return _PREFIX + hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]


def is_pseudonym(name: str) -> bool:
    """Whether a name that is stored looks like a pseudonym."""
    return _STORED.fullmatch(name) is not None


def key_path(database: str | os.PathLike[str]) -> str:
    """Where the key of a database file lies."""
    return os.path.realpath(database) + SUFFIX


def read_key(database: str | os.PathLike[str]) -> bytes | None:
    """The key of a database file; None where it has none. Raises OSError and NoKey."""
    path = key_path(database)
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(1_000).strip()
    except FileNotFoundError:
        return None
    if not _KEY.fullmatch(text):
        raise NoKey(f"{path} holds no key: put back the one that it had, or remove it, and all become new people")
    return bytes.fromhex(text)


def make_key(database: str | os.PathLike[str]) -> bytes:
    """The key of a database file, made where there is none: 0660 less the umask, as the database. Raises OSError and
    NoKey."""
    found = read_key(database)
    if found is not None:
        return found
    path = key_path(database)
    draft = f"{path}.{secrets.token_hex(8)}"
    key = secrets.token_hex(32)
    _write_new(draft, key)
    try:
        os.link(draft, path)  # whole or not at all, and never over that of another process
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        with suppress(FileExistsError):
            _write_new(path, key)
    finally:
        os.unlink(draft)
    made = read_key(database)
    if made is None:
        raise FileNotFoundError(f"{path} was removed while it was made")
    return made


def renew_key(database: str | os.PathLike[str]) -> bool:
    """Put another key in the place of that of a database file, which keeps its mode, less what others may; False where
    it has none. What was stored under the old one leads to nobody any more. Raises OSError."""
    path = key_path(database)
    try:
        mode = os.stat(path).st_mode & 0o660
    except FileNotFoundError:
        return False
    draft = f"{path}.{secrets.token_hex(8)}"
    try:
        _write_new(draft, secrets.token_hex(32))
        os.chmod(draft, mode)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    return True


def _write_new(path: str, key: str) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o660)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
