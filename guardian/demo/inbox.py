"""The demo's inbox: a real SMTP server on loopback that keeps each message as a file, and a page to read them."""

from __future__ import annotations

import email
import socket
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from guardian.core.templates import environment
from guardian.mail.message import html_page

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""The content security policy for a mail's HTML in its frame."""


class Mailbox:
    """An aiosmtpd handler that writes each message it accepts into `folder`, in the order they came."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message."""
        number = len(list(self.folder.glob("*.eml"))) + 1
        content = envelope.original_content or b""
        (self.folder / f"{number:04}.eml").write_bytes(content)
        return "250 OK"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as the page shows it; `thread` is the Message-ID of the first of its thread."""

    name: str
    subject: str
    sender: str
    to: str
    date: datetime | None
    text: str
    thread: str
    reply: bool


def read_mail(path: Path) -> tuple[Mail, EmailMessage]:
    """A kept message, parsed."""
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    text = message.get_body(("plain",))
    parent = str(message["References"] or message["Message-ID"] or path.name).split()[0]
    date = message["Date"].datetime if message["Date"] else None
    mail = Mail(
        path.stem,
        str(message["Subject"]),
        str(message["From"]),
        str(message["To"]),
        date,
        text.get_content() if text else "",
        parent,
        message["In-Reply-To"] is not None,
    )
    return mail, message


def create_inbox(folder: Path) -> Starlette:
    """The page: `/` lists all and shows the newest, `/mail/{name}` one, `/mail/{name}/html` its HTML for the frame."""

    def mails() -> list[Mail]:
        """All of them, thread by thread: the one that got a mail last comes first, and begins with its oldest."""
        threads: dict[str, list[Mail]] = {}
        for path in sorted(folder.glob("*.eml")):
            mail = read_mail(path)[0]
            threads[mail.thread] = [*threads.pop(mail.thread, ()), mail]
        return [mail for thread in reversed(threads.values()) for mail in thread]

    def find(request: Request) -> Path:
        path = folder / f"{request.path_params['name']}.eml"
        if not request.path_params["name"].isdigit() or not path.exists():
            raise HTTPException(404, "There is no such mail.")
        return path

    def page(**values: Any) -> Response:
        return HTMLResponse(environment("web").get_template("inbox.html").render(mails=mails(), **values))

    def show_file(path: Path) -> Response:
        mail, message = read_mail(path)
        return page(mail=mail, headers=[(name, str(value)) for name, value in message.items()])

    async def index(request: Request) -> Response:
        newest = max(folder.glob("*.eml"), default=None)
        return page(mail=None, headers=()) if newest is None else show_file(newest)

    async def show(request: Request) -> Response:
        return show_file(find(request))

    async def html(request: Request) -> Response:
        _, message = read_mail(find(request))
        body = html_page(message) or "<p>This mail has no HTML part.</p>"
        # Links open beside the inbox, as a mail program does it; nothing in a mail runs, or is fetched.
        body = body.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(body, headers={"Content-Security-Policy": POLICY})

    return Starlette(
        routes=[Route("/", index), Route("/mail/{name}", show), Route("/mail/{name}/html", html)],
    )


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
