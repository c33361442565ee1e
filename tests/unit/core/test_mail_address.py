"""One grammar for mail addresses: what is taken can be sent, and what is refused is told why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.mail_address import NoAddress, check_address, split_mailbox, wire_address


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("ann@example.com", "ann@example.com"),
        ("o'brien+x@mail.example.co.uk", "o'brien+x@mail.example.co.uk"),
        ("guardian@localhost", "guardian@localhost"),
        ("josé@example.com", "josé@example.com"),
        ("jose\u0301@example.com", "josé@example.com"),  # a letter and its accent are one
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@straße.example", "ann@xn--strae-oqa.example"),
        ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
        ("दादा@उदाहरण.भारत", "दादा@xn--p1b6ci4b4b3a.xn--h2brj9c"),
        ("ann@xn--i-7iq.ws", "ann@xn--i-7iq.ws"),  # no name that IDNA 2008 allows, and there all the same
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
        ("ann@" + "x" * 63 + ".com", "ann@" + "x" * 63 + ".com"),
    ],
)
def test_addresses_in_any_script_are_taken_and_their_domains_become_ascii(address, wire):
    assert wire_address(address) == wire
    assert wire_address(check_address(address)) == wire


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "write it as you@example.com"),
        ("nobody", "write it as you@example.com"),
        ("ann@", "write it as you@example.com"),
        ("@example.org", "write it as you@example.com"),
        ("an n@example.org", "write it as you@example.com"),
        ("ann@a@example.org", "write it as you@example.com"),
        ("Ann <ann@example.org>", "write it as you@example.com"),
        ("ann@example.org,bob@example.org", "write it as you@example.com"),
        ('"ann"@example.org', "quotes, brackets"),
        ("ann:b@example.org", "quotes, brackets"),
        ("ann..b@example.org", "two in a row"),
        (".ann@example.org", "begins or ends with a dot"),
        ("ann.@example.org", "begins or ends with a dot"),
        ("ann@example..org", "an empty part"),
        ("ann@.example.org", "an empty part"),
        ("ann@example.org.", "an empty part"),
        ("ann@exam_ple.org", "letters, digits and inner hyphens"),
        ("ann@-example.org", "letters, digits and inner hyphens"),
        ("ann@example-.org", "letters, digits and inner hyphens"),
        ("ann@[192.0.2.1]", "letters, digits and inner hyphens"),
        ("ann@i❤.ws", "xn-- form"),
        ("x" * 65 + "@example.org", "longer than 64 bytes"),
        ("é" * 33 + "@example.org", "longer than 64 bytes"),
        ("ann@" + "x" * 64 + ".org", "longer than 63 bytes"),
        ("ann@" + "ü" * 60 + "x.org", "xn-- form"),
        ("x" * 60 + "@" + ".".join(["y" * 48] * 4), "longer than 254 bytes"),
        ("ann@" + ".".join(["y" * 60] * 5), "longer than 253 bytes"),
        ("ann@example.org\r\nBcc: evil@example.net", "cannot be seen"),
        ("ann\u200b@example.org", "cannot be seen"),
        ("ann@exam\u200dple.org", "cannot be seen"),
        ("\ufeffann@example.org", "cannot be seen"),
        ("ann\u202e@example.org", "cannot be seen"),
        ("an\u00adn@example.org", "cannot be seen"),
        ("an\u3164n@example.org", "cannot be seen"),
        ("an\ufe0fn@example.org", "cannot be seen"),
        ("an\x7fn@example.org", "cannot be seen"),
        ("an\ud800n@example.org", "cannot be seen"),
        ("ann\u00a0b@example.org", "write it as you@example.com"),
        ("ann\u3000b@example.org", "write it as you@example.com"),
    ],
)
def test_what_cannot_be_sent_to_is_refused_with_the_reason_in_one_printable_line(address, why):
    with pytest.raises(NoAddress, match="is not a mail address: ") as refused:
        check_address(address)
    assert why in str(refused.value)
    assert str(refused.value).isprintable()


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_taken_or_refused_and_what_is_taken_is_taken_again(local, domain):
    try:
        taken = check_address(f"{local}@{domain}")
    except NoAddress as error:
        assert str(error).isprintable()
        return
    assert check_address(taken) == taken
    assert len(wire_address(taken).encode()) <= 254
    assert wire_address(taken).rpartition("@")[2].isascii()


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("guardian@example.com", "", "guardian@example.com"),
        ("<guardian@example.com>", "", "guardian@example.com"),
        ("Guardian <guardian@example.com>", "Guardian", "guardian@example.com"),
        ("Guardian: prod <g@example.com>", "Guardian: prod", "g@example.com"),
        ("Guardian, prod; (eu) <g@example.com>", "Guardian, prod; (eu)", "g@example.com"),
        ('"Guardian \\"eu\\"" <g@example.com>', 'Guardian "eu"', "g@example.com"),
        ("ops@example.com <g@example.com>", "ops@example.com", "g@example.com"),
        ("Wächter <wächter@bücher.example>", "Wächter", "wächter@bücher.example"),
        ("g@example.com (Guardian)", "Guardian", "g@example.com"),
    ],
)
def test_a_mailbox_keeps_the_whole_display_name(text, name, address):
    assert split_mailbox(text) == (name, address)


@pytest.mark.parametrize(
    "text", ["Guardian", "Guardian <>", "Guardian <g@example.com> <h@example.com>", "a b@example.com"]
)
def test_what_is_no_mailbox_is_refused(text):
    with pytest.raises(NoAddress):
        split_mailbox(text)
