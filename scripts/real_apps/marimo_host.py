"""marimo serves a notebook as an app."""

import os
from pathlib import Path

import marimo

from tracker import UsageTrackingMiddleware

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    return
"""
Path("notebook.py").write_text(NOTEBOOK)
app = marimo.create_asgi_app(token="let-me-in").with_app(path="/apps/one", root="notebook.py").build()
if "TRACKED" in os.environ:
    app = UsageTrackingMiddleware(app, database=os.environ["TRACKED"])
