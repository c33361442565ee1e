"""The `[channels]` table of the settings: each channel's name and address, checked at load."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any

from pydantic import SecretStr, model_validator

from guardian.settings.channel_check import check_address
from guardian.settings.section import Section
from guardian.settings.values import OR_OF_FILE, SecretFile


class ChannelSettings(Section):
    """One channel: `[channels] NAME = "slack://…"`, or a table with these keys. The address is a secret.

    `allow_private` allows a private host: this machine, or one of the local network.
    """

    url_file: SecretFile | None = None
    url: Annotated[SecretStr | None, OR_OF_FILE] = None
    allow_private: bool = False

    @property
    def address(self) -> str:
        """The address itself, a secret."""
        return "" if self.url is None else self.url.get_secret_value()

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _usable(self) -> ChannelSettings:
        if self.url is None:
            raise ValueError("url is missing: give url or url_file")
        check_address(self.address, self.allow_private)
        return self


def named_channels(channels: Mapping[str, ChannelSettings]) -> Mapping[str, ChannelSettings]:
    """The channels as they are. Raises ValueError for a name that cannot be one."""
    for name in channels:
        if name == "mail":
            raise ValueError("mail is always a channel, and its address is in [mail]: call this one something else")
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
            raise ValueError(f"{json.dumps(name)} is not a channel's name: use small letters, digits, - and _")
    return channels


def unknown_channels(rules: Mapping[str, Any], channels: Collection[str]) -> Iterable[tuple[str, str]]:
    """For each name in a rule's `channels` that is not a channel: the rule's name, and a sentence with the cure."""
    known = ["mail", *channels]
    for name, rule in rules.items():
        for wrong in rule.channels:
            if wrong in known:
                continue
            close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
            cure = f"did you mean {close[0]}?" if close else f"the channels are {', '.join(known)}"
            yield name, f"rules.{name}.channels = {json.dumps(wrong)} is not a channel: {cure}"
