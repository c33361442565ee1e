"""What the sender's domain publishes about its mail in DNS: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489).

Large receivers put mail without them into the spam folder, or refuse it (Google: "Email sender guidelines").
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

LIFETIME_SECONDS = 3.0
"""The time limit for all queries, which run concurrently."""

USUAL_SELECTORS = ("google", "default", "selector1", "selector2", "mail", "s1", "k1")
"""DKIM keys cannot be listed, only asked for by name: these are the names that large services use."""

DEEPEST = 7
"""How many of a domain's last labels are searched for a parent domain's DMARC record."""

Answers = Mapping[str, tuple[str, ...] | None]
"""The TXT records of each name; empty where there are none, None where DNS gave no answer."""


async def sender_findings(
    domain: str,
    selectors: Sequence[str] = (),
    *,
    resolver: Resolver | None = None,
    lifetime: float = LIFETIME_SECONDS,
    lang: Language = ENGLISH,
) -> list[Finding]:
    """What DNS says of mail from this domain; `selectors` are the DKIM selectors known to be its own.

    `resolver` asks (None: as /etc/resolv.conf says) and gives up after `lifetime` seconds. Never raises: DNS that does
    not answer is a warning.
    """
    domain = domain.lower().rstrip(".")
    if not _public(domain):
        text = lang("SPF, DKIM and DMARC were not looked up: %(domain)s is not a domain on the Internet", domain=domain)
        return [Finding("sender", "ok", text)]
    above = _above(domain)
    keys = [_key_name(selector, domain) for selector in (*selectors, *USUAL_SELECTORS)]
    names = dict.fromkeys([domain, *(f"_dmarc.{each}" for each in (domain, *above)), *keys])
    answers = await _ask_all(list(names), resolver, lifetime)
    if all(answer is None for answer in answers.values()):
        text = lang(
            "DNS does not answer, so SPF, DKIM and DMARC of %(domain)s are not known: try again, or ask another "
            "network",
            domain=domain,
        )
        return [Finding("sender", "warning", text)]
    return [_spf(domain, answers, lang), *_dkim(domain, selectors, answers, lang), _dmarc(domain, above, answers, lang)]


def _public(domain: str) -> bool:
    """Whether the domain is public: IP addresses, localhost (RFC 6761) and bare names have no such records."""
    try:
        ip_address(domain)
    except ValueError:
        return "." in domain and not domain.endswith(".localhost")
    return False


def _above(domain: str) -> list[str]:
    """The parent domains that may speak for this one, nearest first, without top-level domains."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels) - 1) if len(labels) - start <= DEEPEST]


