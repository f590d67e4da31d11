r"""Paths from strangers: refused when they could mean two things, decoded once, matched against a table of routes.

The guard works on the raw, still percent-encoded path, before anything is decoded: dot segments, empty segments,
backslashes, control characters and the encodings of `.`, `/`, `\`, `%` and NUL never reach a handler.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.errors import MethodNotAllowed, PathInvalid, RouteUnknown

_LONGEST = 4096
_REFUSED = re.compile(r"%(?:2e|2f|5c|25|[01][0-9a-f]|7f)|[\\\x00-\x20\x7f]", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
CAPTURE = re.compile(r"\{(\w+)(\*|:[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}")


class Routed(Protocol):
    """What a table of routes holds."""

    @property
    def method(self) -> str: ...
    @property
    def pattern(self) -> str: ...


R = TypeVar("R", bound=Routed)


def guard(raw: str) -> str:
    """Decode a raw path once; raises PathInvalid for one that is too long or could be read in two ways."""
    if len(raw) > _LONGEST:
        raise PathInvalid(f"the path has {len(raw)} characters, more than {_LONGEST}")
    if _REFUSED.search(raw) or _BAD_ESCAPE.search(raw):
        raise PathInvalid("the path holds an encoding that could mean two things")
    segments = raw.split("/")
    if any(segment in {".", ".."} for segment in segments) or "" in segments[1:-1]:
        raise PathInvalid("the path has an empty or a dot segment")
    try:
        return unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PathInvalid("the path is not UTF-8") from error


class Match(Struct, Generic[R], frozen=True):
    """The route that a path belongs to, and its captures."""

    route: R
    captures: Mapping[str, str]


class RouteTable(Generic[R]):
    """Routes by method, in order: the first whose pattern fits the decoded path wins."""

    def __init__(self, routes: Iterable[R]) -> None:
        self._routes: list[tuple[re.Pattern[str], R]] = [(compile_pattern(r.pattern), r) for r in routes]

    def find(self, method: str, path: str) -> Match[R]:
        """The route for this method (HEAD counts as GET) and path; raises RouteUnknown or MethodNotAllowed."""
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        for pattern, route in self._routes:
            if (found := pattern.match(path)) is not None:
                if route.method == wanted:
                    return Match(route, found.groupdict())
                allowed.add(route.method)
        if not allowed:
            raise RouteUnknown("there is nothing at this address")
        if "GET" in allowed:
            allowed.add("HEAD")
        raise MethodNotAllowed(", ".join(sorted(allowed)))


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """`a/{name}/{rest*}` as a regular expression; `{name:regex}` narrows one segment."""
    parts, end = [], 0
    for capture in CAPTURE.finditer(pattern):
        parts.append(re.escape(pattern[end : capture.start()]))
        form = capture[2]
        inner = "[^/]+" if form is None else ".*" if form == "*" else form[1:]
        parts.append(f"(?P<{capture[1]}>{inner})")
        end = capture.end()
    parts.append(re.escape(pattern[end:]))
    return re.compile("".join(parts) + r"\Z")
