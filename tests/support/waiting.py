"""Waiting for another process, by looking again and again: its own doing ends the wait, not a span of time."""

import time

from tests.support.patience import SECONDS


def until(condition, seconds=SECONDS):
    """Poll until the condition holds, and give back what it gave; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come about in time")
