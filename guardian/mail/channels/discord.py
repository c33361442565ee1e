"""Discord's webhooks (docs.discord.com, Execute Webhook)."""

from __future__ import annotations

import re
from typing import Any

from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.parts import Address, need
from guardian.mail.channels.sender import Conversation, Request, filled, written

_PINGED = re.compile(r"@(everyone|here)|(?:<?@|(?<![^\s,;|]))(&?)(\d+)>?")


def discord(address: Address, message: ChannelMessage) -> Conversation:
    """Says the message in the webhook's channel; see Service."""
    webhook, token = [*address.words, "", ""][:2]
    flags, thread = address.option("flags"), address.option("thread")
    need(*(re.fullmatch(r"[\w-]+", each) for each in (webhook, token)), (flags or "0").isdecimal())
    need((thread or "0").isdecimal())
    pings, allowed = _pings(address.option("ping"))
    title, text = written(message, "discord", 2000 - len(pings), titled=True)
    tts, avatar = address.flag("tts", False), address.flag("avatar", True) and address.option("avatar_url")
    body = {"tts": tts, "wait": not tts, "content": f"{title}\r\n{text}{pings}", "allowed_mentions": allowed}
    extra = {"username": address.option("botname") or address.user, "avatar_url": avatar, "flags": int(flags or 0)}
    url = f"https://discord.com/api/webhooks/{webhook}/{token}" + (f"?thread_id={thread}" if thread else "")
    yield Request(url, body | filled(extra), {"Content-Type": "application/json; charset=utf-8"})


def _pings(wanted: str) -> tuple[str, dict[str, Any]]:
    """Whom the address itself wants pinged: what to write for it, and what Discord shall allow: nobody else."""
    found = _PINGED.findall(wanted)
    said = [f"@{all_of}" if all_of else f"<@{role}{number}>" for all_of, role, number in found]
    allowed = {
        "parse": ["everyone"] if any(all_of for all_of, _, _ in found) else [],  # Discord's word for @here too
        "users": [number for _, role, number in found if number and not role],
        "roles": [number for _, role, number in found if role],
    }
    return ("\n👉 " + " ".join(said) if said else ""), allowed
