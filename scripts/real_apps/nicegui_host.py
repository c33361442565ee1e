"""NiceGUI with pages of its own and users in its session; the line of its own is `session_user_key`."""

import os

from fastapi import FastAPI, Request
from nicegui import ui
from starlette.middleware.sessions import SessionMiddleware

from tracker import UsageTrackingMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="a secret of the demonstration")


@app.post("/login/{name}")
def login(request: Request, name: str):
    """Sign somebody in."""
    request.session["email"] = f"{name}@example.com"
    return {}


@ui.page("/threads/{id}")
def thread(request: Request, id: int):
    """A page."""
    ui.label(f"thread {id}")


@ui.page("/broken")
def broken():
    """A page that fails."""
    raise RuntimeError("a page that fails")


ui.run_with(app)
if "TRACKED" in os.environ:
    app.add_middleware(UsageTrackingMiddleware, database=os.environ["TRACKED"], session_user_key="email")
