"""Discord's webhooks (docs.discord.com, Execute Webhook)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address
from guardian.mail.channels.sender import Conversation, Request, Say, filled, written

_PINGED = re.compile(r"@(everyone|here)|(?:<?@|^)(&?)(\d+)>?")


def shown(address: Address) -> Address | None:
    """The address that Discord shows for a webhook, in our own form; None for another page's."""
    if address.host.lower() not in ("discord.com", "discordapp.com") or address.path[:2] != ["api", "webhooks"]:
        return None
    return replace(address, scheme="discord", host="", route="/".join(address.path[2:]))


def discord(address: Address) -> Say | None:
    """How to say a message to this address, None for one that is not complete."""
    words, flags = [each for each in (address.host, *address.path) if each], address.option("flags")
    if len(words) < 2 or not all(re.fullmatch(r"[\w-]+", each) for each in words[:2]):
        return None
    if flags and not flags.isdecimal():
        return None
    thread = address.option("thread")
    if thread and not thread.isdecimal():
        return None
    url = f"https://discord.com/api/webhooks/{words[0]}/{words[1]}" + (f"?thread_id={thread}" if thread else "")
    extra: dict[str, Any] = {"flags": int(flags)} if flags else {}
    named = {"username": address.option("botname") or address.user, "avatar_url": address.option("avatar_url")}
    if not address.flag("avatar", True):
        named["avatar_url"] = ""
    extra |= filled(named)
    pings, allowed = _pings(address.option("ping"))

    def say(message: ChannelMessage) -> Conversation:
        title, text = written(message, "discord", 2000 - len(pings), titled=True)
        tts = address.flag("tts", False)
        body = {"tts": tts, "wait": not tts, "content": f"{title}\r\n{text}{pings}", "allowed_mentions": allowed}
        yield Request(url, body | extra, {"Content-Type": "application/json; charset=utf-8"})

    return say


def _pings(wanted: str) -> tuple[str, dict[str, list[str]]]:
    """Whom the address itself wants pinged: what to write for it, and what Discord shall allow: nobody else."""
    allowed: dict[str, list[str]] = {"parse": [], "users": [], "roles": []}
    said = []
    for word in re.split(r"[\s,;|]+", wanted):
        for all_of, role, number in _PINGED.findall(word):
            allowed["parse" if all_of else "roles" if role else "users"].append(all_of or number)
            said.append(f"@{all_of}" if all_of else f"<@{role}{number}>")
    allowed["parse"] = ["everyone"] if allowed["parse"] else []  # Discord's word for @here too
    return ("\n👉 " + " ".join(said) if said else ""), allowed
