"""What filters of unwanted mail and checkers of HTML look at first, in every mail that Guardian can send."""

import re
from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest

VOID = {"meta", "img", "br", "wbr", "hr", "link", "input"}


class Page(HTMLParser):
    """Notes what is closed that is not open, and what is left open."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        self.wrong += [name for name in names if names.count(name) > 1]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.mark.parametrize("code", ["en", "fr"])
def test_every_mail_names_its_encoding_first_and_hides_its_preheader_by_one_word(samples_in, code):
    for sample in samples_in(code):
        message = message_from_bytes(sample.mail.body, policy=policy.default)
        html = message.get_body(("html",)).get_content()
        assert html.encode().index(b'<meta charset="utf-8">') < 1024 - len('<meta charset="utf-8">'), sample.name
        assert html.index("<title>") < html.index("<style>"), sample.name
        hidden = re.findall(r'<div class="pre" style="([^"]*)"', html)
        assert [" ".join(each.split()) for each in hidden] == ["display: none;mso-hide: all;"], sample.name
        sizes = [float(each) for each in re.findall(r"font-size: ([\d.]+)px", html)]
        assert min(size for size in sizes if size) >= 10, sample.name
        assert re.search(rb"^To: <[^<>]+>\r$", sample.mail.body, re.MULTILINE), sample.name
        page = Page()
        page.feed(html)
        assert (page.wrong, page.open) == ([], []), sample.name
        assert len(set(page.ids)) == len(page.ids), sample.name
