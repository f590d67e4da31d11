"""Reads the Marshal 4.8 of gem indexes as plain nodes: a few classes by name, bounded depth and number. Pure.

Nothing is ever constructed but texts, numbers, lists and mappings; any class that an index does not need is an error,
so that no payload can name one. Links are followed only to what was read completely before.
"""

import struct
import zlib
from typing import Any

from adapters.rubygems.spec import Spec, Tagged, read_spec
from gateway.errors import Invalid, UpstreamCorrupt

_LIMIT = 10 * 1024 * 1024  # bytes of a dump, inflated
_DEEPEST = 20
_MOST_NODES = 100_000
_USER_MARSHAL = {"Gem::Version": ("Version", "version"), "Gem::Requirement": ("Requirement", "requirements")}
_OBJECTS = frozenset({"Gem::Dependency", "Gem::Platform", "Gem::Version", "Gem::Requirement"})
_FIELDS = (
    "rubygems_version",
    "specification_version",
    "name",
    "version",
    "date",
    "summary",
    "required_ruby_version",
    "required_rubygems_version",
    "original_platform",
    "dependencies",
    "rubyforge_project",
    "email",
    "authors",
    "description",
    "homepage",
    "has_rdoc",
    "platform",
    "licenses",
    "metadata",
)


def load_spec(body: bytes) -> Spec:
    """The specification in a .gemspec.rz; raises UpstreamCorrupt."""
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(body, _LIMIT + 1)
    except zlib.error as error:
        raise UpstreamCorrupt("not a gemspec: not compressed") from error
    if len(plain) > _LIMIT or not inflate.eof:
        raise UpstreamCorrupt("not a gemspec: too large, or it breaks off")
    try:
        return read_spec(Reader(plain).read())
    except Invalid as error:
        raise UpstreamCorrupt(f"not a gemspec: {error.message}") from error


