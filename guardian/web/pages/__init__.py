"""The pages of the dashboard: one table, from which routes, navigation and keys follow."""

from __future__ import annotations

from collections.abc import Sequence

from guardian.web.pages.page import Page, View

__all__ = ["PAGES", "Page", "View"]

PAGES: Sequence[Page] = ()
"""In the order of the navigation."""
