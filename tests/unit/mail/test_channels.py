"""Channels: which addresses are refused, what a text becomes for each service, and what the settings say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.mail.channels.addresses import PrivateAddress, is_private, is_private_host, public_addresses
from guardian.mail.channels.message import ChannelMessage, harmless, read_message, shortened
from guardian.mail.channels.parts import read_address
from guardian.mail.channels.sender import Answer, Sender
from guardian.mail.channels.services import NOT_INSTALLED, make_sender
from guardian.mail.transport import DeliveryError

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
SECRET = "TIiajkdnlazkcOXrIdevi7FQ"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::1",
        "64:ff9b:1::7f00:1", "64:ff9b:1:ffff::808:808",
        # What Python 3.11.7 calls public, and clouds' own:
        "192.0.0.192", "192.0.0.8", "192.0.0.9", "192.88.99.1", "168.63.129.16", "100.100.100.200", "198.19.0.1",
        "203.0.113.9", "240.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8", "::ffff:168.63.129.16",
        "64:ff9b::168.63.129.16", "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:127.0.0.1", "fe80::5efe:8.8.8.8",
        "3fff::1", "3fff:fff:ffff::1", "5f00::1", "100::1", "100:0:0:1::1", "2001::1", "2001:0:5ef5:79fb::1",
        "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:808:808::1", "4000::1", "1::1", "9000::1",
    ],
)  # fmt: skip
def test_a_private_address_is_recognised_in_each_guise(address):
    assert is_private(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "192.0.1.1",
     "168.63.129.17", "100.63.255.255", "100.128.0.1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "3ffe::1",
     "2a00:1450:4001::5efe:8.8.8.8", "2a00::7f00:1"],
)  # fmt: skip
def test_a_public_address_is_not_private(address):
    assert not is_private(address)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "app.localhost", "[::1]", "127.1", "2130706433", "0x7f000001", "0177.0.0.1",
     "0xa9fea9fe"],
)  # fmt: skip
def test_a_host_is_private_however_it_is_spelled(host):
    assert is_private_host(host)


@pytest.mark.parametrize("host", ["example.com", "8.8.8.8", "134744072", "localhost.example.com", "hooks.slack.com"])
def test_other_hosts_are_looked_up_first(host):
    assert not is_private_host(host)


def test_a_name_is_refused_when_one_of_its_addresses_is_private(monkeypatch):
    answers = [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.0.0.7", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **options: answers)
    with pytest.raises(PrivateAddress, match="allow_private"):
        public_addresses("both.example.com", 443)
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **options: answers[:1])
    assert public_addresses("one.example.com", 443) == ["8.8.8.8"]


@pytest.mark.parametrize(
    ("markup", "text", "shown"),
    [
        ("plain", "<!channel> @everyone *b* :fire:", "<!channel> @everyone *b* :fire:"),
        ("slack", "@here and :fire: at 12:30:45", "@\u200bhere and :\u200bfire: at 12:\u200b30:45"),
        ("discord", "@everyone", "@\u200beveryone"),
        ("discord", "<@!123> <@&55> <#7>", "\\<@\u200b\\!123\\> \\<@\u200b\\&55\\> \\<\\#7\\>"),
        ("discord", "**b** `c` ~~s~~ ||x|| [l](u)", "\\*\\*b\\*\\* \\`c\\` \\~\\~s\\~\\~ \\|\\|x\\|\\| \\[l\\]\\(u\\)"),
        ("discord", "\\*b\\*", "\\\\\\*b\\\\\\*"),
        ("discord", "# h\n> q\n- l\n1. n", "\\# h\n\\> q\n\\- l\n1\\. n"),
        ("teams", "<at>Bob</at>\n{{DATE(x)}}", "\\<at\\>Bob\\</at\\>\n\n\\{\\{DATE\\(x\\)\\}\\}"),
        ("discord", "anna@example.com", "anna@example\\.com"),
    ],
)
def test_a_text_is_made_harmless_for_its_service(markup, text, shown):
    assert harmless(text, markup) == shown


@given(st.text(alphabet="@everyonhc<>!&*_`#\\:|~[]().-1 \n", max_size=60))
def test_no_text_keeps_a_ping_or_an_open_mark_for_discord(text):
    shown = harmless(text, "discord")
    for word in ("@everyone", "@here", "@1", "@!1", "@&1"):
        assert word not in shown
    plain = "".join(each for each in shown.replace("\\\\", "") if each != "\u200b")
    for i, each in enumerate(plain):
        assert each not in "*_`~|<>#[" or plain[i - 1 : i] == "\\"


@given(st.text(max_size=300), st.integers(1, 120))
def test_a_text_fits_the_room_after_it_is_written(text, room):
    def written(part):
        return harmless(part, "discord")

    short = shortened(text, room, written)
    assert len(written(short)) <= room
    assert short == text or short.endswith("…")


def test_a_message_is_kept_as_plain_json_without_control_characters():
    body = ChannelMessage(
        "Error\r\nrate", "one\x1b[31m\ntwo\u202e", severity="critical", url="https://g.example.com", thread="i-1"
    ).packed()
    assert json.loads(body) == {
        "title": "Error rate", "text": "one[31m\ntwo", "severity": "critical", "url": "https://g.example.com",
        "thread": "i-1", "resolved": False, "over": False, "change": "",
    }  # fmt: skip
    assert read_message(body).thread == "i-1"


@pytest.mark.parametrize(
    "body", [b"", b"From: a\r\n\r\n", b"[]", b"{}", b'{"title": "a", "text": "b", "other": 1}', b"\xff"]
)
def test_another_body_is_no_message(body):
    with pytest.raises(ValueError, match="not a channel's message"):
        read_message(body)


def test_a_channel_is_a_text_or_a_table_and_its_address_a_secret(load, tmp_path, caplog):
    (tmp_path / "url").write_text("jsons://user:hunter22@hooks.example.com/x\n")
    (tmp_path / "url").chmod(0o600)
    with caplog.at_level(1):
        settings = load(f'[channels]\nops = "{SLACK}"\n[channels.web]\nurl_file = "url"\n[rules.error_rate]\n'
                        'channels = ["mail", "ops"]\n')  # fmt: skip
    assert settings.channels["ops"].address == SLACK
    assert settings.channels["web"].address == "jsons://user:hunter22@hooks.example.com/x"
    assert SECRET not in repr(settings) + caplog.text and "hunter22" not in repr(settings) + caplog.text


def test_an_address_comes_from_the_environment_too(load, monkeypatch):
    monkeypatch.setenv("GUARDIAN_CHANNELS__OPS", SLACK)
    assert load("").channels["ops"].address == SLACK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ops = "slak://abc"', "guardian.toml line 2: channels.ops: this is not a channel's address: it begins with "
         "one of slack://, workflows://, workflow://, discord://, ntfys://, ntfy://, pagerduty://, jsons://, json://"),
        ('ops = "slack://abc"', "guardian.toml line 2: channels.ops: this is not a complete slack:// address: see "
         "docs/channels.md"),
        ('ops = "https://example.com/hook"', "guardian.toml line 2: channels.ops: this is not a complete https:// "
         "address: see docs/channels.md; a webhook of your own is written as jsons://host/path"),
        ('ops = "json://127.0.0.1:80/x"', "guardian.toml line 2: channels.ops: its host is private, which is refused: "
         "set allow_private = true if this is meant"),
        ('ops = "json://0x7f000001/x"', "guardian.toml line 2: channels.ops: its host is private, which is refused: "
         "set allow_private = true if this is meant"),
        ('ops = "ntfy://[::1]/topic"', "guardian.toml line 2: channels.ops: its host is private, which is refused: "
         "set allow_private = true if this is meant"),
        ('ops = "ntfys://ntfy.example.com/one/two"', "guardian.toml line 2: channels.ops: the address names several "
         "receivers: make each a channel of its own"),
        (f'ops = "{SLACK}?format=markdown"', "guardian.toml line 2: channels.ops: the address has format=, which "
         "Guardian sets itself: take it out"),
        ('ops = "tgram://123456789:abcdefg_hijklmnop/12315544/"', "guardian.toml line 2: channels.ops: tgram:// goes "
         "through Apprise, which may reach private hosts too: set allow_private = true if this is meant"),
        ('ops = {url = "tgram://abc", allow_private = true}', "guardian.toml line 2: channels.ops: this is not a "
         "complete tgram:// address: see Apprise's documentation"),
        ('ops = "ntfys://ntfy.example.com"', "guardian.toml line 2: channels.ops: this is not a complete ntfys:// "
         "address: see docs/channels.md"),
        (f'ops = "{SLACK}/#a/#b"', "guardian.toml line 2: channels.ops: the address names several receivers: make each "
         "a channel of its own"),
        ("ops = {}", "guardian.toml line 2: channels.ops: url is missing: give url or url_file"),
        ("ops = 5", "guardian.toml line 2: channels.ops is not a table: write its keys under [channels.ops]"),
        (f'ops = {{ulr = "{SLACK}"}}', "guardian.toml line 2: channels.ops.ulr is not a setting: did you mean url?"),
        ("ops = {url = 5}", "guardian.toml line 2: channels.ops.url is not a text in quotes"),
        (f'mail = "{SLACK}"', "guardian.toml line 1: channels: mail is always a channel, and its address is in "
         "[mail]: call this one something else"),
        (f'"Ops!" = "{SLACK}"', 'guardian.toml line 1: channels: "Ops!" is not a channel\'s name: use small letters, '
         "digits, - and _"),
    ],
)  # fmt: skip
def test_a_wrong_channel_is_refused_with_its_cure(problems, text, said):
    found = problems(f"[channels]\n{text}\n")
    assert said in found
    assert SECRET not in "".join(found)


def test_a_file_with_an_address_is_for_its_owner_only(problems, load):
    [said] = problems(f'[channels]\nops = "{SLACK}"\n', mode=0o644)
    assert "holds a secret" in said and SECRET not in said
    [said] = problems(f'[channels.ops]\nurl = "{SLACK}"\n', mode=0o644)
    assert "holds a secret" in said


def test_each_unknown_channel_of_a_rule_is_said_with_its_line(problems):
    text = f'[channels]\nops = "{SLACK}"\n[rules.error_rate]\nchannels = ["mail", "opps"]\n[rules.user_burst]\n' + (
        'channels = ["pager"]\n'
    )
    assert problems(text) == [
        'guardian.toml line 4: rules.error_rate.channels = "opps" is not a channel: did you mean ops?',
        'guardian.toml line 6: rules.user_burst.channels = "pager" is not a channel: the channels are mail, ops',
    ]


def test_without_apprise_the_cure_is_said_for_other_services_only(problems, load, monkeypatch):
    monkeypatch.setattr("guardian.mail.channels.services.find_spec", lambda name: None)
    assert problems('[channels]\nops = "tgram://123456789:abcdefg_hijklmnop/12315544/"\n') == [
        f"guardian.toml line 2: channels.ops: tgram:// {NOT_INSTALLED}; without it an address begins with one of "
        "slack://, workflows://, workflow://, discord://, ntfys://, ntfy://, pagerduty://, jsons://, json://"
    ]
    assert load(f'[channels]\nops = "{SLACK}"\n').channels["ops"].address == SLACK


def test_the_address_that_slack_shows_is_taken_as_it_is(load):
    settings = load(f'[channels]\nops = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{SECRET}"\n')
    assert SECRET in settings.channels["ops"].address


SLACK_BOT = "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"
TEAMS = "triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s-g"


def requests_of(address, message=b"", answer=b'{"ok": true, "user": {"id": "U77"}}'):
    """What the address's sender asks for, each request answered so."""
    conversation = make_sender(address).say(read_message(message or ChannelMessage("t", "x").packed()))
    found = [next(conversation)]
    try:
        while True:
            found.append(conversation.send(Answer(200, {}, answer)))
    except StopIteration:
        return found


