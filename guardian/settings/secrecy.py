"""Which settings are secrets, and whether a file holds one."""

from __future__ import annotations

from typing import Any

from guardian.core.secret_url import SecretUrl
from guardian.settings.schema import setting_fields

_URLS = ("SecretUrl", "_key_source")
"""What stands in the type of a key whose value is an address that may hold a secret."""


def is_secret(key: str) -> bool:
    """Whether the value of the key, a dotted name, is never shown."""
    if key.startswith("channels."):  # then comes a name of the owner's choice
        return not key.endswith((".url_file", ".allow_private"))
    field = setting_fields().get(key)
    return key == "mail.smtp" or _is_url(key) or (field is not None and "SecretStr" in str(field.annotation))


def _is_url(key: str) -> bool:
    """Whether the key is of an address that may hold a secret. Those of a rule depend on its kind."""
    field = setting_fields().get(key)
    described = "" if field is None else f"{field.annotation} {field.metadata}"
    return (key.startswith("rules.") and key.endswith(".probe.url")) or any(each in described for each in _URLS)


def has_secret(raw: dict[str, Any]) -> bool:
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
        return is_secret(key)  # an smtp:// URL among them is one that cannot be read: nobody knows what is in it

    return walk(raw, "")
