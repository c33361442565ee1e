"""A store of events that is asked once for what is the same in every report, for as long as nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, cast

from guardian.stores.events import UsageRepository

_ONCE = frozenset(
    {"seal", "stats", "recorders", "recorder_notes", "feature_names", "events_ahead", "newest_event", "names"}
)


def steady(repository: UsageRepository) -> UsageRepository:
    """The same store, whose answers that belong to no window are kept: whoever has the lead on it, and writes nothing
    meanwhile, makes a report after the other without reading them again. What failed is asked for again.

    The eight earlier periods by which a report tells what is usual are left out: each is a window more to be read, and
    the windows of the reports stand for all."""
    return cast(UsageRepository, _Steady(repository))


class _Steady:
    def __init__(self, repository: UsageRepository) -> None:
        self._repository = repository
        self._kept: dict[Hashable, Any] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)
        return self._once(name, method) if name in _ONCE else method

    async def outcomes(self, windows: object, **values: object) -> list[Mapping[int, int]]:
        """None of the earlier periods."""
        return []

    def _once(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(*args: Hashable, **values: Hashable) -> Any:
            key = (name, args, tuple(sorted(values.items())))
            if key not in self._kept:
                self._kept[key] = await method(*args, **values)
            return self._kept[key]

        return asked