@pytest.mark.parametrize(
    ("address", "url", "said"),
    [
        ("slack://T0/B0/tok", "https://hooks.slack.com/services/T0/B0/tok", {"mrkdwn": False}),
        ("https://hooks.slack.com/services/T0/B0/tok", "https://hooks.slack.com/services/T0/B0/tok", {}),
        ("https://hooks.slack-gov.com/services/T0/B0/tok", "https://hooks.slack-gov.com/services/T0/B0/tok", {}),
        ("https://hooks.slack.com/triggers/T0/12/a1", "https://hooks.slack.com/triggers/T0/12/a1", {"text": "t: x"}),
        ("slack://Bot%20Name@T0/B0/tok", "https://hooks.slack.com/services/T0/B0/tok", {"username": "Bot Name"}),
        ("slack://T0/B0/tok/#general", "https://hooks.slack.com/services/T0/B0/tok", {"channel": "#general"}),
        (f"slack://{SLACK_BOT}/#ops", "https://slack.com/api/chat.postMessage", {"channel": "#ops"}),
        (f"slack://{SLACK_BOT}", "https://slack.com/api/chat.postMessage", {"channel": "#general"}),
        (f"slack://{SLACK_BOT}/+C0123", "https://slack.com/api/chat.postMessage", {"channel": "C0123"}),
        (f"slack://{SLACK_BOT}/#a:12.5", "https://slack.com/api/chat.postMessage", {"thread_ts": "12.5"}),
        (f"slack://{SLACK_BOT}/bob@example.com", "https://slack.com/api/chat.postMessage", {"channel": "U77"}),
        ("workflows://prod-1.logic.azure.com:443/w-f/s-g", f"https://prod-1.logic.azure.com:443/workflows/w-f/{TEAMS}",
         {"type": "message"}),
        (f"https://prod-1.logic.azure.com:443/workflows/w-f/{TEAMS}",
         f"https://prod-1.logic.azure.com:443/workflows/w-f/{TEAMS}", {}),
        ("https://a.api.powerplatform.com/powerautomate/automations/direct/cu/12/workflows/w/triggers/manual/paths/"
         "invoke?api-version=1&sig=s", "https://a.api.powerplatform.com/powerautomate/automations/direct/cu/12/"
         "workflows/w/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s", {}),
        ("discord://417/JH-M_", "https://discord.com/api/webhooks/417/JH-M_",
         {"allowed_mentions": {"parse": [], "users": [], "roles": []}}),
        ("https://discord.com/api/webhooks/417/JH-M_", "https://discord.com/api/webhooks/417/JH-M_", {}),
        ("discord://417/JH-M_?thread=9&ping=@everyone,%265", "https://discord.com/api/webhooks/417/JH-M_?thread_id=9",
         {"allowed_mentions": {"parse": ["everyone"], "users": [], "roles": ["5"]},
          "content": "t\r\nx\n👉 @everyone <@&5>"}),
        ("ntfy://Topic", "https://ntfy.sh/", {"topic": "Topic"}),
        ("ntfys://ntfy.example.com/topic", "https://ntfy.example.com/", {"topic": "topic"}),
        ("ntfy://ntfy.example.com:8080/topic", "http://ntfy.example.com:8080/", {"topic": "topic"}),
        ("https://ntfy.sh/topic", "https://ntfy.sh/", {"topic": "topic"}),
        ("pagerduty://key@api", "https://events.pagerduty.com/v2/enqueue", {"routing_key": "key"}),
        ("pagerduty://key@api?region=eu", "https://events.eu.pagerduty.com/v2/enqueue", {"event_action": "trigger"}),
        ("jsons://user:pw@Example.com/a/b", "https://Example.com/a/b", {"title": "t"}),
        ("json://example.com:8080", "http://example.com:8080/", {}),
        ("jsons://example.com/h?-key=a%26b&:room=7&:message=text", "https://example.com/h?key=a%26b",
         {"room": "7", "text": "x"}),
    ],
)  # fmt: skip
def test_each_form_of_address_leads_where_it_says(address, url, said):
    last = requests_of(address)[-1]
    assert last.url == url
    assert said.items() <= last.body.items()


