"""Nothing that somebody else chose can add a header to a mail, or send it elsewhere."""

import email
from dataclasses import fields
from datetime import UTC, datetime
from email import charset, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.mail.message import (
    Attachment,
    Content,
    Inline,
    Thread,
    build_message,
    clean_line,
    html_page,
    message_id,
)

NOW = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)


def build(**more):
    given = {
        "sender": "Guardian <guardian@example.com>",
        "recipient": "ann@example.org",
        "subject": "All is well",
        "text": "Hello\n",
        "html": "<p>Hello</p>",
        "key": "report/daily/2026-03-16",
        "now": NOW,
        **more,
    }
    content = Content(**{field.name: given.pop(field.name) for field in fields(Content) if field.name in given})
    return build_message(content, **given)


def parsed(data: bytes):
    return email.message_from_bytes(data, policy=policy.default)


def test_the_same_mail_made_again_is_the_same_bytes_and_no_text_ends_a_part_early():
    own = parsed(build())["X-Guardian-Id"]
    hostile = f"x\n--=_{own}.0\n--=_{own}.0--\n--=_{own}.1\nx\n"
    more = {"text": hostile, "html": hostile, "inline": [Inline("c@x", b"png")],
            "attachments": [Attachment("a.csv", "text/csv", hostile.encode())]}  # fmt: skip
    data = build(**more)
    assert build(**more) == data
    kinds = [part.get_content_type() for part in parsed(data).walk()]
    assert kinds == ["multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html",
                     "image/png", "text/csv"]  # fmt: skip
    assert parsed(data).get_body(("plain",)).get_content().replace("\r\n", "\n") == hostile


def test_a_library_that_changes_how_python_encodes_changes_no_mail(monkeypatch):
    subject = "⚠ 16 alerts: alice@example.com keeps hitting errors, … – Guardian"
    data = build(subject=subject)
    monkeypatch.setitem(charset.CHARSETS, "utf-8", (charset.QP, charset.QP, "utf-8"))  # as Apprise does on import
    assert build(subject=subject) == data


def test_the_message_as_it_goes_over_the_wire():
    data = build()
    message = parsed(data)
    assert sorted((name, value) for name, value in message.items() if name[:7] not in ("Content", "MIME-Ve")) == sorted(
        [
            ("From", "Guardian <guardian@example.com>"),
            ("To", "ann@example.org"),
            ("Subject", "All is well"),
            ("Date", "Mon, 16 Mar 2026 12:00:00 +0000"),
            ("Message-ID", message["Message-ID"]),
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "All"),
            ("X-Guardian-Id", message["X-Guardian-Id"]),
        ]
    )
    assert message["Message-ID"] == f"<{message['X-Guardian-Id']}@example.com>"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert b"\n" not in data.replace(b"\r\n", b"")


def test_the_same_mail_made_again_is_the_same_mail_and_another_recipients_is_not():
    assert parsed(build())["Message-ID"] == parsed(build())["Message-ID"]
    assert parsed(build())["Message-ID"] != parsed(build(recipient="bob@example.org"))["Message-ID"]


ATTACKS = [
    "=?utf-8?q?a=0ABcc:_evil@x=0A?=",
    "=?utf-8?q?a=0D=0ABcc:_evil@x=0D=0A?= =?utf-8?b?QmNjOiBldmlsQHg=?=",
    "hello\r\nBcc: evil@example.net",
    "hello\nBcc: evil@example.net\n\nbody",
    "hello\x0bBcc: evil@example.net",
    "\ud800\udfff lone",
    "hello\u2028Bcc: evil@example.net",
    "x" * 5000,
    "",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_no_subject_adds_a_header(text):
    message = parsed(build(subject=text))
    assert message["Bcc"] is None
    assert len(message.keys()) == len(parsed(build()).keys())
    assert "\n" not in str(message["Subject"])


@given(st.text(max_size=300))
def test_any_subject_reads_back_as_one_clean_line(text):
    assert str(parsed(build(subject=text))["Subject"]).split() == clean_line(text)[:196].split()


@pytest.mark.parametrize(
    "subject",
    [
        f"{prefix}{mark}{count}{title}, … – Guardian"
        for prefix in ("", "Re: ")
        for mark in ("● ", "⚠ ", "")
        for count in ("", "2 alerts: ", "12 alerts: ")
        for title in ("Error rate of chat above 10 %", "rosa@example.com keeps hitting errors", "chat_message is down")
    ],
)
def test_no_space_is_lost_where_a_long_subject_is_folded(subject):
    # email.policy in Python 3.11.7 loses one between an encoded word and the next on another line.
    assert str(parsed(build(subject=subject))["Subject"]) == subject


@given(st.lists(st.text(alphabet="aé–● xyz%:", min_size=1, max_size=12), max_size=20))
def test_a_long_subject_keeps_its_words(words):
    subject = clean_line(" ".join(words))[:196].strip()
    assert str(parsed(build(subject=subject))["Subject"]) == subject


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.org\r\nBcc: evil@example.net",
        "ann@example.org, evil@example.net",
        "=?utf-8?q?ann?= <evil@example.net>",
        "Ann <ann@example.org>",
        "ann",
        "ann@",
        "@example.org",
        "an n@example.org",
        "ann@exam_ple.org",
        "x" * 260 + "@example.org",
        "",
    ],
)
def test_only_one_plain_address_is_a_recipient(address):
    with pytest.raises(ValueError, match="is not a mail address"):
        build(recipient=address)


