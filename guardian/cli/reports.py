"""`guardian report` and `guardian preview`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.cli.console import (
    ConfigOption,
    HoursOption,
    JsonOption,
    err,
    out,
    say_json,
    settings_of,
    with_application,
    with_usage,
)

if TYPE_CHECKING:
    from guardian.application.root import Application
    from guardian.application.usage import UsageGuardian
    from guardian.core.report.model import Report


def report(
    hours: HoursOption = 24,
    save: Annotated[bool, typer.Option("--save", help="Also write usage_report.json into reports_dir.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report on the last hours: who used what, and what failed for whom."""

    async def generate(usage: UsageGuardian) -> tuple[dict[str, Any], Report | None, Path | None]:
        made, path = await usage.generate_and_save_report(hours) if save else (await usage.generate_report(hours), None)
        return made, None if as_json else await _shown(made, usage), path

    settings = settings_of(config)
    made, shown, path = with_usage(settings, generate)
    if shown is None:
        say_json(made)
    else:
        from guardian.cli.report_view import report_view

        out().print(report_view(shown, settings.timezone))
    if path:
        typer.echo(f"Wrote {path}.", err=True)


async def _shown(made: dict[str, Any], usage: UsageGuardian) -> Report:
    """The report as it is shown to people: with the latency of the period before, which its JSON does not have."""
    from guardian.application.latency_before import with_latency_before
    from guardian.core.report.reading import from_json

    return await with_latency_before(from_json(made), usage.repository)


def preview(
    hours: HoursOption = 24,
    directory: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Write the files into this folder.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every mail that Guardian can send, from sample data, with pictures."),
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the report mail as it would go out now, in the browser; or, with --all, a sample of every mail.

    Nothing is sent.
    """
    folder = directory or Path(tempfile.mkdtemp(prefix="guardian-preview-"))
    if every:
        _preview_all(folder)
        return

    async def compose(app: Application) -> bytes:
        from guardian.application.latency_before import with_latency_before
        from guardian.mail.companions import load_companions

        made = await with_latency_before(await app.usage.read_report(hours), app.repository)
        reports = {**load_companions(app.settings.reports_dir), "usage_stats": made}
        to = next(iter(app.settings.admins), "you@example.com")
        upcoming = min((named.schedule.upcoming(app.clock()) for named in app.schedules), default=None)
        return app.email.compose_guardian_report(to, reports, key="preview", next_report=upcoming).body

    from guardian.application.preview.folder import write_mail

    subject = write_mail(with_application(config, compose), folder, "report")
    typer.echo(f"Subject: {subject}\nWrote {folder / 'report.html'}, report.txt and report.eml.")
    if not no_open:
        import webbrowser

        webbrowser.open((folder / "report.html").absolute().as_uri())


def _preview_all(folder: Path) -> None:
    import asyncio

    from rich.progress import track

    from guardian.application.preview.folder import all_samples, take_pictures, write_mail
    from guardian.application.preview.pictures import SCREENS, find_chromium

    samples = asyncio.run(all_samples())
    for sample in samples:
        subject = write_mail(sample.mail.body, folder, sample.name)
        typer.echo(f"{sample.name:22} {subject}")
    chromium = find_chromium()
    if chromium is None:
        typer.echo("No pictures: install Chromium or Chrome for them.", err=True)
    else:
        names = [sample.name for sample in samples]
        total = len(names) * len(SCREENS)
        for _ in track(take_pictures(chromium, folder, names), "Taking pictures …", total, console=err()):
            pass
    typer.echo(f"Wrote {len(samples)} mails into {folder}.")