class Reader:
    """One dump. `depth`: how deep the dumps are nested that this one lies in."""

    def __init__(self, body: bytes, depth: int = 0) -> None:
        if body[:2] != b"\x04\x08":
            raise Invalid("not a dump of Marshal 4.8")
        self._body = body
        self._at = 2
        self._depth = depth
        self._nodes = 0
        self._symbols: list[str] = []
        self._objects: list[Any] = []

    def read(self) -> Any:
        """The whole dump as nodes; raises Invalid."""
        node = self._node()
        if self._at != len(self._body):
            raise Invalid("the dump goes on behind its end")
        return node

    def _node(self) -> Any:
        self._nodes += 1
        self._depth += 1
        if self._nodes > _MOST_NODES or self._depth > _DEEPEST:
            raise Invalid("the dump has too many parts, or is nested too deep")
        try:
            return self._typed(self._take(1))
        finally:
            self._depth -= 1

    def _typed(self, mark: bytes) -> Any:
        match mark:
            case b"0":
                return None
            case b"T" | b"F":
                return mark == b"T"
            case b"i":
                return self._long()
            case b":" | b";":
                return f":{self._symbol(mark)}"
            case b"@":
                return self._link()
            case b'"':
                return self._remember(self._text())
            case b"I":
                return self._with_variables()
            case b"[":
                return self._list()
            case b"{":
                return self._mapping()
            case b"U":
                return self._user_marshal()
            case b"u":
                return self._user_defined()
            case b"o":
                return self._object()
            case _:
                raise Invalid(f"a dump may not hold {mark!r}")

    def _with_variables(self) -> Any:
        node = self._typed_with_variables(self._take(1))
        for _ in range(self._count()):
            self._symbol(self._take(1))
            self._node()
        return node

    def _typed_with_variables(self, mark: bytes) -> Any:
        if mark not in {b'"', b"u"}:
            raise Invalid(f"a dump may not hold {mark!r} with variables")
        return self._typed(mark)

    def _list(self) -> list[Any]:
        found: list[Any] = []
        place = self._reserve()
        found.extend(self._node() for _ in range(self._count()))
        self._objects[place] = found
        return found

    def _mapping(self) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        place = self._reserve()
        for _ in range(self._count()):
            key = self._node()
            if not isinstance(key, str):
                raise Invalid("a key in a dump is a text")
            found[key] = self._node()
        self._objects[place] = found
        return found

    def _user_marshal(self) -> Tagged:
        name = self._symbol(self._take(1))
        if name not in _USER_MARSHAL:
            raise Invalid(f"a dump may not hold a {name[:80]}")
        place = self._reserve()
        kind, field = _USER_MARSHAL[name]
        value = self._node()
        if not isinstance(value, list) or not value:
            raise Invalid(f"not a {name}")
        node = _tagged(kind, {field: value[0]})
        self._objects[place] = node
        return node

    def _user_defined(self) -> Any:
        name = self._symbol(self._take(1))
        payload = self._take(self._count())
        if name == "Time":
            return self._remember(_day(payload))
        if name == "Gem::Specification":
            place = self._reserve()
            values = Reader(payload, self._depth).read()
            if not isinstance(values, list) or not 16 <= len(values) <= len(_FIELDS):
                raise Invalid("not a Gem::Specification")
            node = _tagged("Specification", dict(zip(_FIELDS, values, strict=False)))
            self._objects[place] = node
            return node
        raise Invalid(f"a dump may not hold a {name[:80]}")

    def _object(self) -> Tagged:
        name = self._symbol(self._take(1))
        if name not in _OBJECTS:
            raise Invalid(f"a dump may not hold a {name[:80]}")
        place = self._reserve()
        fields: dict[str, Any] = {}
        for _ in range(self._count()):
            key = self._symbol(self._take(1))
            fields[key.removeprefix("@")] = self._node()
        node = _tagged(name.removeprefix("Gem::"), fields)
        self._objects[place] = node
        return node

    def _link(self) -> Any:
        index = self._long()
        if not 0 <= index < len(self._objects) or self._objects[index] is _OPEN:
            raise Invalid("a link in a dump leads nowhere")
        return self._objects[index]

    def _reserve(self) -> int:
        self._objects.append(_OPEN)
        return len(self._objects) - 1

    def _remember(self, node: Any) -> Any:
        self._objects.append(node)
        return node

    def _symbol(self, mark: bytes) -> str:
        if mark == b":":
            self._symbols.append(self._text())
            return self._symbols[-1]
        index = self._long()
        if mark != b";" or not 0 <= index < len(self._symbols):
            raise Invalid("expected a symbol in the dump")
        return self._symbols[index]

    def _text(self) -> str:
        return self._take(self._count()).decode("utf-8", "replace")

    def _count(self) -> int:
        value = self._long()
        if not 0 <= value <= len(self._body):
            raise Invalid("a length in the dump cannot be true")
        return value

    def _long(self) -> int:
        first = struct.unpack("b", self._take(1))[0]
        if first == 0:
            return 0
        if -5 < first < 5:
            value = int.from_bytes(self._take(abs(first)), "little")
            return value if first > 0 else value - (1 << 8 * -first)
        return int(first) - 5 if first > 0 else int(first) + 5

    def _take(self, size: int) -> bytes:
        found = self._body[self._at : self._at + size]
        if len(found) != size:
            raise Invalid("the dump breaks off")
        self._at += size
        return found


_OPEN = object()


def _tagged(kind: str, fields: dict[str, Any]) -> Tagged:
    node = Tagged(fields)
    node.kind = kind
    return node


def _day(payload: bytes) -> str:
    """The day of a dumped Time, as a date."""
    if len(payload) < 8:
        raise Invalid("not a Time")
    high = int(struct.unpack("<I", payload[:4])[0])
    return f"{(high >> 14 & 0xFFFF) + 1900:04}-{(high >> 10 & 0xF) + 1:02}-{high >> 5 & 0x1F:02}"
