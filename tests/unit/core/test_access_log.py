"""The lines of access logs: what is read of them, and what never is."""

import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.access_log.formats import FORMATS, detect, parser
from guardian.core.access_log.line import Times, Unreadable
from guardian.core.access_log.places import MOST_WORDS, Places
from tracker.event import UNMATCHED

ZURICH = ZoneInfo("Europe/Zurich")
AT = 971_211_336_000_000  # 2000-10-10 20:55:36 UTC
HEAD = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a/b?q=secret HTTP/1.1" 200 2326'
AGENT = '"https://example.com/?q=secret" "Mozilla/5.0 (X11)"'


def read(format, line):
    return tuple(parser(format, ZURICH)(line.encode()))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (HEAD, (AT, b"frank", b"GET", b"/a/b", 200, None)),
        (f"{HEAD} {AGENT}", (AT, b"frank", b"GET", b"/a/b", 200, None)),
        (f"{HEAD} {AGENT} 0.123", (AT, b"frank", b"GET", b"/a/b", 200, 123_000)),
        (f'{HEAD} {AGENT} "1.2.3.4" rt=1.500 uct="0.001"', (AT, b"frank", b"GET", b"/a/b", 200, None)),
        (f"{HEAD} {AGENT} rt=1.500 urt=1.400", (AT, b"frank", b"GET", b"/a/b", 200, 1_500_000)),
        (f"{HEAD} {AGENT} 2500", (AT + 2500, b"frank", b"GET", b"/a/b", 200, 2500)),
        (f"{HEAD} {AGENT} 99999999999999999", (AT, b"frank", b"GET", b"/a/b", 200, None)),
        (HEAD.replace("127.0.0.1", "2001:db8::1"), (AT, b"frank", b"GET", b"/a/b", 200, None)),
        ("shop.example:443 " + HEAD, (AT, b"frank", b"GET", b"/a/b", 200, None)),
        (HEAD.replace("frank", "-"), (AT, None, b"GET", b"/a/b", 200, None)),
        (HEAD.replace("frank", "Jo Doe"), (AT, b"Jo Doe", b"GET", b"/a/b", 200, None)),
        (HEAD.replace("1.1", "2.0").replace("2326", "-"), (AT, b"frank", b"GET", b"/a/b", 200, None)),
        (HEAD.replace("HTTP/1.1", "HTTP/3.0").replace(" 200 ", " 101 "), (AT, b"frank", b"GET", b"/a/b", 101, None)),
        (HEAD.replace("GET", "PROPFIND").replace(" 200 ", " 000 "), (AT, b"frank", b"PROPFIND", b"/a/b", 499, None)),
        (HEAD.replace("/a/b", "http://h/a%20b"), (AT, b"frank", b"GET", b"http://h/a%20b", 200, None)),
        (HEAD.replace("GET /a/b?q=secret HTTP/1.1", r"\x16\x03\x01"), (AT, b"frank", b"-", b"-", 200, None)),
        (HEAD.replace("GET /a/b?q=secret HTTP/1.1", "-"), (AT, b"frank", b"-", b"-", 200, None)),
        (HEAD.replace("GET /a/b?q=secret HTTP/1.1", "GET /a/b"), (AT, b"frank", b"GET", b"/a/b", 200, None)),
        (HEAD.replace("/a/b?q=secret", r"/a?x=\"y\" z"), (AT, b"frank", b"GET", b"/a", 200, None)),
    ],
)
def test_a_line_of_nginx_or_apache_is_read(line, found):
    assert read("combined", line) == found


def test_the_same_line_ends_when_it_was_written_by_nginx_and_begins_then_by_apache():
    line = f"{HEAD} {AGENT} 0.500"
    assert read("nginx", line)[0] == AT
    assert read("apache", line)[0] == AT + 500_000


