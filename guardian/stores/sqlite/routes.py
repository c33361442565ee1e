"""Which route, and which feature, each number in guardian_request stands for."""

from __future__ import annotations

import sqlite3

from guardian.core.summary import Route


def all_routes(db: sqlite3.Connection) -> dict[int, Route]:
    """Each route that was ever recorded, by its number."""
    return {row[0]: Route(*row[1:]) for row in db.execute("SELECT id, feature, endpoint, method FROM guardian_route")}


def all_features(db: sqlite3.Connection) -> dict[int, str]:
    """The feature of each route that was ever recorded, by the route's number."""
    return dict(db.execute("SELECT id, feature FROM guardian_route"))
