"""The pages of the dashboard: one table, from which routes, navigation and keys follow."""

from __future__ import annotations

from collections.abc import Sequence

from guardian.web.pages import errors, features, incidents, mail, overview, people, person, rules, system
from guardian.web.pages.page import Page, View

__all__ = ["PAGES", "Page", "View"]

PAGES: Sequence[Page] = (
    overview.PAGE,
    people.PAGE,
    person.PAGE,
    person.ERASE,
    features.PAGE,
    errors.PAGE,
    incidents.PAGE,
    incidents.ONE,
    rules.PAGE,
    mail.PAGE,
    mail.ONE,
    mail.BODY,
    system.PAGE,
)
"""In the order of the navigation."""
