"""A small real app, real traffic, a real inbox: what Guardian does, shown end to end on one machine."""
