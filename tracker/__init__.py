"""What a host app imports: an ASGI middleware that records who used which feature, and what failed."""

from tracker.error_text import note_error
from tracker.event import Event, Failure
from tracker.middleware import UsageTrackingMiddleware
from tracker.recorder import Recorder, Stats

__all__ = ["Event", "Failure", "Recorder", "Stats", "UsageTrackingMiddleware", "note_error"]