@pytest.mark.parametrize(
    ("address", "header", "value"),
    [
        ("jsons://user:p%40w@example.com/x", "Authorization", "Basic dXNlcjpwQHc="),
        ("jsons://example.com/x?+X-Token=a+b", "X-Token", "a+b"),
        ("ntfys://tk_abc@ntfy.example.com/topic", "Authorization", "Bearer tk_abc"),
        ("ntfys://u:p@ntfy.example.com/topic", "Authorization", "Basic dTpw"),
        ("ntfys://ntfy.example.com/topic?priority=high", "X-Priority", "high"),
        ("pagerduty://key@api", "Authorization", "Token token=api"),
        (f"slack://{SLACK_BOT}/#ops", "Authorization", f"Bearer {SLACK_BOT}"),
    ],
)
def test_what_logs_in_goes_into_a_header(address, header, value):
    assert requests_of(address)[-1].headers[header] == value


@pytest.mark.parametrize("answer", [b"null", b"[]", b'{"ok": true}', b'{"ok": true, "user": null}', b"\xff", b"ok"])
def test_an_answer_of_slack_that_makes_no_sense_is_no_crash(answer):
    try:
        requests_of(f"slack://{SLACK_BOT}/bob@example.com", answer=answer)
    except DeliveryError as error:
        assert str(error) == "Slack answered with an answer that is not its ok"


