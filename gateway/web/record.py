"""One answered request, and its line in the access log. Pure."""

import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.redaction import scrub

_LONGEST_PATH, _LONGEST_AGENT = 512, 200


class Record(NamedTuple):
    """One answered request. `path` is as it came, secrets and all: they are hidden before anybody reads it.

    at: POSIX seconds. type: the repository's type, "" for the gateway's own pages. repository: `type/owner/name` of one
    that exists, otherwise "" (so that strangers cannot fill the traffic table). layer: `hosted` or the upstream's name.
    freshness: `fresh`, `stale`, `trouble` (documents), `hit` or `miss` (files), or "". bytes_sent: of the body.
    milliseconds: until the last byte went to the socket.
    """

    at: float
    request_id: str
    method: str
    path: str
    status: int
    actor: str
    type: str
    repository: str
    package: str
    layer: str
    freshness: str
    bytes_sent: int
    milliseconds: float
    address: str
    user_agent: str


class _Line(msgspec.Struct, rename={"milliseconds": "ms", "bytes_sent": "bytes"}, gc=False):
    """One line of the access log, in this order; docs/metrics.md lists the keys."""

    timestamp: str
    level: str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    actor: str
    type: str
    repository: str
    package: str
    layer: str
    freshness: str
    bytes_sent: int
    milliseconds: float
    address: str
    user_agent: str


_ENCODER = msgspec.json.Encoder()


def encode_lines(records: Iterable[Record]) -> bytes:
    """JSON lines of these records, each with its newline; secrets hidden, long texts cut."""
    lines: list[_Line] = []
    second, stamp = -1, ""
    for record in records:
        (
            at,
            request_id,
            method,
            path,
            status,
            actor,
            type_,
            repository,
            package,
            layer,
            freshness,
            size,
            ms,
            address,
            agent,
        ) = record
        if int(at) != second:
            second = int(at)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        lines.append(
            _Line(
                f"{stamp}.{int(at % 1 * 1000):03d}Z",
                "error" if status >= 500 else "info",
                "request",
                request_id,
                method[:20],
                _shown(path, _LONGEST_PATH),
                status,
                actor,
                type_,
                repository,
                package,
                layer,
                freshness,
                size,
                round(ms, 2),
                address,
                _shown_agent(agent),
            )
        )
    return _ENCODER.encode_lines(lines)


def _shown(text: str, longest: int) -> str:
    """The text without secrets, cut, and with what is not Unicode (raw bytes in a path) made visible."""
    text = scrub(text)[:longest]
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


@lru_cache(1024)
def _shown_agent(agent: str) -> str:
    return _shown(agent, _LONGEST_AGENT)
