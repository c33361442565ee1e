"""The settings file: reading it with all that is wrong said at once, and writing the first one."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from guardian.core.files import replacing
from guardian.core.secret_url import SecretUrl
from guardian.settings.channels import ChannelSettings
from guardian.settings.rules import Rule, parse_rule, rule_models
from guardian.settings.schema import Settings, setting_fields
from guardian.settings.section import Section
from guardian.settings.smtp_url import smtp_table
from guardian.settings.values import others_may_read, relative_to

DEFAULT_PATH = Path("guardian.toml")
_PREFIX = "GUARDIAN_"
_NAMED = ("GUARDIAN_CHANNELS__", "GUARDIAN_RULES__")
"""What begins the variables of tables whose names the owner chooses."""
_OF_RULES: dict[str, tuple[str, ...]] = {"unknown_channels": ("channels",), "forgetful_rules": ()}
"""The errors that are of several rules at once, and the key of theirs that each is about."""
_EXAMPLES = {"bool": "true or false", "int": "a whole number", "float": "a number", "string": "a text in quotes"}


class SettingsError(ValueError):
    """The settings cannot be used. `problems` has one sentence for each thing that is wrong; no secret is in them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class _Layered(Settings):
    """Settings whose arguments, the file, come after the environment."""

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
    exposed = [] if not _has_secret(raw) or not others_may_read(path) else [
        f"others than its owner may read {path}, which holds a secret: run 'chmod 600 {path}'"
    ]  # fmt: skip
    return _validated(raw, text, path.absolute().parent, str(path), exposed)


def _validated(raw: dict[str, Any], text: str, folder: Path, file: str, exposed: Sequence[str] = ()) -> Settings:
    problems = list(exposed)
    try:
        with relative_to(folder):
            settings = _Layered(**raw)
    except ValidationError as error:
        found = sorted(error.errors(include_url=False), key=lambda each: _line(each["loc"], text) or 0)
        problems += [sentence for each in found for sentence in _sentences(each, text, file)]
    if problems:
        raise SettingsError(problems)
    return settings


def _variables() -> list[str]:
    """The environment variables that name a setting, or a table of settings."""
    keys = {_PREFIX + key.replace(".", "__").upper() for key in (*setting_fields(), *_tables())}
    return sorted(name for name in os.environ if name.upper() in keys or name.upper().startswith(_NAMED))


def _tables() -> set[str]:
    """Every table, and every list of tables, by its dotted name: `mail`, `mail.smtp`."""
    return {".".join(key.split(".")[:depth]) for key in setting_fields() for depth in range(1, key.count(".") + 1)}


def unknown_variables() -> list[str]:
    """The environment variables that look like settings but name none; GUARDIAN_CONFIG is the command line's."""
    known = {*_variables(), "GUARDIAN_CONFIG"}
    return sorted(name for name in os.environ if name.startswith(_PREFIX) and name not in known)


def _is_secret(key: str) -> bool:
    if key.startswith("channels."):  # then comes a name of the owner's choice
        return not key.endswith((".url_file", ".allow_private"))
    field = setting_fields().get(key)
    return key == "mail.smtp" or _is_url(key) or (field is not None and "SecretStr" in str(field.annotation))


def _is_url(key: str) -> bool:
    """Whether the key is of an address that may hold a secret. Those of a rule depend on its kind."""
    field = setting_fields().get(key)
    described = "" if field is None else f"{field.annotation} {field.metadata}"
    return (key.startswith("rules.") and key.endswith(".probe.url")) or any(each in described for each in _URLS)


_URLS = ("SecretUrl", "_key_source")


def _has_secret(raw: dict[str, Any]) -> bool:
    """Whether a secret itself stands in the file, not only the path of one."""

    def walk(value: Any, key: str) -> bool:
        if isinstance(value, dict):
            return any(walk(part, f"{key}.{name}".lstrip(".")) for name, part in value.items())
        if isinstance(value, list):
            return any(walk(part, key) for part in value)
        if key == "alias.database_url":
            return not str(value).startswith("sqlite")  # that of a file has no password
        if _is_url(key):
            # Whoever knows the address of a ping can ping: its path is the secret.
            return key.endswith("ping_url") or SecretUrl(str(value)).holds_secret
        return _is_secret(key)  # an smtp:// URL among them is one that cannot be read: nobody knows what is in it

    return walk(raw, "")


