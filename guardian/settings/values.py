"""The kinds of value that settings have: addresses, zones, secrets, durations, shares. Each refuses in one sentence."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr

from guardian.core.mail_address import NoAddress, check_address, split_mailbox, wire_domain
from guardian.core.secret_url import SecretUrl
from tracker.address import database_path

SECRET_LENGTH = 32
"""The fewest bytes of a signing key or token: RFC 7518, section 3.2, wants as many as HS256's hash has."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_folder: ContextVar[Path] = ContextVar("folder", default=Path())


@contextmanager
def relative_to(folder: Path) -> Iterator[None]:
    """Settings that are made while the context is open take relative paths from this folder, not the current one."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def _mailbox(value: str) -> str:
    cure = "write it as Guardian <guardian@example.com>"
    if "@" not in value or re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(f"{json.dumps(value)} is not a sender: {cure}")
    try:
        split_mailbox(value)
    except NoAddress as error:
        raise ValueError(str(error).replace("write it as you@example.com", cure)) from None
    return value


def _selector(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*", value):
        raise ValueError(
            f"{json.dumps(value)} is no DKIM selector: write the name before ._domainkey, such as mail2026"
        )
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a folder's name an OSError
        from guardian.core.zones import nearest_zone

        near = nearest_zone(value)
        cure = f"did you mean {near}?" if near else "write it as Europe/Zurich or UTC"
        raise ValueError(f"{json.dumps(value, ensure_ascii=False)} is not a time zone: {cure}") from None
    return value


def read_zone(name: str) -> ZoneInfo:
    """The zone of this name. Raises ValueError with the cure for one that there is not."""
    return ZoneInfo(_zone(name))


def _when(value: str) -> str:
    from guardian.core.schedule import parse_schedule

    parse_schedule(value, "UTC")
    return value


def _ping_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+([/?][^\s#]*)?", value):
        raise ValueError("this is not a web address: write it as https://hc-ping.com/your-code")  # it may hold a secret
    return value


def _language(value: str) -> str:
    from guardian.core.language import language

    return language(value).code


def _asked_url(value: str) -> str:
    from httpx2 import URL, InvalidURL

    try:
        url = URL(value)
        fits = url.scheme in ("http", "https") and url.host and (url.port or 0) < 65536 and not re.search(r"\s", value)
    except InvalidURL:
        fits = False
    if not fits:
        raise ValueError("this is not a web address: write it as https://app.example.com/health")
    return value


def _key_source(value: str) -> SecretUrl | str:
    return SecretUrl(value) if "://" in value else str(local_path(Path(value)))


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", value):
        raise ValueError(
            f"{json.dumps(value)} is not a web address: write it as https://guardian.example.com, without ? and #"
        )
    return _ascii_url(value.rstrip("/"))


def _ascii_url(url: str) -> str:
    """The address as it can stand in a header: another script in the host as IDNA, in the path percent-encoded."""
    if url.isascii():
        return url
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    host, colon, port = place.partition(":")
    try:
        return f"{scheme}://{wire_domain(host)}{colon}{port}{slash}{quote(path, safe='/%:@!$&()*+,;=~-._')}"
    except ValueError as error:
        raise ValueError(f"{json.dumps(url)} is not a web address: {error}") from None


def listed(value: Any) -> Any:
    """A list as an environment variable says it: JSON, or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("this is neither a JSON list nor separated by commas: check its quotes") from None
    return [part.strip() for part in value.split(",") if part.strip()]


def listed_schedules(value: Any) -> Any:
    """As `listed`, but a text without brackets is one schedule: a crontab expression may have commas."""
    return [value] if isinstance(value, str) and not value.lstrip().startswith("[") else listed(value)


def _long_enough(value: SecretStr) -> SecretStr:
    length = len(value.get_secret_value().encode("utf-8", "replace"))
    if length < SECRET_LENGTH:
        raise ValueError(
            f"this secret has {length} bytes and needs at least {SECRET_LENGTH}: make one with 'openssl rand -hex 32'"
        )
    return value


