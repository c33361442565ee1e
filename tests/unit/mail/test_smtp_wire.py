"""A message on its way to an SMTP server: the same bytes as the library would send, in pieces."""

from aiosmtplib.protocol import PERIOD_REGEX, normalize_message_line_endings
from hypothesis import example, given
from hypothesis import strategies as st

from guardian.mail.transports.smtp_wire import wire_pieces

LINES = st.lists(st.sampled_from([b"a", b"bc", b".", b"..", b"\r\n", b"\n", b"\r", b"\r\n.", b"\x00\xff"]), max_size=30)


@given(LINES.map(b"".join), st.integers(1, 12))
@example(b"a\r\n.b", 3)
@example(b"a\r\r\n.", 2)
def test_the_pieces_of_a_message_are_what_the_library_sends_at_once(message, size):
    whole = PERIOD_REGEX.sub(b"..", normalize_message_line_endings(message)) + b".\r\n"
    # The library takes an empty message for an empty line.
    assert b"".join(wire_pieces(message, size)) == (whole if message else b".\r\n")


def test_no_piece_is_longer_than_its_size_and_a_line():
    message = b"." * 75 + b"\r\n"
    pieces = list(wire_pieces(message * 10_000, 5_000))
    assert len(pieces) == 10_000 * 77 // 5_005 + 2
    assert max(map(len, pieces)) <= 5_000 + 78 + 65  # and a dot for each line of it
