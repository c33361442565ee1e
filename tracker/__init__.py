"""What a host app imports: an ASGI middleware that records who used which feature, and what failed."""

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
