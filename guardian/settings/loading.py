"""The settings file: reading it, with everything that is wrong reported at once, and writing a first one."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from guardian.core.files import replacing
from guardian.settings.problems import PREFIX, line_of, sentences, table_names
from guardian.settings.rules import Rule, parse_rule
from guardian.settings.schema import Settings, setting_fields
from guardian.settings.secrecy import has_secret
from guardian.settings.secret_files import others_may_read
from guardian.settings.smtp_url import smtp_table
from guardian.settings.values import relative_to

DEFAULT_PATH = Path("guardian.toml")
_NAMED = ("GUARDIAN_CHANNELS__", "GUARDIAN_RULES__")
"""How the variables begin of tables whose names the owner chooses."""


class SettingsError(ValueError):
    """The settings cannot be used. `problems` has one sentence for each thing that is wrong; no secret is in them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class _Layered(Settings):
    """Settings made from the file; environment variables override it."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the file."""
        return env_settings, init_settings


def load_settings(path: Path | None = None) -> Settings:
    """The settings of the TOML file at `path`, each overridden by its variable, as GUARDIAN_MAIL__SMTP__PASSWORD.

    `path` None means ./guardian.toml, or the environment alone where there is no such file but a variable that names
    a setting. Relative paths are seen from the file's folder. Raises SettingsError with everything that is wrong.
    """
    if path is None and not DEFAULT_PATH.exists():
        if not _variables():
            raise SettingsError(["there is no guardian.toml here: run 'guardian init', or name a file with --config"])
        return _validated({}, "", Path(), "")
    path = path or DEFAULT_PATH
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        raw = tomllib.loads(text)
    except OSError as error:
        cure = "run 'guardian init' to write one" if isinstance(error, FileNotFoundError) else "check its permissions"
        raise SettingsError([f"{path} cannot be read ({error.strerror}): {cure}"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{path} is not a UTF-8 text: save it as UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path} is not TOML: {error}"]) from None
    mail = raw.get("mail")
    if isinstance(mail, dict) and isinstance(mail.get("smtp"), str):
        with suppress(ValueError):  # said by the validation, with the other problems
            mail["smtp"] = smtp_table(mail["smtp"])  # a table, so that a variable can change a part of it
    exposed = [] if not has_secret(raw) or not others_may_read(path) else [
        f"others than its owner may read {path}, which holds a secret: run 'chmod 600 {path}'"
    ]  # fmt: skip
    return _validated(raw, text, path.absolute().parent, str(path), exposed)


def _validated(raw: dict[str, Any], text: str, folder: Path, file: str, exposed: Sequence[str] = ()) -> Settings:
    problems = list(exposed)
    try:
        with relative_to(folder):
            settings = _Layered(**raw)
    except ValidationError as error:
        found = sorted(error.errors(include_url=False), key=lambda each: line_of(each["loc"], text) or 0)
        problems += [sentence for each in found for sentence in sentences(each, text, file)]
    if problems:
        raise SettingsError(problems)
    return settings


def _variables() -> list[str]:
    """The environment variables that name a setting, or a table of settings."""
    keys = {PREFIX + key.replace(".", "__").upper() for key in (*setting_fields(), *table_names())}
    return sorted(name for name in os.environ if name.upper() in keys or name.upper().startswith(_NAMED))


def unknown_variables() -> list[str]:
    """The environment variables that look like settings but are not. GUARDIAN_CONFIG is known: it belongs to the
    command line."""
    known = {*_variables(), "GUARDIAN_CONFIG"}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def parse_rules(tables: Mapping[str, dict[str, Any]], critical_features: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rules of these `[rules.NAME]` tables, in their order. Raises SettingsError with everything that is wrong."""
    rules: list[Rule] = []
    problems: list[str] = []
    for name, table in tables.items():
        try:
            rules.append(parse_rule(name, table, critical_features=critical_features))
        except ValidationError as error:
            for each in error.errors(include_url=False):
                problems += sentences({**each, "loc": ("rules", name, *each["loc"])}, "", "")
    if problems:
        raise SettingsError(problems)
    return tuple(rules)


def example_text() -> str:
    """What `guardian init` writes: five lines to fill in, and every other key with its default and what it means."""
    from guardian.core.resources import config_dir

    return (config_dir() / "guardian.example.toml").read_text(encoding="utf-8")


def write_example(path: Path, *, force: bool = False) -> None:
    """Write `example_text` to `path`, readable by its owner only.

    Raises FileExistsError where there is a file and `force` is not set; that file stays as it is.
    """
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists: edit it, or run 'guardian init --force' to write it anew")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(example_text())
