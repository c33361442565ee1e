"""What Gmail, Outlook and Apple Mail don't understand of the mails, by the data of caniemail.com: only what may go."""

import json
import subprocess
from email import message_from_bytes, policy
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_node
NODE = Path(__file__).parents[1] / "node"

MAY_GO = {
    "@media": "phones and darkness: without it the mail is the light one of the desk, which fits and reads well",
    "<style> element": "holds those media queries and nothing else: all other styles stand on the elements",
    "<body> element": "its background and font stand on the outer table as well",
    "border-radius": "corners are square there",
    "display:none": "the preheader is also too small to be seen, in the colour of its ground",
    "overflow": "the preheader is also too small to be seen, in the colour of its ground",
    "overflow-wrap": "word-break does the same there",
    "word-break": "overflow-wrap does the same there, or a long name makes its column wider",
    "table-layout": "the cells have widths of their own",
    "<wbr> element": "a long address then breaks anywhere, as it does without",
    "white-space": "a figure may break onto a second line",
    "role attribute": "tables are then read out as tables",
}
"""What a mail program may ignore, and why nothing is lost."""


def unsupported(*messages):
    """What is not supported of each: one process, since it takes half a second to read the data."""
    pages = [message.get_body(("html",)).get_content() for message in messages]
    done = subprocess.run(
        ["node", "caniemail.mjs"],
        input=json.dumps(pages), cwd=NODE, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(samples_in):
    if not (NODE / "node_modules").exists():
        pytest.skip("tests/node is not installed: run 'make tools'")
    samples = samples_in("en")
    messages = [message_from_bytes(sample.mail.body, policy=policy.default) for sample in samples]
    return dict(zip((sample.name for sample in samples), unsupported(*messages), strict=True))


def test_no_mail_needs_what_gmail_outlook_or_apple_mail_lack(found):
    assert {name: each for name, lacks in found.items() if (each := set(lacks) - set(MAY_GO))} == {}
    assert {"report", "alert-feature-down", "login-ends", "test"} <= set(found)


def test_nothing_is_excused_that_no_mail_uses(found):
    assert set(MAY_GO) == set().union(*found.values())


def test_a_mail_that_needs_more_would_be_noticed(found):
    message = message_from_bytes(
        b"Content-Type: text/html\n\n<p style='display:grid;position:fixed'>x</p>", policy=policy.default
    )
    assert {"display:grid", "position"} <= set(*unsupported(message))
