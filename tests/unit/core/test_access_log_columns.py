"""Lines of access logs that are read many at once: the same as one by one, whatever they are."""

import json
from collections import Counter
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.application.importing.marks import Marks, marks_of
from guardian.core.access_log import columns, skeletons
from guardian.core.access_log.formats import FORMATS, parser, reader
from guardian.core.access_log.line import Unreadable
from guardian.core.access_log.places import MOST_WORDS, Places
from guardian.stores.importing import STRETCH_US

CADDY = {
    "level": "info", "ts": 1646861401.52, "msg": "handled request",
    "request": {"method": "GET", "uri": "/a/b?q=1", "headers": {"Accept": ["a", "b"], "X": []}, "tls": {"status": 1}},
    "user_id": "frank", "duration": 0.00092, "size": 10900, "status": 200, "resp_headers": {"Server": ["Caddy"]},
}  # fmt: skip
TRAEFIK = {
    "ClientUsername": "-", "DownstreamStatus": 200, "Duration": 1234567, "OriginStatus": 200, "RequestMethod": "GET",
    "RequestPath": "/a/b?q=1", "StartUTC": "2026-03-02T13:30:00.123456789Z", "ok": True, "none": None,
}  # fmt: skip
PLAIN = [
    b'127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a/b?q=1 HTTP/1.1" 200 2326',
    b'127.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "POST /c HTTP/1.1" 404 - "-" "agent" rt=1.500',
    b'127.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "GET /c HTTP/1.1" 200 5 "-" "agent" 2500',
    b'127.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "\\x16\\x03" 400 5 "-" "-"',
    b'127.0.0.1 - - [31/Feb/2000:13:55:38 -0700] "GET /c HTTP/1.1" 200 5',
    b'127.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "GET /c HTTP/1.1" 000 5',
    b'127.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "GET /c HTTP/1.1" 999 5',
    b'2000-10-10 22:55:36,250 INFO:     [::1]:5 - "GET /a/b?q=1 HTTP/1.1" 200 OK',
    b'2000-10-10 22:55:36,250 INFO:     - - "WebSocket /ws/7?t=1" [accepted]',
    b'2000-13-10 22:55:36,250 INFO:     [::1]:5 - "GET /a/b?q=1 HTTP/1.1" 200 OK',
    b'INFO:     [::1]:5 - "GET /a/b?q=1 HTTP/1.1" 200 OK',
    b"hello",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**20) | st.floats() | st.text(max_size=6)
    | st.sampled_from(["200", "", "-", "2026-03-02T13:30:00Z", "1.5ms", 10**20, 404, 0, 999]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CADDY, *TRAEFIK, "ä", 'a"b']), inner),
    max_leaves=6,
)  # fmt: skip


def dense(entry):
    return json.dumps(entry, separators=(",", ":")).encode()


@st.composite
def entries(draw, form):
    """An entry with other keys, another order, other values, a key twice, or none of that, as it is written."""
    entry = json.loads(json.dumps(CADDY if form == "caddy" else TRAEFIK))
    for _ in range(draw(st.integers(0, 2))):
        within = draw(st.sampled_from([entry, *(each for each in entry.values() if isinstance(each, dict))]))
        within[draw(st.sampled_from([*within, *CADDY, *TRAEFIK, "uri", "method"]))] = draw(VALUES)
    if draw(st.booleans()):
        entry.pop(draw(st.sampled_from([*entry])))
    if draw(st.booleans()):
        entry = {key: entry[key] for key in draw(st.permutations([*entry]))}
    written = json.dumps(
        entry, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])), ensure_ascii=draw(st.booleans())
    )
    if draw(st.booleans()):
        written = written.replace('"', f'"{draw(st.sampled_from([*entry, "x"]))}":{json.dumps(draw(VALUES))},"', 1)
    return written.encode("utf-8", "surrogatepass")


def one_by_one(form, lines):
    """What a parser says of each."""
    parse, found, refused = parser(form, UTC), [], []
    for place, line in enumerate(lines):
        try:
            found.append((line, *parse(line)))
        except Unreadable as error:
            refused.append((place, str(error)))
    return found, refused


def at_once(read, lines):
    requests, refused = read(lines)
    return [*zip(*requests, strict=True)], refused


