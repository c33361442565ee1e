"""What a page of the dashboard declares, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from starlette.responses import Response

from guardian.application.root import Application
from guardian.core.language import Language

Role = Literal["admin", "viewer"]
"""Admins may act; viewers only look, and see no mail, since the links in mails act for whom they were sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One look at a page: who looks (`address`, `role`) and how they read (`lang`, `zone`).

    `base` is what stands before every path of Guardian's, "" at the root of a host. `query` are the parameters of the
    address, the last of those given twice; `path` those of the page's path. `csrf` is the token that a form posts as
    `csrf`. `now` is aware.
    """

    app: Application
    address: str
    role: Role
    base: str
    lang: Language
    zone: ZoneInfo
    query: Mapping[str, str]
    path: Mapping[str, Any]
    now: datetime
    csrf: str = ""

    @property
    def may_act(self) -> bool:
        """Whether what the page's forms do is allowed to whoever looks."""
        return self.role == "admin"

    def url(self, path: str, **query: Any) -> str:
        """The address of a page: a path alone, right under any prefix. See `url`."""
        return url(self.base, path, **query)


SAFE = "/@:.,~-_"
"""What stands in a path as it is."""


def url(base: str, path: str, **query: Any) -> str:
    """The path of a page under `base`; what of `query` is None or "" is left out. Both are percent-encoded."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    mark = "?" if given else ""
    return f"{base}{quote(path, safe=SAFE)}{mark}{urlencode(given, errors='replace')}"


@dataclass(frozen=True, slots=True)
class Page:
    """A row of the table. `path` is a Starlette template; `title` and `key` are for the navigation, where `nav` is set.

    `run` gives the values of the template `template` (a file in templates/web/), or a finished answer, such as a file.
    It raises Refusal for what it cannot show. `act` does what a form of the page posts, for admins alone, and gives
    the path to go to then; without it the page takes no form. `frames` says that it shows another page in a frame,
    `admins` that the navigation leads nobody else there.
    """

    path: str
    title: str
    run: Callable[[View], Awaitable[Mapping[str, Any] | Response]]
    template: str
    nav: bool = False
    key: str = ""
    act: Callable[[View, Mapping[str, str]], Awaitable[str]] | None = None
    frames: bool = False
    admins: bool = False