def _key_name(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"  # RFC 6376, 3.6.2.1


async def _ask_all(names: Sequence[str], resolver: Resolver | None, lifetime: float) -> Answers:
    from dns.asyncresolver import Resolver as SystemResolver
    from dns.resolver import NoResolverConfiguration

    try:
        asked = resolver or SystemResolver()
    except NoResolverConfiguration:
        return dict.fromkeys(names)
    found = await asyncio.gather(*(_texts(name, asked, lifetime) for name in names))
    return dict(zip(names, found, strict=True))


async def _texts(name: str, resolver: Resolver, lifetime: float) -> tuple[str, ...] | None:
    from dns.exception import DNSException
    from dns.name import LabelTooLong, NameTooLong
    from dns.resolver import NXDOMAIN, NoAnswer

    try:
        answer = await resolver.resolve(f"{name}.", "TXT", lifetime=lifetime)
    except (NXDOMAIN, NoAnswer, LabelTooLong, NameTooLong):
        return ()
    except (DNSException, OSError):
        return None
    # The parts of one record belong together, without anything between them (RFC 7208, 3.3; RFC 6376, 3.6.2.2).
    return tuple(b"".join(record.strings).decode("utf-8", "replace") for record in answer)


def _spf(domain: str, answers: Answers, lang: Language) -> Finding:
    texts = answers[domain]
    if texts is None:
        text = lang("DNS does not answer for %(domain)s, so its SPF record is not known", domain=domain)
        return Finding("SPF", "warning", text)
    records = [text.lower().split() for text in texts if re.match(r"v=spf1( |$)", text, flags=re.IGNORECASE)]
    if not records:
        text = lang(
            "%(domain)s has no SPF record, so its mail is easily taken for spam: publish one (TXT, v=spf1 …) that "
            "lists the servers which send its mail",
            domain=domain,
        )
        return Finding("SPF", "warning", text)
    if len(records) > 1:
        text = lang(
            "%(domain)s has %(n)s SPF records, so receivers accept none of them (RFC 7208, 3.2): make one of them",
            domain=domain, n=len(records),
        )  # fmt: skip
        return Finding("SPF", "error", text)
    if {"all", "+all"} & set(records[0]):
        text = lang("the SPF record of %(domain)s lets everybody send for it: end it with -all or ~all", domain=domain)
        return Finding("SPF", "warning", text)
    return Finding("SPF", "ok", lang("%(domain)s has an SPF record", domain=domain))


def _dkim(domain: str, selectors: Sequence[str], answers: Answers, lang: Language) -> list[Finding]:
    def has_key(selector: str) -> bool:
        return any(map(_is_key, answers[_key_name(selector, domain)] or ()))

    def key_under(name: str) -> Finding:
        return Finding("DKIM", "ok", lang("%(domain)s has a key under the selector %(name)s", domain=domain, name=name))

    found = []
    for selector in selectors:
        where = _key_name(selector, domain)
        if has_key(selector):
            found.append(key_under(selector))
        elif answers[where] is None:
            text = lang("DNS does not answer for %(domain)s, so its key is not known", domain=where)
            found.append(Finding("DKIM", "warning", text))
        else:
            text = lang(
                "there is no key at %(domain)s, so what it signs is not trusted: publish it, or correct "
                "mail.dkim_selectors",
                domain=where,
            )
            found.append(Finding("DKIM", "warning", text))
    if selectors:
        return found
    usual = [selector for selector in USUAL_SELECTORS if has_key(selector)]
    if usual:
        return [key_under(", ".join(usual))]
    text = lang(
        "not known: no key under the usual selectors of %(domain)s: %(names)s; set mail.dkim_selectors to have yours "
        "looked up",
        domain=domain, names=", ".join(USUAL_SELECTORS),
    )  # fmt: skip
    return [Finding("DKIM", "warning", text)]


def _is_key(text: str) -> bool:
    """Whether a record is a DKIM key that has not been revoked, which an empty p= says (RFC 6376, 3.6.1)."""
    tags = _tags(text)
    return tags.get("v", "DKIM1") == "DKIM1" and bool(tags.get("p"))


def _dmarc(domain: str, above: Sequence[str], answers: Answers, lang: Language) -> Finding:
    for place in (domain, *above):
        texts, name = answers[f"_dmarc.{place}"], f"_dmarc.{place}"
        if texts is None:
            text = lang("DNS does not answer for %(domain)s, so its policy is not known", domain=name)
            return Finding("DMARC", "warning", text)
        records = [_tags(text) for text in texts if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]
        if len(records) > 1:
            text = lang(
                "%(domain)s has %(n)s DMARC records, so receivers ignore all of them (RFC 7489, 6.6.3): make one of "
                "them",
                domain=name, n=len(records),
            )  # fmt: skip
            return Finding("DMARC", "warning", text)
        if records:
            return _policy(domain, place, records[0], lang)
    text = lang(
        "%(domain)s has no DMARC record, which large receivers ask for: publish one at %(name)s (TXT, v=DMARC1; p=none "
        "to begin with)",
        domain=domain, name=f"_dmarc.{domain}",
    )  # fmt: skip
    return Finding("DMARC", "warning", text)


def _policy(domain: str, place: str, tags: Mapping[str, str], lang: Language) -> Finding:
    name = "sp" if place != domain and "sp" in tags else "p"  # what a domain wants for those below it: RFC 7489, 6.3
    value = tags.get(name, "").lower()
    if value not in ("none", "quarantine", "reject"):
        text = lang(
            "%(domain)s has no valid %(name)s=: write none, quarantine or reject", domain=f"_dmarc.{place}", name=name
        )
        return Finding("DMARC", "warning", text)
    return Finding("DMARC", "ok", lang("%(domain)s says %(value)s", domain=f"_dmarc.{place}", value=f"{name}={value}"))


def _tags(text: str) -> dict[str, str]:
    """The tags of `name=value; name=value` (RFC 6376, 3.2); the first of each name."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        tags.setdefault(name.strip(), value.strip())
    return tags
