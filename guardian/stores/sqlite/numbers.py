"""Reading many numbers from SQLite at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Packed = tuple[str, dict[str, int]]
"""SQL expressions that go into one number: the one on top, which may be negative, then others, each with its bits: they
must lie in [0, 2 ** bits)."""
OUTCOME_BITS = 12
"""The bits of an outcome, which is a status or 1000 more."""


def read_numbers(
    db: sqlite3.Connection, wanted: Sequence[str], where: str, values: Sequence[Any]
) -> tuple[np.ndarray, ...]:
    """What each SQL expression has on the rows of guardian_request: an array an expression. The order of the rows is
    any, the same in each array; one that is NULL on some rows has nothing of those.

    SQLite writes the numbers of a column into one text. That takes half the time of handing over row by row, and the
    interpreter's lock is free meanwhile.
    """
    return tuple(map(_numbers, _texts(db, wanted, where, values)))


def read_packed(
    db: sqlite3.Connection, wanted: Sequence[Packed], where: str, values: Sequence[Any]
) -> tuple[np.ndarray, ...]:
    """The same for expressions of which several go into one number: an array an expression. None of them may be NULL.
    Five columns as two numbers take a quarter less time than as three, of which one is packed."""
    texts = _texts(db, map(_sum, wanted), where, values)
    # Where a sum needs more than 64 bits, SQLite goes on with a fraction: then nothing is packed.
    if any("." in text for text in texts if text):
        return read_numbers(db, [each for top, others in wanted for each in (top, *others)], where, values)
    return tuple(part for packed, text in zip(wanted, texts, strict=True) for part in _parts(packed, _numbers(text)))


def outcome_bits() -> dict[str, int]:
    """The column of outcomes with its bits."""
    return {"status": OUTCOME_BITS}


def route_bits(db: sqlite3.Connection) -> dict[str, int]:
    """The column of routes with its bits."""
    (most,) = db.execute("SELECT max(id) FROM guardian_route").fetchone()
    return {"route": (most or 0).bit_length()}


def _texts(db: sqlite3.Connection, wanted: Iterable[str], where: str, values: Sequence[Any]) -> list[str | None]:
    texts = ", ".join(f"group_concat({each})" for each in wanted)
    return [*db.execute(f"SELECT {texts} FROM guardian_request WHERE {where}", values).fetchone()]


def _numbers(text: str | None) -> np.ndarray:
    return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)


def _sum(packed: Packed) -> str:
    said, others = packed
    for each, bits in others.items():
        said = f"({said}) * {1 << bits} + {each}"  # `<<` would lose bits without a word
    return said


def _parts(packed: Packed, number: np.ndarray) -> list[np.ndarray]:
    found = []
    for bits in reversed(packed[1].values()):
        found.append(number & (1 << bits) - 1)
        number = number >> bits
    return [number, *reversed(found)]
