"""The kinds of value that settings have: addresses, zones, secrets, durations, shares. Each refuses in one sentence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr, ValidationInfo

from guardian.core.mail_address import NoAddress, check_address, split_mailbox, wire_domain
from guardian.core.secret_url import SecretUrl
from guardian.settings.secret_files import read_secret
from tracker.address import database_path, is_file

SECRET_LENGTH = 32
"""The fewest bytes of a signing key or token: RFC 7518, section 3.2, wants as many as HS256's hash has."""

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
    if not isinstance(value, str | os.PathLike):
        return value
    place = database_path(value, _folder.get())
    return Path(place) if is_file(place) else place


def _secret_file(path: Path) -> Path:
    read_secret(path)
    return path


def _long_secret_file(path: Path) -> Path:
    _long_enough(read_secret(path))
    return path


def _or_of_file(value: Any, info: ValidationInfo) -> Any:
    path = info.data.get(f"{info.field_name}_file")
    if path is None:
        return value
    if value is not None:
        raise ValueError(f"both {info.field_name} and {info.field_name}_file are set: keep one of them")
    return read_secret(path)


def _cron(text: str) -> str:
    from guardian.core.schedule import check_cron

    return check_cron(text)


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
DatabasePlace = Annotated[Path | str, BeforeValidator(_database)]
"""An absolute path, written as a path or as sqlite:///guardian.db; or the text firestore://PROJECT[/DATABASE]."""
LongSecret = Annotated[SecretStr, AfterValidator(_long_enough)]
OR_OF_FILE = BeforeValidator(_or_of_file)
"""Makes a key NAME hold the secret of the file that NAME_file names. NAME_file stands before it in the model."""
SecretFile = Annotated[Path, AfterValidator(local_path), AfterValidator(_secret_file)]
LongSecretFile = Annotated[Path, AfterValidator(local_path), AfterValidator(_long_secret_file)]


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
