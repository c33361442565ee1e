"""Whom a page of people shows."""


def chosen(everybody, *, sort="requests", **wanted):
    """The places of those who are wanted (see `Roster.found`), in this order."""
    return everybody.ordered(everybody.found(**wanted), sort)
