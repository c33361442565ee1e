"""Long work in threads off the event loop that leaves the loop its turns, and JSON encoding that does not hold the GIL.
Python code lets go of the GIL when its turn is over, so the loop goes on. A single call into C that takes 40 ms, such
as json.dumps of a report on 5,000 users, blocks the loop from any thread.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from heapq import merge
from itertools import chain
from threading import Lock
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_LONG = 20
"""Longer lists are encoded so many items at a time."""
PIECE = 65_536
"""About how many characters of a long text are written, encoded and sent at once."""
_FREED = 2_000
"""So many items of a list are freed at once: that takes a millisecond."""
_MANY = 50_000
"""Work that leaves more new objects than this does not hand them to the collector as young ones."""

TURN_SECONDS = 0.0005
"""How long a thread keeps the GIL while another one waits for it, where our work runs. With Python's default of 5 ms a
loop beside two computing threads waits 10 ms for each of its turns. In return, a report takes about 5 % longer."""
QUICK_SECONDS = 0.0001
"""The same while a short answer is made that goes through a thread and so waits for several turns of others."""

_threads: list[ThreadPoolExecutor] = []
_collector, _pauses = Lock(), list[bool]()
_turns, _wanted, _known = Lock(), list[float](), [0.0, 0.0]
"""The turns that are asked for just now; and how long they were before all of them, and how long we made them last."""


def _begin_as_child() -> None:
    """A forked worker has none of its parent's threads, nor what they hold, have paused or shortened. Its lists are new
    ones, since work in which it was forked leaves those of its parent as it ends."""
    global _collector, _turns, _pauses, _wanted
    _threads.clear()
    _collector, _turns = Lock(), Lock()
    if any(_pauses):
        gc.enable()
    _pauses, _wanted = [], []
    _set_turns()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_as_child)


async def off_loop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work, done in the one thread that Guardian has for this; its exception is raised here.

    One thread, so that at most one computation runs at a time; and Guardian's own, since those of the host app may all
    be busy.
    """
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="guardian-work"))
    return await asyncio.get_running_loop().run_in_executor(_threads[0], _beside, partial(work, *args, **kwargs))


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `asyncio.to_thread`, for work that may compute for long or wait for something: several may run at a time."""
    return await asyncio.to_thread(_beside, partial(work, *args, **kwargs))


def _beside(work: Callable[[], T]) -> T:
    with no_collection(), short_turns():
        return work()


@contextmanager
def short_turns(seconds: float = TURN_SECONDS) -> Iterator[None]:
    """Let no thread of the process keep the GIL for longer meanwhile, if others wait for it.

    So an event loop beside work that computes gets its turn soon, also in a host app, which has Python's default. Of
    several at a time the shortest counts. A shorter time is left alone, and so is whatever the host app sets meanwhile.
    """
    with _turns:
        if not _wanted:
            _known[:] = [sys.getswitchinterval()] * 2
        wanted = _wanted
        wanted.append(seconds)
        _set_turns()
    try:
        yield
    finally:
        with _turns:
            wanted.remove(seconds)
            _set_turns()


def _set_turns() -> None:
    """Set the shortest turns that are asked for, else those of before, unless somebody else has changed ours."""
    before, ours = _known
    shortest = min([before, *_wanted])
    if sys.getswitchinterval() == ours != shortest:
        sys.setswitchinterval(shortest + 5e-7)  # Python cuts it to whole microseconds: it would shrink each time
        _known[1] = sys.getswitchinterval()


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python's garbage collector from starting by itself meanwhile, for work of a few seconds at most.

    The objects of a report on 5,000 users would set off full collections, which visit every object of the process and
    stop every thread: 30 to 100 ms each, and more the larger the host app is. What the work no longer needs is freed
    all the same, by reference counting. Nor is what a lot of work has left visited right after it. A collector that the
    host app has switched off stays off.

    Of less work, the collector visits what is still there as soon as it may start again. So hold this until large
    values are gone, across awaits too: keep them in a list of one, and let a function in `off_loop` take them out of
    it. Then they are also freed in that thread; the event loop would stand still meanwhile.
    """
    with _collector:
        pauses = _pauses
        pauses.append(gc.isenabled() or any(pauses))
        gc.disable()
    try:
        yield
    finally:
        with _collector:
            was_on = pauses.pop(0)  # the newest one stays: it knows whether the host app has switched it on meanwhile
            if was_on and not (pauses or _pauses):
                _age()
                gc.enable()


def _age() -> None:
    """Count many new objects as old ones, as the collector would after visiting them: for a report on 45,000 people it
    does so four times, and takes a fifth of the report's time. Cycles among them wait for the next full collection.
    """
    # A host app that has frozen objects of its own (see gc.freeze) keeps them frozen.
    if gc.get_count()[0] > _MANY and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()  # into the oldest generation; neither visits anything


def let_go(value: Any) -> None:
    """Free a value that nobody else needs any more: its lists are empty afterwards, long ones in pieces.

    To free 50,000 dictionaries at once is one call of 25 ms. Looked through are dictionaries and short lists, no other
    mappings.
    """
    if isinstance(value, dict):
        for item in value.values():
            let_go(item)
    elif isinstance(value, list):
        for item in value if len(value) <= _LONG else ():
            let_go(item)
        while value:
            del value[-_FREED:]


def json_text(value: Any, **options: Any) -> str:
    """The same as `json.dumps(value, **options)` without an indent, long lists some items at a time."""
    return "".join(json_pieces(value, **options))


def json_pieces(value: Any, **options: Any) -> Iterator[str]:
    """The same in pieces of about PIECE characters: one text of 40 MB takes 10 ms to copy, and as much to encode."""
    some, size = list[str](), 0
    for text in _written(value, json.JSONEncoder(**options)):
        some.append(text)
        size += len(text)
        if size >= PIECE:
            yield "".join(some)
            some, size = [], 0
    if some:
        yield "".join(some)


def _written(value: Any, encoder: json.JSONEncoder) -> Iterator[str]:
    between = ""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        yield "{"
        for key, item in value.items():
            yield f"{between}{encoder.encode(key)}{encoder.key_separator}"
            yield from _written(item, encoder)
            between = encoder.item_separator
        yield "}"
    elif isinstance(value, list) and len(value) > _LONG:
        yield "["
        for first in range(0, len(value), _LONG):  # several a call, which makes an encoder each time
            yield between + encoder.encode(value[first : first + _LONG])[1:-1]
            between = encoder.item_separator
        yield "]"
    else:
        yield encoder.encode(value)


def json_value(text: str) -> Any:
    """The same as `json.loads`, which runs entirely in C and so holds the GIL throughout."""
    return json.loads(text, object_hook=_as_it_is)


def _as_it_is(value: dict[str, Any]) -> dict[str, Any]:
    return value


def sorted_pieces(values: Sequence[T], key: Callable[[T], Any], size: int = 2_000) -> list[T]:
    """The same as `sorted(values, key=key)`, sorted in pieces that are then merged. That takes twice the time, but
    `sorted` of 50,000 names is a single call of 25 ms."""
    runs = [sorted(values[first : first + size], key=key) for first in range(0, len(values), size)]
    return list(merge(*runs, key=key)) if len(runs) > 1 else [*chain(*runs)]


def pieces(rows: Any, size: int = 2_000) -> Any:
    """The rows of an array as lists of numbers, converted in pieces: `tolist` of everything is one long call."""
    for first in range(0, len(rows), size):
        yield from rows[first : first + size].tolist()