def local_path(path: Path) -> Path:
    """The path, seen from the folder of `relative_to`; ~ is the home directory."""
    return _folder.get() / path.expanduser()


def _database(value: Any) -> Any:
    return Path(database_path(value, _folder.get())) if isinstance(value, str | os.PathLike) else value


def others_may_read(path: Path) -> bool:
    """Whether the file's mode lets others than its owner read it, write it or run it.

    False on Windows, which has no such modes: there os.stat makes them up (0666), and access lists say who may read.
    Raises OSError where there is no file.
    """
    return sys.platform != "win32" and bool(path.stat().st_mode & 0o077)


def read_secret(path: Path) -> SecretStr:
    """What the file holds, without white space around it. Raises ValueError where others may read it too."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        exposed = others_may_read(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(f"{path} cannot be read: {reason}") from None
    # systemd hands credentials over in a folder that only the service may enter (systemd.exec(5), CREDENTIALS).
    guarded = os.environ.get("CREDENTIALS_DIRECTORY")
    if exposed and not (guarded and path.is_relative_to(guarded)):
        raise ValueError(f"others than its owner may read {path}, which holds a secret: run 'chmod 600 {path}'")
    if not text:
        raise ValueError(f"{path} is empty: write the secret into it")
    return SecretStr(text)


def _secret_file(path: Path) -> Path:
    read_secret(path)
    return path


def _long_secret_file(path: Path) -> Path:
    _long_enough(read_secret(path))
    return path


def _cron(text: str) -> str:
    from guardian.core.schedule import check_cron

    return check_cron(text)


def parse_duration(value: Any) -> int:
    """Seconds from "90s", "10m", "1h30m", "3d" or a whole number of seconds. Raises ValueError with one sentence."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration: write a number with a unit, such as 10m, 1h or 3d")
    if isinstance(value, int) and value >= 0:
        return value
    text = str(value).replace(" ", "")
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise ValueError(f"{value!r} is not a duration: write a number with a unit, such as 10m, 1h or 3d")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def between(shortest: str, longest: str, whole_minutes: bool = False) -> AfterValidator:
    """Refuses a duration outside [shortest, longest], and with `whole_minutes` one of other seconds."""
    low, high = parse_duration(shortest), parse_duration(longest)

    def check(seconds: int) -> int:
        if seconds < low:
            raise ValueError(f"{written(seconds)} is too short: write {shortest} or more")
        if seconds > high:
            raise ValueError(f"{written(seconds)} is too long: write {longest} or less")
        if whole_minutes and seconds % 60:
            before, after = (written(seconds // 60 * 60 + more) for more in (0, 60))
            raise ValueError(f"{written(seconds)} is not whole minutes: write {before} or {after}")
        return seconds

    return AfterValidator(check)


def written(seconds: int) -> str:
    """A duration as the settings say it, in the largest unit up to days that leaves no rest: "90s", "10m", "7d"."""
    unit = next(name for name in "dhms" if seconds % _UNITS[name] == 0)
    return f"{seconds // _UNITS[unit]}{unit}" if seconds else "0"


def parse_share(value: Any) -> float:
    """A share of 1 from "10%", "0.5 %" or 0.1. Raises ValueError with one sentence."""
    text = str(value).strip()
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if isinstance(value, bool) or not 0 <= share <= 1:
        raise ValueError(f"{value!r} is not a share: write a percentage such as 10%, or a number from 0 to 1")
    return share


def parse_clock_range(value: Any) -> tuple[int, int]:
    """Minutes since midnight (start, end) from "22:00-07:00"; the end may lie before the start."""
    if isinstance(value, tuple | list) and len(value) == 2 and all(at in range(1440) for at in value):
        return int(value[0]), int(value[1])
    match = re.fullmatch(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*[-–]\s*([01]?\d|2[0-3]):([0-5]\d)\s*", str(value))
    if not match:
        raise ValueError(f"{value!r} is not a range of the clock: write it as 22:00-07:00")
    a, b, c, d = map(int, match.groups())
    if (a, b) == (c, d):
        raise ValueError(f"{value} is no time at all: write an end that is not the start")
    return a * 60 + b, c * 60 + d


Address = Annotated[str, AfterValidator(check_address)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
ZoneName = Annotated[str, AfterValidator(_zone)]
ScheduleText = Annotated[str, AfterValidator(_when)]
CronText = Annotated[str, AfterValidator(_cron)]
if TYPE_CHECKING:
    PingUrl = SecretUrl
    AskedUrl = SecretUrl
    KeySource = SecretUrl | str
else:
    _SECRET = (AfterValidator(SecretUrl), PlainSerializer(str, return_type=str))
    PingUrl = Annotated[str, AfterValidator(_ping_url), *_SECRET]
    AskedUrl = Annotated[str, AfterValidator(_asked_url), *_SECRET]
    """An address that httpx2 can ask."""
    KeySource = Annotated[str, AfterValidator(_key_source), PlainSerializer(str, return_type=str)]
    """A `SecretUrl`, or an absolute path."""
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(listed)]
Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
Selectors = Annotated[tuple[Annotated[str, AfterValidator(_selector)], ...], BeforeValidator(listed)]
LanguageCode = Annotated[str, AfterValidator(_language)]
LocalPath = Annotated[Path, AfterValidator(local_path)]
DatabasePath = Annotated[Path, BeforeValidator(_database)]
"""An absolute path, written as a path or as sqlite:///guardian.db."""
LongSecret = Annotated[SecretStr, AfterValidator(_long_enough)]
SecretFile = Annotated[Path, AfterValidator(local_path), AfterValidator(_secret_file)]
LongSecretFile = Annotated[Path, AfterValidator(local_path), AfterValidator(_long_secret_file)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Whole seconds, written as "10m"."""
Window = Annotated[Duration, between("1m", "7d", whole_minutes=True)]
"""How far a rule looks back, seconds: whole minutes, since requests are counted by the minute."""
Share = Annotated[float, BeforeValidator(parse_share)]
"""0 to 1, written as "10%"."""
ClockRange = Annotated[tuple[int, int], BeforeValidator(parse_clock_range)]
"""Minutes since local midnight, written as "22:00-07:00"."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name: `localhost` (RFC 6761) or a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def is_placeholder(address: str) -> bool:
    """Whether a mail address is of a domain that is kept for examples and tests (RFC 2606, RFC 6761)."""
    labels = address.rpartition("@")[2].lower().rstrip(".").split(".")
    return labels[-1] in ("example", "test", "invalid") or (
        labels[-2:-1] == ["example"] and labels[-1] in ("com", "org", "net")
    )


SMTP_KEYS = frozenset(
    {"host", "port", "security", "username", "password", "password_file", "auth", "token_file", "service_account_file",
     "allow_plaintext", "timeout_seconds"}
)  # fmt: skip
"""What `[mail.smtp]` has, and so what may stand behind the ? of its URL."""


def smtp_table(url: str) -> dict[str, Any]:
    """The `[mail.smtp]` table that smtp://user:password@host:587 means; smtps:// is TLS from the first byte.

    `?security=none` turns encryption off. Raises ValueError with one sentence, without the URL: it has a password.
    """
    wrong = (
        "this is not a mail server: write it as smtp://user:password@smtp.example.com:587, "
        "with %40 for an @, %2F for a /, %3F for a ? and %23 for a # in the password"
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or "#" in url:
        raise ValueError(wrong)
    # Behind a ? that belongs to the password, its rest would be taken for options, and its beginning for a host.
    if parts.query and not all(part.partition("=")[0] in SMTP_KEYS for part in parts.query.split("&")):
        raise ValueError(wrong)
    implicit = parts.scheme == "smtps"
    table: dict[str, Any] = {"host": parts.hostname, "port": port or (465 if implicit else 587)}
    table["security"] = "tls" if implicit else "starttls"
    if parts.username:
        table["username"] = unquote(parts.username)
    if parts.password:
        table["password"] = unquote(parts.password)
    return table | dict(parse_qsl(parts.query))