def test_the_title_of_a_slack_workflow_pings_nobody_either():
    said = ChannelMessage("<!channel> down", "x").packed()
    [request] = requests_of("https://hooks.slack.com/triggers/T0/12/a1", said)
    assert request.body == {"text": "&lt;!channel&gt; down: x"}


@pytest.mark.parametrize(
    "address", ["jsons://example.com:99999/x", "jsons://exa mple.com", "jsons:///x", "discord://1", "pagerduty://key",
                "slack://a-b/c/d", "workflows://host/wf", "ntfys://h.example.com/topic%0d%0aX-Evil:1",
                "jsons://u%0d%0a:p@h.example.com/", "jsons://h.example.com/?+Sch\u00fcler=1",
                "jsons://h.example.com/\udcff"],
)  # fmt: skip
def test_an_address_that_could_not_be_used_is_refused_at_once(address):
    with pytest.raises(ValueError, match="not a complete"):
        make_sender(address)


@given(
    st.sampled_from(["slack", "workflows", "discord", "ntfy", "ntfys", "pagerduty", "json", "jsons", "https"]),
    st.text(max_size=80) | st.text(alphabet="abT0/:@?&=%#+-;[]._1", max_size=60),
)
def test_any_text_is_an_address_or_refused_with_one_sentence_that_does_not_repeat_it(scheme, rest):
    try:
        assert isinstance(make_sender(f"{scheme}://{rest}"), Sender)
    except ValueError as error:
        assert len(str(error)) < 160 and (len(rest) < 17 or rest not in str(error))


@given(st.text(alphabet="ab/:@?&=%#+-;[]._1 \n", max_size=60))
def test_an_address_is_read_or_is_none(text):
    address = read_address(text)
    assert address is None or "://" in text
