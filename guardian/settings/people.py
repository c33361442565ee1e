"""The settings of `[alias]`: where to look up which address an id stands for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PrivateAttr, SecretStr, model_validator

from guardian.settings.section import Section
from guardian.settings.values import OR_OF_FILE, LocalPath, SecretFile, local_path

_BLOCKING = {"asyncpg": "psycopg", "aiomysql": "pymysql", "asyncmy": "pymysql"}


def _function(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        raise ValueError(f"{value!r} is not a function: write it as module:function, such as myapp.people:alias")
    return value


def _query(value: str) -> str:
    if not re.match(r"\s*(SELECT|WITH)\b", value, re.IGNORECASE):
        raise ValueError("this is not a query: write it as SELECT id, email FROM users")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    """The URL for a blocking driver, since the query runs in a thread. It may hold a password: no error repeats it."""
    scheme, mark, rest = value.get_secret_value().partition("://")
    kind, _, driver = scheme.partition("+")
    if not mark or not re.fullmatch(r"\w+(\+\w+)?", scheme):
        raise ValueError("this is not the URL of a database: write it as postgresql://user:password@host/name")
    if driver in _BLOCKING:
        raise ValueError(
            f"the driver {driver} works only inside an event loop: write {kind}+{_BLOCKING[driver]}://, and install it"
        )
    if kind == "sqlite":
        path, question, options = rest.removeprefix("/").partition("?")
        if not path or path == ":memory:" or path.startswith("file:"):
            raise ValueError("this names no file: write it as sqlite:///app.db")
        return SecretStr(f"sqlite:///{local_path(Path(path)).absolute()}{question}{options}")
    kind = "postgresql" if kind == "postgres" else kind
    return SecretStr(f"{kind}{f'+{driver}' if driver else ''}://{rest}")


class AliasSettings(Section):
    """Who the people are whom the app records by an id: `[alias]`. One source at most; none by default.

    `csv` is a file of ids and addresses. `call` is `module:function`: asked for the address of one id, or without an
    argument for all. `query` gives ids and addresses from the database of `database_url`.
    """

    csv: LocalPath | None = None
    call: Annotated[str, AfterValidator(_function)] | None = None
    query: Annotated[str, AfterValidator(_query)] | None = None
    database_url_file: SecretFile | None = None
    database_url: Annotated[Annotated[SecretStr, AfterValidator(_database_url)] | None, OR_OF_FILE] = None
    _folder: Path = PrivateAttr(default_factory=lambda: local_path(Path()).absolute())

    @model_validator(mode="after")
    def _one_source(self) -> AliasSettings:
        given = [name for name in ("csv", "call", "query") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are set: people are read from one place, keep one of them")
        if self.query is not None and self.database_url is None:
            raise ValueError("query has no database: add database_url or database_url_file")
        if self.query is None and self.database_url is not None:
            raise ValueError('database_url is set without a query: add query = "SELECT id, email FROM users"')
        return self

    @property
    def folder(self) -> Path:
        """The folder of the settings file: the module of `call` may lie there."""
        return self._folder
