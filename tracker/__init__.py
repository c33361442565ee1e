"""What a host app imports: an ASGI middleware that records who used which feature, and what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.event import Event, Failure
    from tracker.middleware import UsageTrackingMiddleware
    from tracker.notes import name_feature, note_error, note_user
    from tracker.recorder import Recorder, Stats

__all__ = [
    "Event",
    "Failure",
    "Recorder",
    "Stats",
    "UsageTrackingMiddleware",
    "name_feature",
    "note_error",
    "note_user",
]
_HOMES = {
    "Event": "tracker.event",
    "Failure": "tracker.event",
    "Recorder": "tracker.recorder",
    "Stats": "tracker.recorder",
    "UsageTrackingMiddleware": "tracker.middleware",
    "name_feature": "tracker.notes",
    "note_error": "tracker.notes",
    "note_user": "tracker.notes",
}


if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> Any:
        # Imported late, so that importing only the event's types (as the daemon's pure code does) loads no database.
        if name not in _HOMES:
            raise AttributeError(f"module 'tracker' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
