"""Sources of ids and addresses: a CSV file, a function of the app, or a query (see `query`). Each may block."""

from __future__ import annotations

import asyncio
import csv
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from guardian.settings.people import AliasSettings
from guardian.stores.people.query import Query
from guardian.stores.people.source import Source, SourceError

_HEAD = re.compile(r"[\s_-]+")
IDS = ("id", "user_id", "userid", "uid", "uuid", "sub", "subject", "user", "username")
ADDRESSES = ("email", "e_mail", "email_address", "e_mail_address", "mail", "address", "user_email")
"""The possible column names of a CSV file, in any case; without such a header the first two columns are id and
address."""


def open_source(settings: AliasSettings, names: Callable[[], Iterable[str]]) -> Source | None:
    """The source that the settings name; None if they name none. `names` gives every name that was ever recorded."""
    if settings.csv is not None:
        return CsvFile(settings.csv)
    if settings.call is not None:
        return Function(settings.call, settings.folder, names)
    if settings.query is not None and settings.database_url is not None:
        return Query(settings.query, settings.database_url.get_secret_value())
    return None


@dataclass(frozen=True)
class CsvFile:
    """A UTF-8 file, with columns separated by commas, semicolons or tabs."""

    path: Path

    @property
    def name(self) -> str:
        """The file's."""
        return str(self.path)

    def version(self) -> Hashable:
        """The file's modification time, size and identity; None while it does not exist."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def read(self) -> Iterator[tuple[str, ...]]:
        """See Source."""
        try:
            if self.path.exists() and not self.path.is_file():  # opening a pipe would wait for its writer
                raise SourceError(f"{self.path} is not a file: let alias.csv name one")
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                first = file.readline()
                mark = max(",;\t", key=first.count)
                yield from _columns(csv.reader(chain([first], file), delimiter=mark))
        except FileNotFoundError:
            raise SourceError(f"{self.path} is not there: write it, or correct alias.csv") from None
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read ({error.strerror}): check its permissions") from None
        except (UnicodeDecodeError, csv.Error):
            raise SourceError(f"{self.path} is not a table in UTF-8: save it as CSV in UTF-8") from None


def _columns(rows: Iterator[list[str]]) -> Iterator[tuple[str, ...]]:
    """The (id, address) rows of a table, without its header."""
    head = [row for _, row in zip(range(2), rows, strict=False)]
    names = [_HEAD.sub("_", cell.strip().lower()) for cell in head[0]] if head else []
    number = next((names.index(each) for each in IDS if each in names), None)
    address = next((names.index(each) for each in ADDRESSES if each in names), None)
    if address is not None:
        number = next(at for at in (number, 0, 1) if at is not None and at != address)
        head = head[1:]
    else:
        number, address = 0, 1
        if len(head) == 2 and not any("@" in cell for cell in head[0]) and any("@" in cell for cell in head[1]):
            head = head[1:]  # a header with other words
    for row in chain(head, rows):
        if any(cell.strip() for cell in row):
            yield (row[number], row[address].strip()) if max(number, address) < len(row) else tuple(row[:1])


@dataclass(frozen=True)
class Function:
    """A function of the app, also importable from the settings file's folder. If it takes an argument, it is called for
    each of the `names` that were ever recorded. It may be async."""

    name: str
    folder: Path
    names: Callable[[], Iterable[str]]

    def version(self) -> Hashable:
        """See Source."""
        return None

    def read(self) -> Iterable[Any]:
        """See Source."""
        function = self._found()
        try:
            single = any(_is_needed(each) for each in inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            single = True  # a function written in C
        if single:
            return self._one_by_one(function)
        found = self._asked(function)
        if isinstance(found, Mapping):
            return list(found.items())
        if isinstance(found, str | bytes) or not isinstance(found, Iterable):
            raise SourceError(f"{self.name} gave back {type(found).__name__}: let it return {{id: address}}")
        try:
            return list(found)
        except Exception as error:
            raise self._failed(error) from None

    def _found(self) -> Callable[..., Any]:
        module, _, attribute = self.name.partition(":")
        if str(self.folder) not in sys.path:
            sys.path.append(str(self.folder))
        try:
            function: Callable[..., Any] | None = getattr(importlib.import_module(module), attribute, None)
        except Exception as error:
            raise SourceError(f"{module} cannot be imported ({type(error).__name__}): correct alias.call") from None
        if not callable(function):
            raise SourceError(f"{module} has no function {attribute}: correct alias.call")
        return function

    def _one_by_one(self, function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
        for name in self.names():
            try:
                address = self._asked(function, name)
            except LookupError:
                continue  # how a dictionary says that it does not know the id
            yield name, address

    def _asked(self, function: Callable[..., Any], *ids: str) -> Any:
        try:
            found = function(*ids)
            return asyncio.run(_awaited(found)) if inspect.isawaitable(found) else found
        except Exception as error:
            if ids and isinstance(error, LookupError):
                raise
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> SourceError:
        # Not the exception's text, which may contain somebody's id.
        return SourceError(f"{self.name} raised {type(error).__name__}: correct the function")


def _is_needed(parameter: inspect.Parameter) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return parameter.kind in positional and parameter.default is inspect.Parameter.empty


async def _awaited(found: Any) -> Any:
    return await found