CADDY = {
    "level": "info", "ts": 971211336.25, "msg": "handled request", "user_id": "frank", "status": 200,
    "duration": 0.0015,
    "request": {"method": "GET", "uri": "/a/b?q=secret", "headers": {"Cookie": ["secret"]}},
}  # fmt: skip
TRAEFIK = {
    "ClientUsername": "-", "DownstreamStatus": 502, "Duration": 2_000_000, "RequestMethod": "POST",
    "RequestPath": "/a/b?q=secret", "StartUTC": "2000-10-10T20:55:36.5Z", "time": "2000-10-10T20:55:36Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("format", "line", "found"),
    [
        ("caddy", CADDY, (AT + 250_000, b"frank", b"GET", b"/a/b", 200, 1500)),
        ("caddy", CADDY | {"ts": "2000-10-10T22:55:36.000+0200"}, (AT, b"frank", b"GET", b"/a/b", 200, 1500)),
        ("caddy", CADDY | {"duration": "1m2.5s"}, (AT + 250_000, b"frank", b"GET", b"/a/b", 200, 62_500_000)),
        ("caddy", CADDY | {"status": 0, "duration": None}, (AT + 250_000, b"frank", b"GET", b"/a/b", 499, None)),
        ("traefik", TRAEFIK, (AT + 502_000, None, b"POST", b"/a/b", 502, 2000)),
    ],
)
def test_a_line_of_json_is_read(format, line, found):
    assert read(format, json.dumps(line)) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('2000-10-10 22:55:36,250 INFO:     [::1]:5 - "GET /a/b?q=secret HTTP/1.1" 200 OK',
         (AT + 250_000, None, b"GET", b"/a/b", 200, None)),
        ('2000-10-10T20:55:36.000000000Z INFO:     127.0.0.1:5 - "GET /a/b HTTP/1.1" 404 Not Found',
         (AT, None, b"GET", b"/a/b", 404, None)),
        ('2000-10-10T20:55:36+0000 web uvicorn[7]: INFO:     127.0.0.1:5 - "WebSocket /ws/7?token=secret" [accepted]',
         (AT, None, b"GET", b"/ws/7", 101, None)),
    ],
)  # fmt: skip
def test_a_line_of_uvicorn_is_read(line, found):
    assert read("uvicorn", line) == found


