"""Everything that can be set or typed is documented; nothing that is documented is made up."""

import inspect
import re
from pathlib import Path

import pytest
import typer

from guardian.cli import app, main
from guardian.settings.rules import RuleBase, rule_models
from guardian.settings.schema import setting_fields
from tracker import UsageTrackingMiddleware

DOCS = Path(__file__).parents[2] / "docs"


def commands(command=None, path="guardian"):
    """Every command with its path, as "guardian outbox list"."""
    command = command or typer.main.get_command(app)
    children = getattr(command, "commands", None)
    if not children:
        return {path: command}
    return {key: value for name, child in children.items() for key, value in commands(child, f"{path} {name}").items()}


def test_every_setting_is_documented_and_no_other():
    documented = re.findall(r"^\| `([a-z_.]+)` \|", (DOCS / "configuration.md").read_text(), flags=re.MULTILINE)
    assert sorted(documented) == sorted(setting_fields())


def test_every_kind_of_rule_is_documented_with_every_key_and_no_other():
    text = (DOCS / "alerts.md").read_text()
    common = set(RuleBase.model_fields) - {"name"}
    common = {RuleBase.model_fields[name].alias or name for name in common}
    shared = re.search(r"^## What every rule has\n(.*?)(?=^## )", text, flags=re.MULTILINE | re.DOTALL)[1]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", shared, flags=re.MULTILINE)) == common
    assert re.findall(r"^### `([a-z_]+)`", text, flags=re.MULTILINE) == list(rule_models())
    for kind, model in rule_models().items():
        section = re.search(rf"^### `{kind}`\n(.*?)(?=^###? |\Z)", text, flags=re.MULTILINE | re.DOTALL)[1]
        keys = set(re.findall(r"^\| `([a-z_]+)` \|", section, flags=re.MULTILINE))
        assert keys == set(model.model_fields) - set(RuleBase.model_fields) - {"kind"}, kind


def test_every_command_is_documented_and_no_other():
    documented = re.findall(r"^## `(guardian [a-z -]+)`", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    assert sorted(documented) == sorted(commands())


def test_every_option_is_documented_with_its_command():
    text = (DOCS / "cli.md").read_text()
    for path, command in commands().items():
        section = re.search(rf"^## `{re.escape(path)}`\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)[1]
        for option in (name for param in command.params for name in param.opts if name.startswith("--")):
            everywhere = option in ("--config", "--help")
            assert everywhere or f"`{option}" in section, f"{option} of {path} is missing in docs/cli.md"


def test_every_command_explains_itself_and_takes_the_settings_file():
    for path, command in commands().items():
        options = {name for param in command.params for name in param.opts}
        assert command.help, f"{path} says nothing about itself"
        assert "--config" in options or path == "guardian demo", f"{path} takes no --config"


def test_every_command_prints_its_help(capsys):
    for path in ("guardian", *commands()):
        with pytest.raises(SystemExit) as ended:
            main([*path.split()[1:], "--help"])
        assert ended.value.code == 0, path
        assert "--help" in capsys.readouterr().out, path


def test_every_argument_of_the_tracker_is_documented_with_its_default_and_no_other():
    text = (DOCS / "tracker.md").read_text()
    section = re.search(r"^## Arguments\n(.*?)(?=^## )", text, flags=re.MULTILINE | re.DOTALL)[1]
    documented = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", section, flags=re.MULTILINE))
    arguments = {
        name: given.default
        for name, given in inspect.signature(UsageTrackingMiddleware).parameters.items()
        if name != "app" and given.kind not in (given.VAR_KEYWORD, given.VAR_POSITIONAL)
    }
    assert list(documented) == list(arguments)
    for name, default in arguments.items():
        said = documented[name].strip("`").replace('"', "'")
        assert default is None or said == repr(default) or float(said) == default, name
