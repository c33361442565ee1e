"""The pages' style sheet and script: files whose URL changes with their content."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from guardian.core.resources import templates_dir

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"
"""How long browsers may cache a file: each version has its own URL."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served; `name` holds a hash of `body`, `packed` is the same by gzip."""

    name: str
    body: bytes
    packed: bytes
    media_type: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of templates/web/static by the name it has there, read once."""
    found = {}
    for path in sorted((templates_dir() / "web" / "static").iterdir()):
        stem, _, kind = path.name.rpartition(".")
        if kind in _TYPES:
            body = path.read_bytes()
            mark = blake2b(body, digest_size=6).hexdigest()
            found[path.name] = Asset(f"{stem}.{mark}.{kind}", body, gzip.compress(body, mtime=0), _TYPES[kind])
    return found


@cache
def served() -> dict[str, Asset]:
    """The same by the name of their addresses."""
    return {each.name: each for each in assets().values()}