def parse_rules(tables: Mapping[str, dict[str, Any]], critical_features: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rules of these `[rules.NAME]` tables, in their order. Raises SettingsError with everything that is wrong."""
    rules: list[Rule] = []
    problems: list[str] = []
    for name, table in tables.items():
        try:
            rules.append(parse_rule(name, table, critical_features=critical_features))
        except ValidationError as error:
            for each in error.errors(include_url=False):
                problems += _sentences({**each, "loc": ("rules", name, *each["loc"])}, "", "")
    if problems:
        raise SettingsError(problems)
    return tuple(rules)


def _sentences(error: Any, text: str, file: str) -> list[str]:
    """One sentence a problem: all channels that rules name and that are not there are one error, and so on."""
    if error["type"] not in _OF_RULES:
        return [_sentence(error, text, file)]
    key = _OF_RULES[error["type"]]
    return [_place(("rules", rule, *key), text, file) + said for rule, said in error["ctx"]["found"]]


def _sentence(error: Any, text: str, file: str) -> str:
    """Key, value and cure of one of pydantic's errors (see "Validation Errors" in its documentation)."""
    loc, kind = tuple(error["loc"]), error["type"]
    model: type[Section] | None = ChannelSettings if loc[0] == "channels" else None
    if loc[0] == "rules" and len(loc) > 2:
        model, loc = rule_models().get(str(loc[2])), loc[:2] + loc[3:]  # pydantic puts the rule's kind into the path
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    plain = ".".join(part for part in loc if isinstance(part, str))
    if kind == "union_tag_invalid":
        place = _place((*loc, "kind"), text, file)
        known = ", ".join(rule_models())
        return f"{place}{key}.kind = {error['ctx']['tag']} is not a kind of rule: it is one of {known}"
    place = _place(loc, text, file)
    if kind == "extra_forbidden":
        return f"{place}{key} is not a setting{_suggestion_in(model, loc) if model else _suggestion(plain)}"
    if kind == "missing":
        return f"{place}{key} is missing: add {loc[-1]} = …"
    if kind == "value_error":
        said = _redacted(str(error["ctx"]["error"]))
        return place + (said if said.startswith(f"{key} ") else f"{key}: {said}")
    shown = key if _is_secret(plain) or isinstance(error["input"], dict) else f"{key} = {_shown(error['input'])}"
    limits = {
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be more than {gt}",
        "less_than_equal": "must be at most {le}",
        "less_than": "must be less than {lt}",
        "string_too_short": "must not be empty",
        "literal_error": "is none of {expected}",
    }
    if kind in limits:
        return f"{place}{shown} " + limits[kind].format(**error.get("ctx", {}))
    if kind in ("tuple_type", "list_type"):
        return f'{place}{shown} is not a list: write it in brackets, as ["…"]'
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        if place.startswith(_PREFIX):
            inner = next((each for each in setting_fields() if each.startswith(f"{plain}.")), f"{plain}.url")
            example = _PREFIX + inner.replace(".", "__").upper()
            return f"{place}{key} is a table: set its keys one by one, as {example}"
        return f"{place}{key} is not a table: write its keys under [{plain}]"
    if kind.split("_")[0] in ("path", "secret"):
        kind = "string_type"
    wanted = _EXAMPLES.get(kind.split("_")[0])
    return f"{place}{shown} is not {wanted}" if wanted else f"{place}{shown}: {error['msg']}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _redacted(text if len(text) <= 80 else text[:77] + "…")


def _redacted(text: str) -> str:
    """The text without what may be a password in an URL; our own example stays."""
    return re.sub(r"://(?!user:password@)[^\s/]*@", "://…@", text)


def _suggestion(key: str) -> str:
    known = list(setting_fields())
    tables = _tables()
    folder, _, last = key.rpartition(".")
    beside = [name for name in {*known, *tables} if name.rpartition(".")[0] == folder]
    found = difflib.get_close_matches(key, beside, n=1, cutoff=0.7)
    found = found or [name for name in (*known, *tables) if name.rpartition(".")[2] == last]
    found = found or difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    if found:
        return f": did you mean {found[0]}?"
    return ": the settings here are " + ", ".join(sorted({name.rpartition(".")[2] for name in beside or known}))


def _suggestion_in(model: type[Section], loc: tuple[str | int, ...]) -> str:
    known = [field.alias or name for name, field in model.model_fields.items() if name != "name"]
    found = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
    what = "a channel" if loc[0] == "channels" else "a rule of this kind"
    return f": did you mean {found[0]}?" if found else f": {what} has {', '.join(known)}"


def _place(loc: tuple[str | int, ...], text: str, file: str) -> str:
    """Where the value comes from: "GUARDIAN_API__PORT: " or "guardian.toml line 7: "."""
    variable = _PREFIX + "__".join(part.upper() for part in loc if isinstance(part, str))
    if any(name.upper() == variable for name in os.environ):
        return f"{variable}: "
    line = _line(loc, text)
    return f"{file} line {line}: " if line else f"{file}: " if file else ""


def _line(loc: tuple[str | int, ...], text: str) -> int | None:
    """The line that holds the key, or else the table or list that holds it; None for one that is nowhere."""
    best, depth = None, 0
    table: tuple[str | int, ...] = ()
    seen: Counter[tuple[str | int, ...]] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        if head := re.match(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]", line):
            table = _key_path(head[2])
            if head[1] == "[[":
                seen[table] += 1
                table = (*table, seen[table] - 1)
            path = table
        elif key := re.match(r"\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=", line):
            path = table + _key_path(key[1])
        else:
            continue
        if loc[: len(path)] == path and len(path) > depth:
            best, depth = number, len(path)
    return best


def _key_path(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip(" \t\"'") for part in dotted.split("."))


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
