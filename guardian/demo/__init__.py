"""A small real app, real traffic, a real inbox: what Guardian does, shown end to end on one machine."""

from guardian.demo.run import run_demo

__all__ = ["run_demo"]
