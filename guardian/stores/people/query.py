"""Ids and addresses from the app's own database, through SQLAlchemy ("Working with Engines and Connections")."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from guardian.stores.people.source import SourceError

CONNECT_SECONDS = 10
"""The time limit for connecting to a database."""


@dataclass(frozen=True, repr=False)
class Query:
    """A query that returns two columns, on any database that SQLAlchemy can reach. Never commits."""

    query: str
    url: str
    name: str = "alias.query"

    def version(self) -> Hashable:
        """See Source."""
        return None

    def read(self) -> Iterable[Sequence[Any]]:
        """See Source."""
        try:
            import sqlalchemy
            from sqlalchemy.pool import NullPool
        except ImportError:
            raise SourceError("alias.query needs SQLAlchemy: run pip install 'usage-guardian[alias]'") from None
        scheme, _, path = self.url.partition(":///")
        if scheme == "sqlite" and not Path(path.partition("?")[0]).is_file():
            raise SourceError("the file of alias.database_url is not there: correct alias.database_url")
        try:
            engine = sqlalchemy.create_engine(self.url, poolclass=NullPool, connect_args=_limits(self.url))
            with engine.connect().execution_options(no_parameters=True, stream_results=True) as connection:
                rows = connection.exec_driver_sql(self.query)
                if len(rows.keys()) != 2:
                    raise SourceError("alias.query gives not two columns: write it as SELECT id, email FROM users")
                while chunk := rows.fetchmany(10_000):
                    yield from map(tuple, chunk)
        except ImportError as error:
            driver = error.name or "the database's driver"
            raise SourceError(
                f"alias.query needs {driver}, which is not installed: install it beside Guardian"
            ) from None
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise SourceError(
                f"alias.query failed ({self._reason(error)}): check alias.database_url and alias.query"
            ) from None

    def _reason(self, error: Exception) -> str:
        """The driver's message on one line, without the URL and password; for a bad value in a row, only that there is
        one."""
        cause = None if type(error).__name__ in ("DataError", "IntegrityError") else getattr(error, "orig", None)
        lines = str(cause if cause is not None else type(error).__name__).strip().splitlines()
        text = lines[0] if lines else type(error).__name__
        parts = urlsplit(self.url)
        secrets = [self.url, parts.netloc, parts.query]
        try:
            secrets += [parts.password or "", unquote(parts.password or "")]
        except ValueError:
            return type(error).__name__
        for secret in filter(None, secrets):
            text = text.replace(secret, "…")
        return text[:200]


def _limits(url: str) -> dict[str, Any]:
    """The connection time-out option of the common drivers; others have their own limits."""
    kind = url.partition("://")[0]
    if kind in ("postgresql", "postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql", "mysql", "mysql+mysqldb"):
        return {"connect_timeout": CONNECT_SECONDS}
    return {}