@pytest.mark.parametrize(
    ("format", "line", "why"),
    [
        ("combined", "secret", "the line does not have the fields of this format"),
        ("combined", HEAD.replace("Oct", "Okt"), "the time is not one of an access log"),
        ("combined", HEAD.replace("10/Oct", "31/Feb"), "the time does not exist"),
        ("combined", HEAD.replace(" 200 ", " 999 "), "the status is no HTTP status"),
        ("combined", HEAD + "x" * 70_000, "the line is longer than any server writes one"),
        ("caddy", "{secret", "the line is no JSON"),
        ("caddy", "[" * 50_000, "the line is no JSON"),
        ("caddy", '{"status": 200}', "a field of this format is missing or of another kind"),
        ("uvicorn", 'INFO:     127.0.0.1:5 - "GET / HTTP/1.1" 200 OK',
         "the line has no time: see docs/install.md for how uvicorn's access log gets one"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_with_a_reason_that_repeats_nothing_of_it(format, line, why):
    with pytest.raises(Unreadable) as refused:
        read(format, line)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (HEAD, "combined"),
        (json.dumps(CADDY), "caddy"),
        (json.dumps(TRAEFIK), "traefik"),
        ('INFO:     127.0.0.1:5 - "GET / HTTP/1.1" 200 OK', "uvicorn"),
        ("hello", None),
    ],
)
def test_the_format_is_told_from_the_first_lines(line, found):
    assert detect([b"garbage", line.encode()], ZURICH) == found


@pytest.mark.parametrize(
    ("target", "template"),
    [
        ("/", "/"),
        ("/api/threads/12/messages/7", "/api/threads/{id}/messages/{id}"),
        ("/api/v2/threads/0b6e1a0e-7d1c-4c9f-9d6e-0c4b1f0a1b2c", "/api/v2/threads/{id}"),
        ("/t/d41d8cd98f00b204e9800998ecf8427e", "/t/{id}"),
        ("/reset/eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.Et9HFtf9R3GEMA0IICOfFMVXY7kkTX1wr4qCyIf58U", "/reset/{id}"),
        ("/u/alice@example.com", "/u/{value}"),
        ("/u/alice%40example.com/mails", "/u/{value}/mails"),
        ("/files/My%20Secret%20Plan", "/files/{value}"),
        ("http://shop.example/cart/9?q=secret#top", "/cart/{id}"),
        ("/cart;jsessionid=ABCDEF0123456789/items", "/cart/items"),
        ("/stra%C3%9Fe", "/{value}"),
        ("*", UNMATCHED),
        ("shop.example:443", UNMATCHED),
        ("-", UNMATCHED),
        ("/" + "a" * 5_000, UNMATCHED),
    ],
)
def test_values_in_a_path_are_left_out(target, template):
    assert Places().find(target.encode(), 200) == template


def test_a_given_template_comes_first():
    places = Places(["/u/{name}", "/files/{path:path}"])
    assert places.find(b"/u/alice", 404) == "/u/{name}"
    assert places.find(b"/files/a/b", 200) == "/files/{path}"
    assert places.find(b"/other/7", 200) == "/other/{id}"


def test_what_no_answer_has_shown_to_be_of_the_app_is_unmatched():
    places = Places()
    assert places.find(b"/wp-login.php", 404) == UNMATCHED
    assert places.find(b"/me", 401) == UNMATCHED
    assert places.find(b"/me", 200) == "/me"
    assert places.find(b"/me", 401) == "/me"


def test_where_very_many_words_follow_they_are_values():
    names = [f"/posts/{first}{second}" for first in ("ba", "be", "bi", "bo", "bu", "da", "de") for second in "lmnrstv"]
    assert len(names) > MOST_WORDS
    places = Places()
    for name in names:
        places.learn(name.encode(), 200)
    assert {places.find(name.encode(), 200) for name in names} == {"/posts/{value}"}


@given(st.binary() | st.sampled_from([HEAD.encode(), json.dumps(CADDY).encode()]), st.sampled_from(FORMATS))
def test_no_bytes_raise_anything_but_unreadable(line, format):
    try:
        parser(format, ZURICH)(line)
    except Unreadable as error:
        assert str(error).isascii()


@given(
    st.text(alphabet="abcdefXYZ019%/.-_", max_size=30),
    st.integers(1, 10**12),
    st.uuids(),
    st.sampled_from(["200", "404", "500", "101"]),
)
def test_a_query_and_an_id_never_come_through(text, number, uuid, status):
    target = f"/{text}/{number}/{uuid}?token=zzqsecretqzz"
    request = parser("combined", ZURICH)(HEAD.replace("/a/b?q=secret", target).replace(" 200 ", f" {status} ").encode())
    assert b"zzqsecretqzz" not in request.target
    found = Places().find(request.target, request.status)
    assert "zzqsecretqzz" not in found
    assert str(uuid) not in found
    assert f"/{number}/" not in found


@given(st.binary(max_size=200))
def test_any_target_has_a_template_of_words_alone(target):
    found = Places().find(target, 200)
    assert found == UNMATCHED or (found.startswith("/") and found.isascii() and "@" not in found and "?" not in found)


CADDY_LINE = (
    '{"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":'
    '"127.0.0.1","remote_port":"41342","client_ip":"127.0.0.1","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":'
    '"/a/b?q=1","headers":{"User-Agent":["curl/7.82.0"],"Accept":["a","b"],"X":[]},"tls":{"resumed":false,"version":772,'
    '"server_name":"localhost"}},"bytes_read":0,"user_id":"frank","duration":0.000929675,"size":10900,"status":200,'
    '"resp_headers":{"Server":["Caddy"]}}'
)
TRAEFIK_LINE = (
    '{"ClientAddr":"10.0.0.1:5000","ClientUsername":"-","DownstreamStatus":200,"Duration":1234567,"OriginStatus":200,'
    '"RequestCount":12,"RequestMethod":"GET","RequestPath":"/a/b?q=1","RetryAttempts":0,"StartLocal":'
    '"2026-03-02T13:30:00.123456789Z","StartUTC":"2026-03-02T13:30:00.123456789Z","level":"info","msg":"","ok":true,'
    '"time":"2026-03-02T13:30:01Z"}'
)


def long_way(format, line):
    """What the same line says after its JSON was read and written with a blank behind each comma, which is odd."""
    return read(format, json.dumps(json.loads(line)))


@pytest.mark.parametrize(("format", "line"), [("caddy", CADDY_LINE), ("traefik", TRAEFIK_LINE)])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("/a/b?q=1", "/ä?x"),
        ("/a/b?q=1", "/a\\u0062\\\"status\\\":500"),
        ("/a/b?q=1", '/status:500,'),
        ('"status":200', '"status":0'),
        ('"DownstreamStatus":200', '"DownstreamStatus":0'),
        ('"status":200', '"status":404.0'),
        ('"DownstreamStatus":200', '"DownstreamStatus":"404"'),
        ('"DownstreamStatus":200,', ""),
        ('"duration":0.000929675', '"duration":9.29675e-05'),
        ('"duration":0.000929675', '"duration":null'),
        ('"duration":0.000929675', '"duration":"1.5ms"'),
        ('"Duration":1234567', '"Duration":1.5e6'),
        ('"Duration":1234567', '"Duration":-3'),
        ('"Duration":1234567', '"Duration":null'),
        ('"ts":1646861401.5241024', '"ts":1646861401'),
        ('"ts":1646861401.5241024', '"ts":1646861401524.1024'),
        ('"ts":1646861401.5241024', '"ts":"2022-03-09T21:30:01.524Z"'),
        ('"ts":1646861401.5241024', '"ts":1e400'),
        ('"ts":1646861401.5241024', '"ts":-1'),
        ('"user_id":"frank"', '"user_id":""'),
        ('"ClientUsername":"-"', '"ClientUsername":"frank"'),
        ('"ClientUsername":"-"', '"ClientUsername":null'),
        ('"method":"GET"', '"method":"POST","method":"PUT"'),
        ('"RequestMethod":"GET"', '"RequestMethod":"POST","RequestMethod":"PUT"'),
        ('"StartUTC":"2026-03-02T13:30:00.123456789Z"', '"StartUTC":""'),
        ('"StartUTC":"2026-03-02T13:30:00.123456789Z",', ""),
        ('"level":"info"', '"level":"DownstreamStatus"'),
        ('"level":"info"', '"level":{"DownstreamStatus":500,"status":500}'),
    ],
)  # fmt: skip
def test_a_line_read_by_its_grammar_says_what_its_json_says(format, line, old, new):
    changed = line.replace(old, new, 1)
    found = []
    for way in (read, long_way):
        try:
            found.append(way(format, changed))
        except Unreadable as error:
            found.append(str(error))
    assert found[0] == found[1]


