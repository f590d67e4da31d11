"""The few filters that clients of the v2 protocol really send: `Id eq 'x' and IsLatestVersion`, and their like (§8).

Pure, and no OData engine: properties, literals, `tolower`, `substringof`, `startswith`, `endswith`, comparisons, `and`,
`or`, `not` and parentheses. Whatever else stands there is refused rather than ignored, since ignoring a filter would
show too much.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from adapters.nuget.names import Version
from gateway.errors import Invalid

Item = Mapping[str, Any]
Value = Callable[[Item], Any]

_LONGEST = 2000
_DEEPEST = 20
_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([A-Za-z_][A-Za-z0-9_]*)|([(),])|(\d+))")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "le": lambda a, b: bool(a <= b),
}
_FUNCTIONS: Mapping[str, Callable[[str, str], bool]] = {
    "substringof": lambda needle, text: needle in text,
    "startswith": lambda text, start: text.startswith(start),
    "endswith": lambda text, end: text.endswith(end),
}
_VERSIONS = frozenset({"Version", "NormalizedVersion"})
PROPERTIES = frozenset(
    {
        *("Id", "Title", "Tags", "Description", "Summary", "Authors", "Listed"),
        *("IsLatestVersion", "IsAbsoluteLatestVersion", "IsPrerelease"),
        *_VERSIONS,
    }
)


class Filter(Struct, frozen=True):
    """A filter that can be asked. id: the one package that can pass it, in lower case, or empty."""

    accepts: Callable[[Item], bool]
    id: str = ""


def parse(text: str) -> Filter:
    """Read a `$filter`; empty accepts all. Raises Invalid for anything that is not understood."""
    if not text.strip():
        return Filter(lambda _: True)
    if len(text) > _LONGEST:
        raise Invalid("the filter is too long")
    reader = _Reader(text)
    node = reader.either(0)
    reader.end()
    return Filter(lambda item: node.value(item) is True, node.id)


class _Node(Struct, frozen=True):
    """Part of a filter. property: the name of a plain property; literal: of a plain text; id: see Filter."""

    value: Value
    property: str = ""
    literal: str | None = None
    id: str = ""


class _Reader:
    """Descends through the text, a token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._position = 0
        self._token = ""
        self._next()

    def end(self) -> None:
        if self._token:
            raise self._refusal()

    def either(self, depth: int) -> _Node:
        node = self._both(depth)
        while self._take("or"):
            node = _joined(node, self._both(depth), is_and=False)
        return node

    def _both(self, depth: int) -> _Node:
        node = self._negated(depth)
        while self._take("and"):
            node = _joined(node, self._negated(depth), is_and=True)
        return node

    def _negated(self, depth: int) -> _Node:
        if depth > _DEEPEST:
            raise Invalid("the filter is nested too deeply")
        if self._take("not"):
            inner = self._negated(depth + 1)
            return _Node(lambda item: inner.value(item) is not True)
        return self._compared(depth)

    def _compared(self, depth: int) -> _Node:
        left = self._operand(depth)
        operation = _COMPARISONS.get(self._token)
        if operation is None:
            return left
        self._next()
        return _compare(left, self._operand(depth), operation, is_equal=operation is _COMPARISONS["eq"])

    def _operand(self, depth: int) -> _Node:
        word = self._token
        if self._take("("):
            node = self.either(depth + 1)
            self._demand(")")
            return node
        self._next()
        if word.startswith("'"):
            text = word[1:-1].replace("''", "'")
            return _Node(lambda _: text, literal=text)
        if word in {"true", "false"}:
            return _Node(lambda _: word == "true")
        if word == "tolower":
            self._demand("(")
            inner = self._operand(depth + 1)
            self._demand(")")
            return _Node(lambda item: str(inner.value(item)).lower(), inner.property, inner.literal)
        if word in _FUNCTIONS:
            return self._function(_FUNCTIONS[word], depth)
        if word in PROPERTIES:
            return _Node(lambda item: item[word], property=word)
        raise self._refusal()

    def _function(self, function: Callable[[str, str], bool], depth: int) -> _Node:
        self._demand("(")
        first = self._operand(depth + 1)
        self._demand(",")
        second = self._operand(depth + 1)
        self._demand(")")
        return _Node(lambda item: function(str(first.value(item)).lower(), str(second.value(item)).lower()))

    def _take(self, token: str) -> bool:
        if self._token != token:
            return False
        self._next()
        return True

    def _demand(self, token: str) -> None:
        if not self._take(token):
            raise self._refusal()

    def _next(self) -> None:
        rest = self._text[self._position :]
        found = _TOKEN.match(rest)
        if found is None:
            if rest.strip():
                raise self._refusal()
            self._token = ""
            return
        self._position += found.end()
        self._token = found[0].strip()

    def _refusal(self) -> Invalid:
        return Invalid(f"this filter is not understood: {self._text[:120]!r}")


def _joined(left: _Node, right: _Node, *, is_and: bool) -> _Node:
    if is_and:
        return _Node(lambda item: left.value(item) is True and right.value(item) is True, id=left.id or right.id)
    same = left.id if left.id == right.id else ""
    return _Node(lambda item: left.value(item) is True or right.value(item) is True, id=same)


def _compare(left: _Node, right: _Node, operation: Callable[[Any, Any], bool], *, is_equal: bool) -> _Node:
    """A comparison: of versions as versions, of ids without regard to case."""
    names = {left.property, right.property}
    if names & _VERSIONS:
        convert: Callable[[Any], Any] = _version
    elif "Id" in names:
        convert = _lower
    else:
        convert = _same
    literal = left.literal if left.literal is not None else right.literal
    id_ = literal.lower() if is_equal and "Id" in names and literal is not None else ""

    def value(item: Item) -> bool:
        first, second = convert(left.value(item)), convert(right.value(item))
        return type(first) is type(second) and operation(first, second)

    return _Node(value, id=id_)


def _version(value: Any) -> Any:
    return value if isinstance(value, Version) else Version.parse(str(value))


def _lower(value: Any) -> str:
    return str(value).lower()


def _same(value: Any) -> Any:
    return value
