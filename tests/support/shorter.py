"""The demo with less of everything."""

SHORTER = """
import guardian.demo.run as demo
from guardian.cli import main
whole = demo.history
demo.REQUESTS, demo.history = 120, lambda now: whole(now)[-1_500:]
main()
"""
"""The same command with a seventh of the traffic, and as little of the past, which take longer than all the rest: for
what does not count them."""
