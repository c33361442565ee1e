"""Reading many numbers from SQLite at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np


def read_numbers(
    db: sqlite3.Connection, wanted: Sequence[str], where: str, values: Sequence[Any]
) -> tuple[np.ndarray, ...]:
    """What each SQL expression has on the rows of guardian_request: an array an expression. The order of the rows is
    any, the same in each array; one that is NULL on some rows has nothing of those.

    SQLite writes the numbers of a column into one text. That takes half the time of handing over row by row, and the
    interpreter's lock is free meanwhile.
    """
    texts = ", ".join(f"group_concat({each})" for each in wanted)
    row = db.execute(f"SELECT {texts} FROM guardian_request WHERE {where}", values).fetchone()
    return tuple(np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64) for text in row)
