"""The database's address: a file, given as a path or a SQLAlchemy URL for SQLite; or Firestore."""

from __future__ import annotations

import os
import re
import stat

from tracker.firestore.address import is_firestore, parse

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]+)(?:\+([A-Za-z0-9_.-]+))?://(.*)", re.DOTALL)
try:
    _STARTED_IN = os.getcwd()
except OSError:
    _STARTED_IN = ""
_MEMORY = "is kept in memory, where app and daemon could not share it: name a file, such as guardian.db"


def database_path(value: str | os.PathLike[str], folder: str | os.PathLike[str] = "") -> str:
    """The absolute path of the database file that `value` means. Creates nothing and resolves no symbolic links. An
    address of Firestore, `firestore://PROJECT` or `firestore://PROJECT/DATABASE`, stays what it is.

    Understood are a path, `~/guardian.db`, and `sqlite:///relative.db` or `sqlite:////absolute.db` as SQLAlchemy has
    them ("Database URLs" in its documentation), with any driver but an encrypting one. A relative path is relative to
    `folder`, which is relative to the current folder. Raises ValueError with one sentence, which repeats no password,
    for another kind of database, a database in memory, an URI with parameters, an empty text, a folder, and for what is
    no file.
    """
    text = _text(value)
    if is_firestore(text):
        return str(parse(text))
    place = _within_url(text)
    if place.startswith("file:"):
        place = _within_uri(place)
    if place.partition("?")[0] == ":memory:":
        raise ValueError(f"database = {place!r} {_MEMORY}")
    try:
        path = _absolute(os.path.join(folder, _home(place)))
    except FileNotFoundError:
        raise ValueError(
            f"database = {place!r} is relative to the current folder, which was deleted: write the whole path"
        ) from None
    mode = _mode(path)
    if place.endswith(("/", os.sep)) or stat.S_ISDIR(mode):
        inside = os.path.join(place, "guardian.db")
        raise ValueError(f"database = {place!r} is a folder: name a file in it, such as {inside}")
    if mode and not stat.S_ISREG(mode):
        raise ValueError(f"database = {place!r} is a device, a pipe or a socket: name an ordinary file")
    return path


def is_file(database: str) -> bool:
    """Whether what `database_path` gave is the path of a file, and not the address of another kind of database."""
    return not is_firestore(database)


def _absolute(path: str) -> str:
    return os.path.normpath(path if os.path.isabs(path) else os.path.join(_current_folder(), path))


