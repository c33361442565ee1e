"""What `guardian check` says of the sender's domain, asked of a real DNS server on this machine over UDP."""

import asyncio

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from guardian.application.check.checkup import check_up
from guardian.application.check.dns import sender_findings

GOOD = {
    "example.com.": ["v=spf1 include:_spf.example.net -all", "site-verification=abc"],
    "_dmarc.example.com.": ["v=DMARC1; p=reject"],
    "google._domainkey.example.com.": ["v=DKIM1; k=rsa; p=MIGf"],
}
SPF_MISSING = (
    "warning",
    "example.com has no SPF record, so its mail is easily taken for spam: publish one (TXT, v=spf1 …) that lists the "
    "servers which send its mail",
)
DMARC_MISSING = (
    "warning",
    "example.com has no DMARC record, which large receivers ask for: publish one at _dmarc.example.com (TXT, v=DMARC1; "
    "p=none to begin with)",
)
NO_KEY = (
    "warning",
    "not known: no key under the usual selectors of example.com: google, default, selector1, selector2, mail, s1, k1; "
    "set mail.dkim_selectors to have yours looked up",
)


class Names(asyncio.DatagramProtocol):
    """Answers TXT questions from a table. Who is None there gets SERVFAIL, as from a resolver that hears nothing;
    who is missing, NXDOMAIN. Without a table it never answers."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text()
        self.asked.append(name)
        if self.table is None:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if name not in self.table:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif self.table[name] is None:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif self.table[name]:
            texts = [" ".join(f'"{part}"' for part in text.split("|")) for text in self.table[name]]
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *texts))
        self.transport.sendto(response.to_wire(), address)


@pytest.fixture
async def ask():
    """Start a server with this table; a resolver that asks it, which has the server as `names`."""
    opened = []

    async def start(table):
        loop = asyncio.get_running_loop()
        transport, names = await loop.create_datagram_endpoint(lambda: Names(table), local_addr=("127.0.0.1", 0))
        opened.append(transport)
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
        resolver.names = names
        return resolver

    yield start
    for transport in opened:
        transport.close()


def told(findings):
    return {
        subject: [(f.level, f.text) for f in findings if f.subject == subject] for subject in ("SPF", "DKIM", "DMARC")
    }


async def test_a_domain_with_all_three_is_fine(ask):
    assert told(await sender_findings("Example.com.", resolver=await ask(GOOD))) == {
        "SPF": [("ok", "example.com has an SPF record")],
        "DKIM": [("ok", "example.com has a key under the selector google")],
        "DMARC": [("ok", "_dmarc.example.com says p=reject")],
    }


async def test_a_domain_with_nothing_is_told_what_to_publish(ask):
    assert told(await sender_findings("example.com", resolver=await ask({}))) == {
        "SPF": [SPF_MISSING],
        "DKIM": [NO_KEY],
        "DMARC": [DMARC_MISSING],
    }


@pytest.mark.parametrize(
    ("texts", "level", "words"),
    [
        (["v=spf1 -all"], "ok", "has an SPF record"),
        (["V=SPF1 MX ~ALL"], "ok", "has an SPF record"),
        (["v=spf1"], "ok", "has an SPF record"),
        (["v=spf1 ip4:192.0.2.1| -all"], "ok", "has an SPF record"),
        (["v=spf1 +all"], "warning", "lets everybody send"),
        (["v=spf1 mx all"], "warning", "lets everybody send"),
        (["v=spf1 ip4:192.0.2.1 +|all"], "warning", "lets everybody send"),
        (["v=spf1 mx -all", "v=spf1 a -all"], "error", "has 2 SPF records"),
        (["v=spf10 -all"], "warning", "has no SPF record"),
        ([], "warning", "has no SPF record"),
        (None, "warning", "DNS does not answer for example.com"),
    ],
)
async def test_the_spf_record(ask, texts, level, words):
    found = await sender_findings("example.com", resolver=await ask(GOOD | {"example.com.": texts}), lifetime=30)
    [(said, text)] = told(found)["SPF"]
    assert (said, words in text) == (level, True), text


@pytest.mark.parametrize(
    ("own", "above", "level", "words"),
    [
        (["v=DMARC1; p=none"], [], "ok", "_dmarc.news.example.com says p=none"),
        (["v=DMARC1;p=Quarantine;sp=none"], [], "ok", "_dmarc.news.example.com says p=quarantine"),
        ([], ["v=DMARC1; p=reject"], "ok", "_dmarc.example.com says p=reject"),
        ([], ["v=DMARC1; p=reject; sp=none"], "ok", "_dmarc.example.com says sp=none"),
        (["v=DMARC1; p=reject", "v=DMARC1; p=none"], [], "warning", "has 2 DMARC records"),
        (["v=DMARC1; p=later"], [], "warning", "has no valid p="),
        (["v=DMARC10; p=reject"], [], "warning", "has no DMARC record"),
        (None, [], "warning", "DNS does not answer for _dmarc.news.example.com"),
    ],
)
async def test_the_dmarc_record_is_the_domains_own_or_one_above_it(ask, own, above, level, words):
    table = {"news.example.com.": ["v=spf1 -all"], "_dmarc.news.example.com.": own, "_dmarc.example.com.": above}
    resolver = await ask(table)
    [(said, text)] = told(await sender_findings("news.example.com", resolver=resolver, lifetime=30))["DMARC"]
    assert (said, words in text) == (level, True), text
    assert "_dmarc.com." not in resolver.names.asked


@pytest.mark.parametrize(
    ("texts", "level", "words"),
    [
        (["v=DKIM1; p=MIGf|MA0G"], "ok", "has a key under the selector mail2026"),
        (["p=MIGf"], "ok", "has a key under the selector mail2026"),
        (["v=DKIM1; p="], "warning", "there is no key at mail2026._domainkey.example.com"),
        (["v=spf1 -all"], "warning", "there is no key at mail2026._domainkey.example.com"),
        ([], "warning", "there is no key at mail2026._domainkey.example.com"),
        (None, "warning", "DNS does not answer for mail2026._domainkey.example.com"),
    ],
)
async def test_a_selector_of_the_settings_must_have_a_key(ask, texts, level, words):
    resolver = await ask(GOOD | {"mail2026._domainkey.example.com.": texts})
    [(said, text)] = told(await sender_findings("example.com", ["mail2026"], resolver=resolver, lifetime=30))["DKIM"]
    assert (said, words in text) == (level, True), text


async def test_dns_that_does_not_answer_is_one_warning_and_soon(ask, monkeypatch):
    resolver = await ask(None)
    limits, resolve = set(), resolver.resolve
    monkeypatch.setattr(
        resolver, "resolve", lambda *names, lifetime: limits.add(lifetime) or resolve(*names, lifetime=lifetime)
    )
    [finding] = await sender_findings("example.com", resolver=resolver, lifetime=0.3)
    assert limits == {0.3}
    assert finding.level == "warning"
    assert finding.text.startswith("DNS does not answer, so SPF, DKIM and DMARC of example.com are not known")


@pytest.mark.parametrize("domain", ["localhost", "app.localhost", "127.0.0.1", "mailhost"])
async def test_what_is_no_domain_is_not_asked_for(ask, domain):
    resolver = await ask({})
    [finding] = await sender_findings(domain, resolver=resolver)
    assert (finding.level, resolver.names.asked) == ("ok", [])


async def test_the_check_tells_of_the_senders_domain(ask, tmp_path):
    path = tmp_path / "guardian.toml"
    path.write_text(
        'admins = ["a@example.com"]\n[mail]\nsender = "Guardian <g@example.com>"\ndkim_selectors = ["mail2026"]\n'
        'smtp = "smtp://127.0.0.1:1?security=none"'
    )
    path.chmod(0o600)
    found = told(await check_up(path, resolver=await ask(GOOD)))
    assert [found[each][0][0] for each in ("SPF", "DKIM", "DMARC")] == ["ok", "warning", "ok"]
