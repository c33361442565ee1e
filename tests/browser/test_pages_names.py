"""Names that want to be markup, in a real Chromium: on every page, in every field, text and nothing else."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest

from guardian.application.reporting import send_report_now
from guardian.core.outgoing import Outgoing
from guardian.stores.erasure import as_kept
from tests.support.api_client import NOW, event, open_incident
from tests.support.dashboard import LISTS, dashboard, signed_in
from tracker.event import Failure

pytestmark = pytest.mark.needs_chromium
SHOUT = "console.error('ran')"
NAMES = [
    f"<script>{SHOUT}</script>", f"</title><script>{SHOUT}</script>", f"</textarea><script>{SHOUT}</script>",
    f"</style><script>{SHOUT}</script>", f"</script><script>{SHOUT}</script>", f"<svg onload={SHOUT}>",
    f"<svg><script>{SHOUT}</script></svg>", f"<img src=x onerror={SHOUT}>", f"<img src=x onerror=\"{SHOUT}\">",
    f"<body onload={SHOUT}>", f"<iframe srcdoc='<script>{SHOUT}</script>'>", f"<iframe src=\"javascript:{SHOUT}\">",
    f"<a href=\"javascript:{SHOUT}\">x</a>", f"<details open ontoggle={SHOUT}>", f"<input autofocus onfocus={SHOUT}>",
    f"<video><source onerror={SHOUT}>", f"<math><mtext></mtext><script>{SHOUT}</script></math>",
    f"<object data=\"javascript:{SHOUT}\">", "<base href=https://evil.example/>", "<meta http-equiv=refresh content=0>",
    "<link rel=stylesheet href=//evil.example/x.css>", "<form action=//evil.example><button>x", "<plaintext>",
    "<style>*{display:none}</style>", "<!--", "--><!--", "]]>", "<![CDATA[", "<template>", "<noscript>",
    f"\" onmouseover=\"{SHOUT}", f"' onmouseover='{SHOUT}", f"\" autofocus onfocus=\"{SHOUT}",
    "\"><h1>big", "'><h1>big",
    "` onload=x", "\" style=\"position:fixed;inset:0", f"javascript:{SHOUT}", f"JaVaScRiPt:{SHOUT}",
    f"data:text/html,<script>{SHOUT}</script>", "//evil.example/", "https://evil.example/", "/../../etc/passwd",
    "{{7*7}}", "{% raw %}", "{{ config }}", "${7*7}", "%(name)s %s %d", "#{7*7}", "&lt;b&gt;&#x3c;",
    "&quot; x=&quot;",
    "=cmd|'/c calc'!A0", "+1+1", "-1+1", "@sum(1)", "שלום עולם", "\u202egro.live\u2066", "\u200bzero\ufeffwidth",
    "two\nlines\r\nSet-Cookie: a=b", "tab\there", "nul\x00byte", "a/b?c=d&e#f;g=%2e%2e",
    "a" * 320, "W" * 319 + "\u00df",
    "\U0001f600" * 40, "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 20, "e\u0301" * 60, "Z\u0351\u0352\u0353" * 40,
]  # fmt: skip
"""More than sixty: script, attribute, template, address, formula, direction, length, control characters, emoji."""
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
FOREIGN = """[...document.querySelectorAll(
    'script, iframe, object, base, meta[http-equiv], style, template, [style], video, math')]
  .filter(e => !(e.localName == 'script' && e.src.startsWith(location.origin + '/static/')))
  .filter(e => !(e.localName == 'iframe' && e.className == 'sent'))
  .concat([...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))))
  .concat([...document.querySelectorAll('[href], [action], [src]')].filter(e => ['href', 'action', 'src'].some(
    n => e.hasAttribute(n) && !(new URL(e.getAttribute(n), document.baseURI).origin == location.origin))))
  .map(e => e.outerHTML.slice(0, 200))"""


def hostile_events():
    """Each name as a person, as the tracker keeps one, a feature, a route, and the kind, the words and the place of an
    error."""
    made = []
    for i, name in enumerate(NAMES):
        each = event(NOW - timedelta(minutes=90 - i), user=as_kept(name), status=500)
        failure = Failure(name[:80], name, f"{name[:60]}.py:1 {name[:60]}")
        made.append(each._replace(feature=name[:100], endpoint="/" + name[:150], failure=failure))
    return made


async def test_a_hostile_name_is_text_on_every_page_and_in_every_file(tmp_path):
    assert len(NAMES) >= 60
    keys = {"app_name": NAMES[7]}
    async with dashboard(tmp_path, events=hostile_events(), incident=False, **keys) as (browser, address, app):
        await open_incident(app, "chat", names=tuple(NAMES), users=len(NAMES), acknowledged_by=NAMES[0])
        await send_report_now(app, hours=24)
        tab, said = await signed_in(browser, viewport={"width": 360, "height": 800}, reduced_motion="reduce")
        await tab.goto(f"{address}/people?range=24h")
        asked = ["/people?page=2", "/people?sort=errors", "/incidents/chat", "/mail/1", "/incidents?rule=%22%3E%3Cb%3E"]
        todo, seen = [*LISTS, *asked], {}
        linked = "[...document.querySelectorAll('main a[href], nav.pager a')].map(e => e.getAttribute('href'))"
        wrong, texts = [], {}
        while todo and len(seen) < 130:
            path = todo.pop(0)
            kind = path.partition("?")[0]
            if path in seen or "table=" in path or "export=" in path:
                continue
            answer = await tab.goto(address + path)
            seen[path] = answer.status
            if answer.status != 200:
                wrong.append(f"{path}: {answer.status}")
            wrong += [f"{path}: {each}" for each in await tab.evaluate(FOREIGN)]
            if await tab.evaluate(WIDER):
                wrong.append(f"{path}: scrolls sideways")
            texts[path] = await tab.evaluate("document.body.innerText")
            if kind in LISTS:
                todo += [each for each in await tab.evaluate(linked) if "name=" in each]
        assert not wrong, "\n".join(wrong)
        assert said == []
        people = [path for path in seen if path.startswith("/people/person")]
        assert len(people) >= 50
        shown = "\n".join(texts.values())
        for name in (NAMES[0], NAMES[19], "{{7*7}}", "%(name)s %s %d", "&lt;b&gt;&#x3c;", "שלום עולם", "a" * 320):
            assert name in shown
        for page, table in (("/people", "people"), ("/features", "features"), ("/errors", "errors")):
            here = f"{address}{page}?range=24h&table={table}"
            sheet = await tab.request.get(f"{here}&as=csv")
            data = await tab.request.get(f"{here}&as=json")
            assert sheet.status == data.status == 200
            assert "nosniff" in sheet.headers["x-content-type-options"]
            assert not [line for line in (await sheet.text()).splitlines() if line.startswith(("=", "+", "-", "@"))]
            assert len(json.loads(await data.text())[table]) >= 20


async def test_a_hostile_rule_recipient_release_or_route_is_text_too(tmp_path):
    """What an author of settings or of the app wrote, and whom a mail is for."""
    rules = {name[:200]: {"kind": "error_rate"} for name in NAMES if name.isprintable()}
    async with dashboard(tmp_path, events=hostile_events(), incident=False, rules=rules) as (browser, address, app):
        mails = [
            Outgoing(f"report/{n}", name, b"", "report", subject=name, channel="mail") for n, name in enumerate(NAMES)
        ]
        await app.state.enqueue(mails, now=NOW)
        tab, said = await signed_in(browser, viewport={"width": 360, "height": 800}, reduced_motion="reduce")
        wrong = []
        routes = [f"/features?name={quote(name[:100])}" for name in NAMES[:70:7]]
        for path in ("/rules", "/mail", "/mail?page=2", "/mail?page=3", "/mail/1", "/mail/40", "/incidents",
                     "/errors?page=2", "/system", *routes):  # fmt: skip
            answer = await tab.goto(address + path)
            if answer.status != 200:
                wrong.append(f"{path}: {answer.status}")
            wrong += [f"{path}: {each}" for each in await tab.evaluate(FOREIGN)]
            if await tab.evaluate(WIDER):
                wrong.append(f"{path}: scrolls sideways")
        assert not wrong, "\n".join(wrong)
        await tab.goto(f"{address}/rules")
        assert "{{7*7}}" in await tab.evaluate("document.body.innerText")
        assert said == []
