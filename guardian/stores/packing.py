"""Saved reports, and the notes of whom mails name, as bytes for any database."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from guardian.core.mentions import Mention
from guardian.core.off_loop import json_pieces, json_value


def pack(report: Mapping[str, Any]) -> bytes:
    """A report as stored: compressed JSON."""
    packer = zlib.compressobj()
    pieces = json_pieces(report, ensure_ascii=False)
    return b"".join([packer.compress(piece.encode("utf-8", "surrogatepass")) for piece in pieces]) + packer.flush()


def unpack(body: bytes) -> dict[str, Any]:
    """The report that `pack` was given."""
    report: dict[str, Any] = json_value(zlib.decompress(body).decode("utf-8", "surrogatepass"))
    return report


def pack_people(people: Sequence[Mention]) -> bytes:
    """The notes of whom a mail names and where, as the outbox stores them."""
    if not people:
        return b""
    return zlib.compress(json.dumps(people, ensure_ascii=False).encode("utf-8", "surrogatepass"), level=1)


def noted_names(noted: bytes | None) -> bytes:
    """The notes as JSON in UTF-8; empty if an older version stored none."""
    return zlib.decompress(noted) if noted else b""


def read_people(noted: bytes | None) -> tuple[Mention, ...]:
    """The notes that `pack_people` was given; empty if an older version stored none."""
    written = noted_names(noted)
    return tuple(Mention(*each) for each in json.loads(written.decode("utf-8", "surrogatepass"))) if written else ()
