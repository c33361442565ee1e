"""The command `guardian`. Commands call functions of the other modules, which are imported when one runs."""

from __future__ import annotations

import gc
import logging
import platform
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from guardian.cli import alerts, backtest, data, gmail, importing, keys, link, mails, migrate, reports, running, setup

app = typer.Typer(
    name="guardian",
    help="Tells the admins of a web app, by mail, who uses it, what breaks for whom, and when to act.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
# UsageError: at home in another module with each few releases of typer
_MISUNDERSTOOD: Any = typer.BadParameter.__bases__[0]


def _print_versions(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        known = {}
        for package in ("usage-guardian", "usage-guardian-tracker"):
            try:
                known[package] = version(package)
            except PackageNotFoundError:  # a checkout, or the one distribution that has both
                known[package] = known.get("usage-guardian", "not installed")
        ours, tracker = known.values()
        typer.echo(f"guardian {ours} (tracker {tracker}, Python {platform.python_version()})")
        raise typer.Exit


@app.callback(help=app.info.help)
def guardian(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_versions, is_eager=True, help="Say which versions these are."),
    ] = False,
) -> None:
    """The options that come before a command. With `version` the versions are printed, and no command runs."""


START, LOOK, MAIL, DATA = "Start", "Look", "Mail", "Data"
app.command("demo", rich_help_panel=START)(running.demo)
app.command("init", rich_help_panel=START)(setup.init)
app.command("check", rich_help_panel=START)(setup.check)
app.command("run", rich_help_panel=START)(running.run)
app.command("import", rich_help_panel=START)(importing.import_logs)
app.command("report", rich_help_panel=LOOK)(reports.report)
app.command("preview", rich_help_panel=LOOK)(reports.preview)
app.add_typer(alerts.alerts, rich_help_panel=LOOK)
app.command("link", rich_help_panel=LOOK)(link.link)
app.command("backtest", rich_help_panel=LOOK)(backtest.backtest)
app.command("send-test", rich_help_panel=MAIL)(setup.send_test)
app.add_typer(mails.outbox, rich_help_panel=MAIL)
app.add_typer(gmail.gmail, rich_help_panel=MAIL)
app.command("cleanup", rich_help_panel=DATA)(data.cleanup)
app.command("export", rich_help_panel=DATA)(data.export)
app.command("backup", rich_help_panel=DATA)(data.backup)
app.command("migrate", rich_help_panel=DATA)(migrate.migrate)
app.add_typer(data.users, rich_help_panel=DATA)
app.add_typer(keys.keys, rich_help_panel=DATA)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 could not be done, 2 not understood, 130 interrupted.

    `arguments` None means those of the process; without any, the help is shown. What goes wrong is one line on stderr.
    """
    code = _exit_code(list(sys.argv[1:] if arguments is None else arguments) or ["--help"])
    if arguments is None:
        gc.freeze()  # it ends: looking for cycles in all that it holds is a tenth of a short command
    sys.exit(code)


def _exit_code(arguments: list[str]) -> int:
    from guardian.core.storage import StorageError
    from guardian.mail.transport import DeliveryError, UnknownOutcome

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="guardian", standalone_mode=False)
    except _MISUNDERSTOOD as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "guardian"
        message = error.format_message().replace("Value error, ", "").rstrip(".")
        return _refuse(f"{message}: see '{path} --help'", error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _refuse("stopped", 130)
    except BrokenPipeError:
        sys.stdout = None  # `guardian report | head`: nobody reads the rest
        return 1
    except (StorageError, DeliveryError, UnknownOutcome, ValueError, OSError) as error:
        return _refuse(str(error))
    return code if isinstance(code, int) else 0


def _refuse(message: str, code: int = 1) -> int:
    from guardian.core.log_lines import logs_json, say_at_the_end

    lines = message.splitlines() or ["no reason is known"]
    if len(lines) == 1 or logs_json():
        for line in lines:
            say_at_the_end(line)
    else:
        sys.stderr.write(f"guardian: {len(lines)} things are wrong\n" + "".join(f"  - {line}\n" for line in lines))
    return code
