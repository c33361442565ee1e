"""`guardian report` and `guardian preview`."""

from __future__ import annotations

import tempfile
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.cli.console import ConfigOption, HoursOption, JsonOption, out, say_json, with_application

if TYPE_CHECKING:
    from guardian.application import Application


def report(
    hours: HoursOption = 24,
    save: Annotated[bool, typer.Option("--save", help="Write usage_report.json into reports_dir, too.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report on the last hours: who used what, and what failed for whom."""

    async def generate(app: Application) -> tuple[dict[str, Any], Path | None, str]:
        made = (
            await app.usage.generate_and_save_report(hours) if save else (await app.usage.generate_report(hours), None)
        )
        return (*made, app.settings.timezone)

    made, path, zone = with_application(config, generate)
    if as_json:
        say_json(made)
    else:
        from guardian.cli.report_view import report_view

        out().print(report_view(made, zone))
    if path:
        typer.echo(f"Wrote {path}.", err=True)


def preview(
    hours: HoursOption = 24,
    directory: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Write report.html, .txt and .eml into this folder.")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the report mail as it would go out now, in the browser. Nothing is sent."""

    async def compose(app: Application) -> bytes:
        from guardian.companions import load_companions

        made = await app.usage.generate_report(hours)
        reports = {**load_companions(app.settings.reports_dir), "usage_stats": made}
        to = next(iter(app.settings.admins), "you@example.com")
        upcoming = min((named.schedule.upcoming(app.clock()) for named in app.schedules), default=None)
        return app.email.compose_guardian_report(to, reports, key="preview", next_report=upcoming).body

    from guardian.mail.message import html_page

    body = with_application(config, compose)
    folder = directory or Path(tempfile.mkdtemp(prefix="guardian-preview-"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.eml").write_bytes(body)
    message: EmailMessage = message_from_bytes(body, policy=policy.default)  # type: ignore[assignment]
    text = message.get_body(("plain",))
    parts = {"txt": text.get_content() if text else None, "html": html_page(message)}
    for suffix, content in parts.items():
        if content is not None:
            (folder / f"report.{suffix}").write_text(content, encoding="utf-8")
    typer.echo(f"Subject: {message['Subject']}\nWrote {folder / 'report.html'}, report.txt and report.eml.")
    if not no_open:
        import webbrowser

        webbrowser.open((folder / "report.html").absolute().as_uri())
