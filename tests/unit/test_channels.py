"""Channels: which addresses are refused, what a text becomes for each service, and what the settings say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.mail.channels import compose_channel
from guardian.mail.channels.addresses import PrivateAddress, is_private, is_private_host, public_addresses
from guardian.mail.channels.message import harmless, read_message, shortened
from guardian.settings.channels import NOT_INSTALLED

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
    ],
)  # fmt: skip
def test_a_private_address_is_recognised_in_each_guise(address):
    assert is_private(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
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
    body = compose_channel(
        "Error\r\nrate", "one\x1b[31m\ntwo\u202e", severity="critical", url="https://g.example.com", thread="i-1"
    )
    assert json.loads(body) == {
        "title": "Error rate", "text": "one[31m\ntwo", "severity": "critical", "url": "https://g.example.com",
        "thread": "i-1", "resolved": False,
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


def test_without_apprise_the_cure_is_said(problems, monkeypatch):
    monkeypatch.setattr("guardian.settings.channels.find_spec", lambda name: None)
    assert problems(f'[channels]\nops = "{SLACK}"\n') == [f"guardian.toml line 2: channels.ops: {NOT_INSTALLED}"]


def test_the_address_that_slack_shows_is_taken_as_it_is(load):
    settings = load(f'[channels]\nops = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{SECRET}"\n')
    assert SECRET in settings.channels["ops"].address