@given(form=st.sampled_from(["caddy", "traefik"]), data=st.data())
def test_lines_of_json_say_at_once_what_they_say_one_by_one(form, data):
    usual = dense(CADDY if form == "caddy" else TRAEFIK)
    some = st.lists(st.just(usual) | entries(form) | st.binary(max_size=9), max_size=30)
    read = reader(form, UTC)
    for _ in range(2):  # the second time with the shapes of the first
        lines = [usual] * 9 + data.draw(some)
        assert at_once(read, lines) == one_by_one(form, lines)


@given(form=st.sampled_from(FORMATS), often=st.integers(0, 40), others=st.lists(st.sampled_from(PLAIN), max_size=8))
def test_plain_lines_say_at_once_what_they_say_one_by_one(form, often, others):
    lines = [*others[:3], *PLAIN[:1] * often, *PLAIN[7:8] * often, *others[3:]]
    assert at_once(reader(form, UTC), lines) == one_by_one(form, lines)


@pytest.mark.parametrize("form", ["nginx", "caddy", "traefik", "uvicorn"])
def test_bad_lines_keep_their_places_across_blocks(form):
    usual = {"nginx": PLAIN[0], "uvicorn": PLAIN[7], "caddy": dense(CADDY), "traefik": dense(TRAEFIK)}[form]
    lines = [usual] * (2 * columns.BLOCK + 10)
    for place in (0, 7, columns.BLOCK - 1, columns.BLOCK, len(lines) - 1):
        lines[place] = b"hello"
    found = at_once(reader(form, UTC), lines)
    assert found == one_by_one(form, lines)
    assert [place for place, _ in found[1]] == [0, 7, columns.BLOCK - 1, columns.BLOCK, len(lines) - 1]


def test_a_log_of_ever_new_shapes_stops_being_looked_at_for_shapes(monkeypatch):
    read, made = reader("caddy", UTC), []
    real = skeletons.re.compile
    monkeypatch.setattr(skeletons.re, "compile", lambda shape: made.append(shape) or real(shape))
    lines = [dense(CADDY | {f"more{n}": 1}) for n in range(300)]
    assert at_once(read, lines) == one_by_one("caddy", lines)
    assert len(made) == skeletons.MOST


def test_lines_without_the_fields_that_are_read_are_soon_not_looked_at_for_a_shape(monkeypatch):
    read, looked = reader("traefik", UTC), []
    real = skeletons.json.loads
    monkeypatch.setattr(
        skeletons.json, "loads", lambda line, **how: (looked.append(line) if how else None, real(line, **how))[1]
    )
    read([dense({"level": "info", "n": n}) for n in range(1_000)])
    assert len(looked) == 100


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=40),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=10),
    st.lists(st.integers(1, 9)),
)
def test_a_line_is_new_as_often_as_it_stands_there_more_often_than_it_was_stored(lines, stored, cuts):
    before = Marks(lambda _: ())
    before.new(marks_of(b"key", [line.encode() for line, _ in stored]), [at * STRETCH_US for _, at in stored])
    marks, left, found = Marks(lambda start: before.added.get(start, [])), lines, []
    for cut in [*cuts, len(lines) + 1]:
        some, left = left[:cut], left[cut:]
        found += marks.new(marks_of(b"key", [line.encode() for line, _ in some]), [at * STRETCH_US for _, at in some])
    known, here, expected = Counter(stored), Counter(), []
    for each in lines:
        here[each] += 1
        expected.append(here[each] > known[each])
    assert found == expected
    assert sum(map(len, marks.added.values())) == sum(expected)


TARGETS = st.sampled_from(
    [b"/%b/%b" % (first, second) for first in (b"a", b"b", b"7") for second in (b"x", b"y", b"12")]
    + [b"/a/w%b" % bytes([97 + n % 26, 97 + n // 26]) for n in range(MOST_WORDS + 5)]
    + [b"/a/w%b/deep/%b" % (bytes([97 + n % 26, 97 + n // 26]), b"q" * (n % 3 + 1)) for n in range(MOST_WORDS + 5)]
)


@given(st.lists(st.tuples(TARGETS, st.sampled_from([200, 200, 404])), max_size=150), st.integers(0, 150))
def test_templates_found_at_once_are_those_that_are_found_one_by_one(asked, learned):
    several, single = Places(), Places()
    for part in (asked[:learned], asked[learned:]):
        several.learn_all([target for target, _ in part], [status for _, status in part])
        for target, status in part:
            single.learn(target, status)
        found = several.find_all([target for target, _ in asked], [status for _, status in asked])
        assert found == [single.find(target, status) for target, status in asked]
