"""A channel's address in its parts: `scheme://user:password@host:port/path?option=value`, as Apprise writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

_FORM = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^?]*)\??(.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"([\w.-]*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_OFF = {"de", "di", "ne", "f", "n", "no", "of", "0", "fa"}
_ON = {"en", "al", "t", "y", "ye", "on", "1", "tr"}


@dataclass(frozen=True, slots=True)
class Address:
    """The parts, percent-decoded but for `route` (the path as it is written, without doubled slashes).

    `host` keeps its letters' case, since it may be a token, and an IPv6 address its brackets. `user` is "" and
    `password` None where there is none; `port` is None for the scheme's own. The keys of `options` are small letters.
    `extras` are the options whose names begin with +, - or :, by that character, with their names as written.
    """

    scheme: str
    user: str = ""
    password: str | None = None
    host: str = ""
    port: int | None = None
    route: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    extras: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def path(self) -> list[str]:
        """The segments of the path that are not empty."""
        return [unquote(each) for each in self.route.split("/") if each]

    @property
    def place(self) -> str:
        """`host:port`, for a URL."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def option(self, *names: str) -> str:
        """The first of these options that says something, "" for none."""
        return next((self.options[each] for each in names if self.options.get(each)), "")

    def flag(self, name: str, default: bool) -> bool:
        """The option as yes or no, in any of the spellings that Apprise takes."""
        said = self.options.get(name, "").lower()[:2]
        return said in _ON or (default and said not in _OFF)


def only(receivers: list[str]) -> str:
    """The one receiver of an address, "" for none. Raises ValueError for several."""
    if len(receivers) > 1:
        raise ValueError("the address names several receivers: make each a channel of its own")
    return "".join(receivers)


def read_address(text: str) -> Address | None:
    """The address's parts, None for what has not the form of one."""
    form = _FORM.fullmatch(text.strip())
    if form is None or _CONTROL.search(unquote(form[0])):
        return None
    account, _, server = form[2].rpartition("@")
    host = _HOST.fullmatch(unquote(server))
    if host is None or int(host[2] or 0) > 65535:
        return None
    user, colon, password = account.partition(":")
    options, extras = {}, {"+": {}, "-": {}, ":": {}}  # type: ignore[var-annotated]
    for pair in re.split("[&;]", form[4]):
        key, _, value = pair.partition("=")  # a + is a +, as in passwords and keys
        key, value = unquote(key[:1] + key[1:].replace("+", " ")), unquote(value).strip()
        options[key.lower().strip()] = value
        if key[:1] in extras and key[1:]:
            extras[key[0]][key[1:]] = value
    route = re.sub("/+", "/", form[3].replace("/#", "/%23").partition("#")[0])  # Slack's channels: /#general
    port = int(host[2]) if host[2] else None
    return Address(
        form[1].lower(), unquote(user), unquote(password) if colon else None, host[1], port, route, options, extras
    )
