"""Reading several things of one state of a store, which need not be looked up for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_HELD: ContextVar[dict[object, Any] | None] = ContextVar("held", default=None)


@contextmanager
def of_one_state() -> Iterator[None]:
    """What is read inside may be answered from the state that the first answer found: a report is of one moment, and
    Firestore bills each look at how the store stands. A block inside another one is a part of it. For blocks that last
    seconds: nobody inside sees what others write meanwhile."""
    if _HELD.get() is not None:
        yield
        return
    token = _HELD.set({})
    try:
        yield
    finally:
        _HELD.reset(token)


def held() -> dict[object, Any]:
    """Where a store keeps, by itself as the key, the state that its answers are of; outside of `of_one_state` nobody
    sees it again."""
    known = _HELD.get()
    return {} if known is None else known
