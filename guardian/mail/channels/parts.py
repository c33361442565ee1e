"""Parsing a channel's address: `scheme://user:password@host:port/path?option=value`, as Apprise writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_FORM = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:([^/?#:]*)(?::([^/?#]*))?@)?([^/?#]*)([^?]*)\??(.*)", re.IGNORECASE | re.DOTALL
)
_HOST = re.compile(r"([\w.-]*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_OFF = {"de", "di", "ne", "f", "n", "no", "of", "0", "fa"}
_ON = {"en", "al", "t", "y", "ye", "on", "1", "tr"}
_AUTOMATE = r"/powerautomate/automations/direct(?:/cu/(\d+))?"
_INVOKED = r"/workflows/([\w-]+)/triggers/manual/paths/invoke/?\?(.*)"
_PORT = "(?::443)?"
_SHOWN = {
    rf"hooks\.slack\.com{_PORT}/services/(.*)": r"slack://\1\2&mode=hook",
    rf"hooks\.slack-gov\.com{_PORT}/services/(.*)": r"slack://\1\2&mode=gov-hook",
    rf"hooks\.slack\.com{_PORT}/workflows/(.*)": r"slack://\1\2&mode=workflow",
    rf"hooks\.slack\.com{_PORT}/triggers/(.*)": r"slack://\1\2&mode=trigger",
    rf"discord(?:app)?\.com{_PORT}/api/webhooks/(.*)": r"discord://\1\2",
    rf"ntfy\.sh{_PORT}(/.*)": r"ntfys://\1ntfy.sh\2&mode=cloud",
    rf"([^/?#]*){_INVOKED}": r"workflows://\1\2?\4&id=\3&pa=&route=",
    rf"([^/?#]*){_AUTOMATE}{_INVOKED}": r"workflows://\1\2?\5&id=\4&pa=yes&route=\3",
}
"""What a service's own page shows after https:// and the user, and the same address in our form."""


class Incomplete(Exception):
    """An address lacks a part that its service needs, or has one that the service cannot have."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts, percent-decoded but for `route` (the path as it is written, without doubled slashes).

    `host` keeps its letters' case, since it may be a token, and an IPv6 address its brackets. `user` is "" and
    `password` None where there is none; `port` is None for the scheme's own. The keys of `options` are small letters.
    `extras` are the options whose names begin with +, - or :, by that character, with their names as written.
    """

    scheme: str
    user: str
    password: str | None
    host: str
    port: int | None
    route: str
    options: Mapping[str, str]
    extras: Mapping[str, Mapping[str, str]]

    @property
    def path(self) -> list[str]:
        """The segments of the path that are not empty."""
        return [unquote(each) for each in self.route.split("/") if each]

    @property
    def words(self) -> list[str]:
        """The host, where there is one, and the path: for services whose tokens stand there."""
        return [each for each in (self.host, *self.path) if each]

    @property
    def place(self) -> str:
        """`host:port`, for a URL."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def option(self, *names: str) -> str:
        """The first of these options that is set and not empty; "" if none is."""
        return next((self.options[each] for each in names if self.options.get(each)), "")

    def flag(self, name: str, default: bool) -> bool:
        """The option as yes or no, in any of the spellings that Apprise takes."""
        said = self.options.get(name, "").lower()[:2]
        return said in _ON or (default and said not in _OFF)

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """The first of the choices that begins as the option says, "" for none."""
        said = self.option(name).lower() or default
        return next((each for each in choices if each.startswith(said)), "")


def need(*parts: object) -> None:
    """Raises Incomplete where one of the parts, or of what must be true of them, is missing."""
    if not all(parts):
        raise Incomplete


def parted(text: str) -> list[str]:
    """The words of an option with several, split at any of Apprise's separators."""
    return [each for each in re.split(r"[\s,;|/\\#]+", text) if each]


def only(receivers: Iterable[str]) -> str:
    """The address's single receiver, "" if there is none. Raises ValueError for several different ones."""
    if len(found := set(receivers)) > 1:
        raise ValueError("the address names several receivers: make each a channel of its own")
    return "".join(found)


def read_address(text: str) -> Address | None:
    """The address's parts; None if it is malformed. An address as a service's page shows it is converted to our form
    first."""
    form = _FORM.fullmatch(_ours(text.strip()))
    if form is None or _CONTROL.search(unquote(form[0])):
        return None
    scheme, user, password, server, route, query = form.groups()
    host = _HOST.fullmatch(unquote(server))
    if host is None or int(host[2] or 0) > 65535:
        return None
    options: dict[str, str] = {}
    extras: dict[str, dict[str, str]] = {"+": {}, "-": {}, ":": {}}
    for pair in re.split("[&;]", query):
        key, _, value = pair.partition("=")  # a + is a +, as in passwords and keys
        key, value = unquote(key[:1] + key[1:].replace("+", " ")), unquote(value).strip()
        options[key.lower().strip()] = value
        if key[:1] in extras and key[1:]:
            extras[key[0]][key[1:]] = value
    route = re.sub("/+", "/", route.replace("/#", "/%23").partition("#")[0])  # Slack's channels: /#general
    secret, port = unquote(password) if password is not None else None, int(host[2]) if host[2] else None
    return Address(scheme.lower(), unquote(user or ""), secret, host[1], port, route, options, extras)


def _ours(text: str) -> str:
    """An address that a service's own page shows, in our form; any other as it is."""
    address, _, query = text.partition("?")
    whole = re.sub("(?<!:)/+", "/", address) + "?" + query
    for page, ours in _SHOWN.items():
        if found := re.fullmatch(rf"https://([^/?#]*@|){page}", whole, re.IGNORECASE | re.DOTALL):
            return found.expand(ours)
    return text