@pytest.mark.parametrize(("format", "line"), [("caddy", CADDY_LINE), ("traefik", TRAEFIK_LINE)])
@given(data=st.data())
def test_what_is_no_json_is_refused_by_both_ways(format, line, data):
    """One letter of a line is another one: it is read as its JSON, or is none."""
    at = data.draw(st.integers(0, len(line) - 1))
    changed = line[:at] + data.draw(st.sampled_from('"\\{}[],:0159.eE+-a\t\x7fé ')) + line[at + 1 :]
    try:
        expected = long_way(format, changed)
    except (ValueError, Unreadable):
        with pytest.raises(Unreadable):
            read(format, changed)
    else:
        assert read(format, changed) == expected


def moment_of(times, form, text):
    try:
        return getattr(times, form)(text.encode())
    except Unreadable as error:
        return str(error)


MINUTES = [(2000, 10, 29, 2, 30), (2000, 10, 29, 1, 59), (2000, 3, 26, 2, 10), (2026, 3, 2, 13, 30), (1970, 1, 1, 0, 1)]
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(MINUTES),
            st.sampled_from(["00", "07", "36", "59", "60", "61", "3a", "7", ""]),
            st.sampled_from(["", ".5", ",123", ".123456", ".1234567", "."]),
            st.sampled_from(["", "Z", " UTC", "+02:00", "-0700", " +0000", "x"]),
        ),
        min_size=2,
        max_size=8,
    ),
    st.sampled_from([ZURICH, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")]),
)
def test_a_time_is_read_the_same_whatever_was_read_of_its_minute_before(parts, zone):
    known = {"clf": Times(zone), "iso": Times(zone)}
    for (year, month, day, hour, minute), second, fraction, offset in parts:
        written = {
            "clf": f"{day:02}/{NAMES[month - 1]}/{year}:{hour:02}:{minute:02}:{second}{fraction}{offset}",
            "iso": f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second}{fraction}{offset}",
        }
        for form, text in written.items():
            assert moment_of(known[form], form, text) == moment_of(Times(zone), form, text)


@given(st.lists(st.text(alphabet="ab7/.%3;é-", max_size=12), min_size=1, max_size=4), st.integers(0, 10**9))
def test_paths_that_differ_in_numbers_alone_have_one_template_whichever_came_first(parts, number):
    first, second = (f"/{'/'.join(parts)}/{n}".encode() for n in (7, number))
    places = Places()
    places.learn(first, 200)
    assert places.find(second, 200) == Places().find(second, 200)


def test_a_template_with_a_number_of_its_own_is_told_from_others():
    places = Places(["/year/2024/{what}"])
    assert places.find(b"/year/2023/a", 200) == "/year/{id}/a"
    assert places.find(b"/year/2024/a", 200) == "/year/2024/{what}"
