"""Writes Ruby's Marshal 4.8, as much of it as gem indexes need: what clients load with a list of allowed classes. Pure.

Every value is written out anew, so no object links are needed. Symbols are numbered in each dump, and a nested one
(the payload of a Gem::Specification) numbers its own (Ruby's doc/marshal.rdoc).
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence

from isal import isal_zlib

from adapters.rubygems import names
from adapters.rubygems.spec import Clause, Dependency, Spec

_HEADER = b"\x04\x08"
_SPECIFICATION_VERSION = 4
_FEW = 1000  # rows of an index between two pauses
_MOST_TEXTS = 50_000

# What an operating system's part of a platform becomes: name and version (Gem::Platform).
_SYSTEMS = (
    (re.compile(r"aix-?(\d+)?"), "aix"),
    (re.compile(r"cygwin"), "cygwin"),
    (re.compile(r"darwin-?(\d+)?"), "darwin"),
    (re.compile(r"freebsd-?(\d+)?"), "freebsd"),
    (re.compile(r"^(?:java|jruby)$"), "java"),
    (re.compile(r"^java-?([\d.]*)"), "java"),
    (re.compile(r"^dalvik-?(\d+)?$"), "dalvik"),
    (re.compile(r"^dotnet-?([\d.]*)"), "dotnet"),
    (re.compile(r"linux-?(\w+)?"), "linux"),
    (re.compile(r"mingw32"), "mingw32"),
    (re.compile(r"mingw-?(\w+)?"), "mingw"),
    (re.compile(r"netbsdelf"), "netbsdelf"),
    (re.compile(r"openbsd-?(\d+\.\d+)?"), "openbsd"),
    (re.compile(r"solaris-?(\d+\.\d+)?"), "solaris"),
    (re.compile(r"wasi"), "wasi"),
)
_WINDOWS = re.compile(r"(mswin\d+)(?:[_-](\d+))?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?\Z")


def _go_on() -> None:
    """No pause."""


class Writer:
    """One dump."""

    def __init__(self) -> None:
        self._out = bytearray(_HEADER)
        self._symbols: dict[str, int] = {}

    def dumped(self) -> bytes:
        return bytes(self._out)

    def nil(self) -> None:
        self._out += b"0"

    def boolean(self, value: bool) -> None:
        self._out += b"T" if value else b"F"

    def integer(self, value: int) -> None:
        self._out += b"i"
        self._long(value)

    def text(self, value: str) -> None:
        """A String in UTF-8, which Ruby notes as the instance variable `E`."""
        self._out += b"I"
        self._raw(b'"', value.encode("utf-8", "replace"))
        self._long(1)
        self.symbol("E")
        self._out += b"T"

    def symbol(self, name: str) -> None:
        if name in self._symbols:
            self._out += b";"
            self._long(self._symbols[name])
            return
        self._symbols[name] = len(self._symbols)
        self._raw(b":", name.encode())

    def array(self, length: int) -> None:
        """The start of an Array; its elements follow."""
        self._out += b"["
        self._long(length)

    def hash(self, length: int) -> None:
        self._out += b"{"
        self._long(length)

    def user_marshal(self, class_name: str) -> None:
        """The start of an object that dumps itself as another value, which follows."""
        self._out += b"U"
        self.symbol(class_name)

    def user_defined(self, class_name: str, payload: bytes) -> None:
        self._out += b"u"
        self.symbol(class_name)
        self._long(len(payload))
        self._out += payload

    def object(self, class_name: str, variables: int) -> None:
        """The start of an object; name and value of each instance variable follow."""
        self._out += b"o"
        self.symbol(class_name)
        self._long(variables)

    def utc(self, year: int, month: int, day: int) -> None:
        """Midnight as a Time: eight packed bytes and a zone (Ruby's time.c, `time_mdump`)."""
        high = 1 << 31 | 1 << 30 | (year - 1900) << 14 | (month - 1) << 10 | day << 5
        self._out += b"Iu"
        self.symbol("Time")
        self._long(8)
        self._out += struct.pack("<II", high, 0)
        self._long(1)
        self.symbol("zone")
        self.text("UTC")

    def version(self, version: str) -> None:
        self.user_marshal("Gem::Version")
        self.array(1)
        self.text(version)

    def requirement(self, clauses: Sequence[Clause]) -> None:
        self.user_marshal("Gem::Requirement")
        self.array(1)
        self.array(len(clauses))
        for clause in clauses:
            self.array(2)
            self.text(clause.operator)
            self.version(clause.version)

    def dependency(self, dependency: Dependency) -> None:
        self.object("Gem::Dependency", 5)
        self.symbol("@name")
        self.text(dependency.name)
        self.symbol("@requirement")
        self.requirement(dependency.clauses)
        self.symbol("@type")
        self.symbol("runtime" if dependency.is_runtime else "development")
        self.symbol("@prerelease")
        self.boolean(False)
        self.symbol("@version_requirements")
        self.requirement(dependency.clauses)

    def platform(self, platform: str) -> None:
        """`ruby` as a text, anything else as the Gem::Platform that clients compare with their own."""
        if platform == names.RUBY:
            self.text(platform)
            return
        self.object("Gem::Platform", 3)
        for name, value in zip(("@cpu", "@os", "@version"), platform_parts(platform), strict=True):
            self.symbol(name)
            if value is None:
                self.nil()
            else:
                self.text(value)

    def texts(self, values: Iterable[str]) -> None:
        found = tuple(values)
        self.array(len(found))
        for value in found:
            self.text(value)

    def _raw(self, mark: bytes, value: bytes) -> None:
        self._out += mark
        self._long(len(value))
        self._out += value

    def _long(self, value: int) -> None:
        if value == 0:
            self._out.append(0)
        elif 0 < value < 123:
            self._out.append(value + 5)
        elif -124 < value < 0:
            self._out.append((value - 5) & 0xFF)
        else:
            size = next(n for n in (1, 2, 3, 4) if -(1 << 8 * n) <= value < 1 << 8 * n)
            self._out.append(size if value > 0 else 256 - size)
            self._out += (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def dump_index(entries: Iterable[tuple[str, str, str]], pause: Callable[[], None] = _go_on) -> bytes:
    """specs.4.8.gz: name, version and platform of each, compressed.

    pause: called after every few rows of what may be a million, so that a thread that does this can let others work.
    """
    # The first row names both symbols; the others are put together from texts that are made once.
    texts, parts, rows, count = _Texts(), list[bytes](), list[bytes](), 0
    head = Writer()
    for name, version, platform in entries:
        count += 1
        if count == 1:
            _dump_row(head, name, version, platform)
            continue
        rows.append(b"[\x08%bU;\x06[\x06%b%b" % (texts[name], texts[version], texts[platform]))
        if len(rows) == _FEW:
            parts.append(b"".join(rows))
            rows.clear()
            if len(texts) > _MOST_TEXTS:
                texts.clear()
            pause()
    start = Writer()
    start.array(count)
    out = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
    packed = [out.compress(start.dumped() + head.dumped()[len(_HEADER) :])]
    packed += [out.compress(part) for part in (*parts, b"".join(rows))]
    return b"".join((*packed, out.flush()))


def _dump_row(out: Writer, name: str, version: str, platform: str) -> None:
    out.array(3)
    out.text(name)
    out.version(version)
    out.text(platform)


class _Texts(dict[str, bytes]):
    """Strings as they are written once the symbol of their encoding is known, which is the first one of a dump."""

    def __missing__(self, value: str) -> bytes:
        whole = Writer()
        whole.text(value)
        self[value] = made = whole.dumped()[2:].removesuffix(b":\x06ET") + b";\x00T"
        return made


def dump_spec(spec: Spec) -> bytes:
    """quick/Marshal.4.8/NAME.gemspec.rz: a Gem::Specification, deflated."""
    inner = Writer()
    inner.array(19)
    inner.text(spec.rubygems_version or "3.0.0")
    inner.integer(_SPECIFICATION_VERSION)
    inner.text(spec.name)
    inner.version(spec.version)
    inner.utc(*spec.day)
    inner.text(spec.summary)
    inner.requirement(spec.required_ruby)
    inner.requirement(spec.required_rubygems)
    inner.text(spec.platform)
    inner.array(len(spec.dependencies))
    for dependency in spec.dependencies:
        inner.dependency(dependency)
    inner.text("")
    if isinstance(spec.email, str):
        inner.text(spec.email)
    else:
        inner.texts(spec.email)
    inner.texts(spec.authors)
    inner.text(spec.description)
    inner.text(spec.homepage)
    inner.boolean(True)
    inner.platform(spec.platform)
    inner.texts(spec.licenses)
    inner.hash(len(spec.metadata))
    for key, value in spec.metadata.items():
        inner.text(key)
        inner.text(value)
    outer = Writer()
    outer.user_defined("Gem::Specification", inner.dumped())
    return zlib.compress(outer.dumped())


def platform_parts(platform: str) -> tuple[str | None, str, str | None]:
    """CPU, operating system and version, as Gem::Platform reads them from one text."""
    parts = platform.split("-")
    if len(parts) > 2 and not _NUMBER.match(parts[-1]):
        parts[-2:] = [f"{parts[-2]}-{parts[-1]}"]
    cpu: str | None = parts.pop(0)
    if cpu is not None and re.match(r"i\d86", cpu):
        cpu = "x86"
    if len(parts) == 2 and _NUMBER.match(parts[1]):
        return cpu, parts[0], parts[1]
    system = parts[0] if parts else None
    if system is None:
        cpu, system = None, str(cpu)
    if (windows := _WINDOWS.search(system)) is not None:
        return ("x86" if cpu is None and windows[1].endswith("32") else cpu), windows[1], windows[2]
    for pattern, name in _SYSTEMS:
        if (match := pattern.search(system)) is not None:
            return cpu, name, (match[1] or None) if match.groups() else None
    return cpu, "unknown", None
