"""Access logs of Caddy and Traefik: a JSON object a line.

Caddy: `request` (`method`, `uri`), `status`, `duration` (seconds, or a text as `1.5ms`), `ts` (the end: Unix seconds,
or a text), `user_id`. Traefik: `RequestMethod`, `RequestPath`, `DownstreamStatus`, `Duration` (nanoseconds), `StartUTC`
or `time`, `ClientUsername`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from guardian.core.access_log.line import Request, Times, Unreadable, micros_of, status_of

_TEXT_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
_UNITS = {"h": 3_600e6, "m": 60e6, "s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "ns": 1e-3}
_NOBODY = (b"", b"-")
_LATEST_S = 253_402_300_800  # the year 10000
# A line as the servers write it can be read without making objects of all of it, in a third of the time. It has to be
# JSON by its grammar (RFC 8259) all the same, in ASCII and without an escape, so that both ways say the same; any other
# line goes the long way.
_S = rb'"[ !#-\[\]-~]*+"'
_READ = rb'"([ !#-\[\]-~]*+)"'
_N = rb"-?+(?:0|[1-9]\d*+)(?:\.\d++)?+(?:[eE][+-]?+\d++)?+"
_LIST = rb"\[(?:%b(?:,%b)*+)?+\]" % (_S, _S)
_HEADERS = rb"\{(?:%b:%b(?:,%b:%b)*+)?+\}" % (_S, _LIST, _S, _LIST)
_SCALAR = rb"(?:%b|%b|true|false|null)" % (_S, _N)
_FLAT = rb"\{(?:%b:%b(?:,%b:%b)*+)?+\}" % (_S, _SCALAR, _S, _SCALAR)
_USUAL_CADDY = re.compile(
    rb'\{"level":%b,"ts":(%b),"logger":%b,"msg":%b,"request":\{'
    rb'(?:"(?:remote_ip|remote_port|remote_addr|client_ip|proto)":%b,)*+'
    rb'"method":%b,"host":%b,"uri":%b,"headers":%b(?:,"tls":%b)?+\},(?:"bytes_read":%b,)?+"user_id":%b,'
    rb'"duration":(%b),"size":%b,"status":(0|[1-9]\d{0,4}+),"resp_headers":%b\}'
    % (_S, _N, _S, _S, _S, _READ, _S, _READ, _HEADERS, _FLAT, _N, _READ, _N, _N, _HEADERS)
)
# Keys in the order of the alphabet, as Traefik writes them; each of those that are read stands there once.
_OTHER = rb'(?!"(?:ClientUsername|DownstreamStatus|Duration|RequestMethod|RequestPath|StartUTC)":)%b:%b' % (_S, _SCALAR)
_USUAL_TRAEFIK = re.compile(
    rb'\{(?:%b,)*+"ClientUsername":%b,(?:%b,)*+"DownstreamStatus":(0|[1-9]\d{0,4}+),'
    rb'(?:%b,)*+"Duration":(0|[1-9]\d{0,14}+),'
    rb'(?:%b,)*+"RequestMethod":%b,(?:%b,)*+"RequestPath":%b,(?:%b,)*+"StartUTC":%b(?:,%b)*+\}'
    % (_OTHER, _READ, _OTHER, _OTHER, _OTHER, _READ, _OTHER, _READ, _OTHER, _READ, _OTHER)
)
_MISSING = "a field of this format is missing or of another kind"


def caddy(times: Times) -> Callable[[bytes], Request]:
    """The parser of Caddy's lines. It raises Unreadable."""

    def parse(line: bytes) -> Request:
        usual = _USUAL_CADDY.fullmatch(line)
        if usual is None:
            return odd(line)
        ts, method, uri, user, took, status = usual.groups()
        who = None if user in _NOBODY else user
        number = _moment(times, float(ts)), who, method, uri.partition(b"?")[0], status_of(int(status))
        return Request(*number, _number(float(took), 1e6))

    def odd(line: bytes) -> Request:
        entry = _object(line)
        request = entry.get("request")
        if not isinstance(request, dict):
            raise Unreadable(_MISSING)
        at_us = _moment(times, entry.get("ts"))
        took = entry.get("duration")
        duration = _text_duration(took) if isinstance(took, str) else _number(took, 1e6)
        return Request(
            at_us, _name(entry.get("user_id")), _text(request.get("method")), _target(request.get("uri")),
            status_of(_whole(entry.get("status"))), duration,
        )  # fmt: skip

    return parse


def traefik(times: Times) -> Callable[[bytes], Request]:
    """The parser of Traefik's lines. It raises Unreadable."""

    def parse(line: bytes) -> Request:
        usual = _USUAL_TRAEFIK.fullmatch(line)
        if usual is None:
            return odd(line)
        user, status, took, method, path, start = usual.groups()
        if not start:
            return odd(line)
        who = None if user in _NOBODY else user
        duration = _number(int(took), 1e-3)
        at_us = times.iso(start) + (duration or 0)
        return Request(at_us, who, method, path.partition(b"?")[0], status_of(int(status)), duration)

    def odd(line: bytes) -> Request:
        entry = _object(line)
        duration = _number(entry.get("Duration"), 1e-3)
        start = entry.get("StartUTC") or entry.get("StartLocal")
        at_us = _moment(times, start) + (duration or 0) if start else _moment(times, entry.get("time"))
        return Request(
            at_us, _name(entry.get("ClientUsername")), _text(entry.get("RequestMethod")),
            _target(entry.get("RequestPath")),
            status_of(_whole(entry.get("DownstreamStatus", entry.get("OriginStatus")))), duration,
        )  # fmt: skip

    return parse


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise Unreadable("the line is no JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("the line is no JSON object")
    return found


def _moment(times: Times, value: Any) -> int:
    if isinstance(value, str):
        return times.iso(value.encode("utf-8", "replace"))
    if type(value) not in (int, float) or not isfinite(value) or not 0 <= value < 1e15:
        raise Unreadable("the time is not one of an access log")
    seconds: float = value / 1_000 if value >= _LATEST_S else value  # Caddy's `unix_milli_float`
    return round(seconds * 1_000_000)


def _number(value: Any, unit: float) -> int | None:
    return micros_of(value, unit) if type(value) in (int, float) and abs(value) < 1e18 else None


def _text_duration(text: str) -> int | None:
    if len(text) > 40 or not _TEXT_DURATION.fullmatch(text):
        return None
    return micros_of(sum(float(value) * _UNITS[unit] for value, unit in _PART.findall(text)), 1.0)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Unreadable(_MISSING)
    return value


def _name(value: Any) -> bytes | None:
    return value.encode("utf-8", "replace") if isinstance(value, str) and value not in ("", "-") else None


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise Unreadable(_MISSING)
    return value.encode("utf-8", "replace")


def _target(value: Any) -> bytes:
    return _text(value).partition(b"?")[0]