def _current_folder() -> str:
    """The current folder; if it may not be asked for, the one at import. Starlette creates middleware inside the event
    loop, and a host's tests may forbid blocking calls there. Raises FileNotFoundError."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise
    except Exception:
        if not _STARTED_IN:
            raise FileNotFoundError from None
        return _STARTED_IN


def _mode(path: str) -> int:
    """The `st_mode` of a path; 0 if nothing is there, or access is denied."""
    try:
        return os.stat(path).st_mode
    except Exception:
        return 0


def why_not_opened(path: str) -> str | None:
    """Why this user cannot write the database at an absolute `path`, with the cure; None if no reason can be seen.
    SQLite only says "unable to open database file". It also writes files beside the database (sqlite.org/wal.html), so
    the folder is checked too. Opens and creates nothing.
    """
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        return f"{path} is a folder: name a file in it"
    for part in _down_to(folder):
        if not os.path.lexists(part):
            return f"the folder {part} does not exist: make it, or name another file"
        if not os.path.isdir(part):
            return f"{part} is not a folder: name a file in a folder"
        if not _may(part, os.X_OK):
            return f"{_me()} may not enter the folder {part}, which belongs to {_owner(part)}: {_CURE}"
    if os.path.islink(path) and not os.path.exists(path):
        target = os.path.realpath(path)
        return None if os.path.dirname(target) == folder else why_not_opened(target)
    for part in (path, folder):
        if os.path.exists(part) and hasattr(os, "statvfs") and os.statvfs(part).f_flag & os.ST_RDONLY:
            return f"the file system of {part} is read-only: name a file on another one"
    if os.path.exists(path) and not _may(path, os.R_OK | os.W_OK):
        return f"{_me()} may not write the file {path}, which belongs to {_owner(path)}: {_CURE}"
    if not _may(folder, os.W_OK):
        return f"{_me()} may not write in the folder {folder}, which belongs to {_owner(folder)}: {_CURE}"
    return None


_CURE = "run as that user, or let a group of both write there"


def _down_to(folder: str) -> list[str]:
    """The folder and those above it, from the root on."""
    parts = [folder]
    while os.path.dirname(parts[-1]) != parts[-1]:
        parts.append(os.path.dirname(parts[-1]))
    return parts[::-1]


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _me() -> str:
    return f"the user {_name(os.geteuid())}" if hasattr(os, "geteuid") else "this user"


def _owner(path: str) -> str:
    try:
        return _name(os.stat(path).st_uid)
    except OSError:
        return "another user"


def _name(number: int) -> str:
    try:
        import pwd  # not on Windows

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"with the number {number}"


def _text(value: str | os.PathLike[str]) -> str:
    try:
        text = os.fsdecode(value)
    except TypeError:
        raise ValueError(
            f"database is of the type {type(value).__name__}: write a path, such as 'guardian.db'"
        ) from None
    if not text.strip():
        raise ValueError(f"database = {text!r} names no file: write a path, such as 'guardian.db'")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("database has a control character in it: write a path, such as 'guardian.db'")
    if text != text.strip() or text[0] in "'\"" or text[-1] in "'\"":
        raise ValueError(f"database = {text!r} has spaces or quotes around it: write it without them")
    if text.lower().startswith("sqlite:") and "//" not in text:
        raise ValueError(f"database = {text!r} has too few slashes: write it as sqlite:///guardian.db")
    if "$" in text:
        raise ValueError(f"database = {text!r} has a variable in it, which is not looked up: write the path itself")
    return text


def _within_url(text: str) -> str:
    """The path in an URL; a text that is none, as it is."""
    match = _SCHEME.fullmatch(text)
    if match is None:
        return text
    scheme, driver, rest = match[1].lower(), (match[2] or "").lower(), match[3]
    if scheme == "file":
        return f"file://{rest}"
    if scheme not in ("sqlite", "sqlite3"):
        raise ValueError(f"database is an address of {scheme}://, and only an SQLite file will do: write its path")
    if "cipher" in driver:
        raise ValueError(
            f"database is an address of sqlite+{driver}://, an encrypted file: write the path of a plain one"
        )
    if rest in ("", "/"):
        raise ValueError(f"database = {text!r} {_MEMORY}")
    if not rest.startswith("/"):
        raise ValueError(
            f"database is an address of {scheme}:// with a host in it: write three slashes before a relative path "
            "and four before an absolute one, as in sqlite:///guardian.db"
        )
    place, _, parameters = rest[1:].partition("?")
    if parameters and place != ":memory:":
        raise _parameters()
    return place


def _within_uri(text: str) -> str:
    """The path in an URI of SQLite (sqlite.org/uri.html)."""
    from urllib.parse import unquote

    place, _, parameters = text[len("file:") :].partition("?")
    if place.startswith("//"):
        host, _, place = place[2:].partition("/")
        if host not in ("", "localhost"):
            raise ValueError(f"database is a file on the host {host}: write the path of a file on this machine")
        place = f"/{place}"
    place = unquote(place.partition("#")[0])
    if place in ("", ":memory:") or "mode=memory" in parameters:
        raise ValueError(f"database = {text!r} {_MEMORY}")
    if parameters:
        raise _parameters()
    return place


def _parameters() -> ValueError:
    return ValueError("database has parameters after a question mark, which are not understood: leave them out")


def _home(place: str) -> str:
    """The path with ~ as a home directory; a file whose own name starts with ~ stays."""
    whole = os.path.expanduser(place)
    first = place.split("/", 1)[0]
    if whole != place or not first.startswith("~") or os.path.isdir(first):
        return whole
    if first == "~":
        raise ValueError(f"database = {place!r}: the home directory of this user is not known: write the whole path")
    if first != place:
        raise ValueError(f"database = {place!r}: there is no user {first[1:]!r} with a home: write the whole path")
    return place