def test_the_senders_name_cannot_add_a_header_either():
    message = parsed(build(sender='"Guardian =?utf-8?q?=0ABcc:_x@y?=" <guardian@example.com>'))
    assert message["Bcc"] is None
    assert message["From"].addresses[0].addr_spec == "guardian@example.com"


def test_names_and_texts_in_any_script_arrive():
    message = parsed(build(sender="Wächter Größe <guardian@example.com>", subject="Grüße – 日本語", text="Größe ✓\n"))
    assert message["From"].addresses[0].display_name == "Wächter Größe"
    assert message["Subject"] == "Grüße – 日本語"
    assert message.get_body(("plain",)).get_content().splitlines() == ["Größe ✓"]


def test_a_thread_begins_with_its_root_and_goes_on_in_reply_to_it():
    root = message_id("incident-7", "guardian@example.com")
    first = parsed(build(thread=Thread(root, first=True)))
    later = parsed(build(thread=Thread(root, first=False), key="later"))
    assert (first["Message-ID"], first["References"]) == (root, None)
    assert (later["In-Reply-To"], later["References"]) == (root, root)
    assert later["Message-ID"] not in (root, first["Message-ID"])


def test_a_long_address_in_a_header_stays_as_it_is_on_the_wire():
    address = "<https://guardian.example.com/u/" + "x" * 300 + ">"
    assert f"List-Unsubscribe: {address}\r\n".encode() in build(headers={"List-Unsubscribe": address})
    with pytest.raises(ValueError, match="headers that nobody meant"):
        build(headers={"List-Unsubscribe": "<x>\r\nBcc: evil@example.net"})


def test_a_picture_of_the_page_comes_with_the_page_and_not_as_an_attachment():
    page = '<img src="cid:chart@guardian" alt="">'
    message = parsed(build(html=page, inline=[Inline("chart@guardian", b"png")]))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "multipart/related"]
    assert [part.get_filename() for part in message.walk() if part.get_filename()] == []
    assert html_page(message).strip() == '<img src="data:image/png;base64,cG5n" alt="">'
    assert html_page(parsed(build(html=None))) is None


def test_an_attachment_comes_beside_the_two_parts():
    message = parsed(build(attachments=[Attachment("users.csv", "text/csv", b"a,b\r\n")]))
    assert [part.get_filename() for part in message.iter_attachments()] == ["users.csv"]
    assert message.get_body(("html",)).get_content().startswith("<p>Hello</p>")


def lines_of(data: bytes, header: str) -> list[str]:
    """The lines of a header as they go over the wire, without its name."""
    lines, found = data.decode().split("\r\n"), []
    for n, line in enumerate(lines):
        if line.startswith(f"{header}: "):
            found = [line.removeprefix(f"{header}: ")]
            while lines[n + len(found)].startswith(" "):
                found.append(lines[n + len(found)])
    return found


def test_addresses_in_another_script_are_utf_8_with_their_domain_in_ascii():
    data = build(
        sender="Wächter <wächter@bücher.example>", recipient="josé@exämple.org", reply_to="hilfe@bücher.example"
    )
    assert lines_of(data, "From") == ["=?utf-8?q?W=C3=A4chter?= <wächter@xn--bcher-kva.example>"]
    assert lines_of(data, "To") == ["<josé@xn--exmple-cua.org>"]
    assert lines_of(data, "Reply-To") == ["<hilfe@xn--bcher-kva.example>"]
    assert lines_of(data, "Message-ID")[0].endswith("@xn--bcher-kva.example>")


@pytest.mark.parametrize(
    ("sender", "line"),
    [
        ("guardian@example.com", "<guardian@example.com>"),
        ("Guardian: prod <g@example.com>", '"Guardian: prod" <g@example.com>'),
        ("Guardian, eu <g@example.com>", '"Guardian, eu" <g@example.com>'),
        ('"Guardian \\"eu\\"" <g@example.com>', '"Guardian \\"eu\\"" <g@example.com>'),
        ("ops@example.com <g@example.com>", '"ops@example.com" <g@example.com>'),
        ("Guardian (prod) <g@example.com>", '"Guardian (prod)" <g@example.com>'),
    ],
)
def test_the_senders_name_is_kept_whole_whatever_stands_in_it(sender, line):
    data = build(sender=sender)
    assert lines_of(data, "From") == [line]
    assert parsed(data)["From"].addresses[0].addr_spec in ("guardian@example.com", "g@example.com")


@given(st.text(max_size=300), st.text(alphabet='aé–● 日x%:<"\\\\(@,;=?_', max_size=120))
def test_encoded_words_have_at_most_75_characters_and_their_lines_76(subject, name):
    data = build(subject=subject, sender='"{}" <g@example.com>'.format(name.replace("\\", "").replace('"', "")))
    for header in ("Subject", "From"):
        lines = lines_of(data, header)
        assert all(len(word) <= 75 for line in lines for word in line.split(" ") if word.startswith("=?"))
        assert len(lines) == 1 or all(len(line) <= 76 for line in [f"{header}: {lines[0]}", *lines[1:]])


def test_a_long_subject_is_cut_at_the_same_place_in_the_answers_of_its_thread():
    subject = "⚠ " + "chat_message is down, " * 12 + "– Guardian"
    first, later = (str(parsed(build(subject=each))["Subject"]) for each in (subject, f"Re: {subject}"))
    assert later == f"Re: {first}"
    assert 190 < len(first) <= 196
