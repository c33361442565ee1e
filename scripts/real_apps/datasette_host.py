"""Datasette, which has no router that anybody could ask; the lines of its own are `routes` and `identify`."""

import os
import sqlite3
from http.cookies import SimpleCookie

from datasette.app import Datasette

from tracker import UsageTrackingMiddleware

with sqlite3.connect("shop.db") as database:
    database.execute("CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT)")
    database.execute("INSERT INTO people (name) VALUES ('Ann')")
datasette = Datasette(["shop.db"], secret="a secret of the demonstration")
datasette._root_token = "let-me-in"  # which the command prints for its owner
app = datasette.app()


def signed_in(scope):
    """The actor of Datasette's own signed cookie."""
    cookies = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode("latin-1"))
    return datasette.unsign(cookies["ds_actor"].value, "actor")["a"]["id"] if "ds_actor" in cookies else None


if "TRACKED" in os.environ:
    routes = ["/", "/-/{page}", "/{db}", "/{db}/{table}", "/{db}/{table}/{row}"]
    app = UsageTrackingMiddleware(app, os.environ["TRACKED"], routes=routes, identify=signed_in)
