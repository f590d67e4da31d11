"""Looking into an uploaded package without unpacking it: is it a sound tarball, and what does its package.json say?

Pure but for reading the file it is given; blocks, so it belongs into a thread. The tar is read as a stream through an
inflater with a budget: a bomb, an endless header, a path that leaves the package or a link that does is refused, and so
is whatever could be read in two ways (two package.json, bytes behind the end). Nothing is ever written.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
from isal import isal_zlib
from msgspec import Struct, field

from gateway.errors import Invalid, TooLarge

_InflateError = cast("type[Exception]", isal_zlib.error)
_BLOCK = 512
_CHUNK = 64 * 1024
_MAX_HEADER = 64 * 1024  # bytes of one pax or GNU long-name header
_MAX_MANIFEST = 4 * 1024 * 1024
_REGULAR, _LINKS, _FOLDER = b"\x0007", b"12", b"5"


class Limits(Struct, frozen=True):
    """How much one tarball may hold: bytes when unpacked, and entries."""

    unpacked_size: int = 2 * 1024**3
    entries: int = 200_000


class Contents(Struct, frozen=True):
    """What is in a tarball. `manifest`: its package.json. `unpacked_size`: bytes of all files together."""

    manifest: dict[str, Any]
    file_count: int
    unpacked_size: int
    has_shrinkwrap: bool = False
    has_gyp: bool = False


class _Entry(Struct, frozen=True):
    """One header of a tar. `size`: bytes of content that follow it."""

    name: str
    kind: int
    size: int
    target: str = ""


class _Found(Struct):
    """What was seen so far."""

    manifest: bytes | None = None
    file_count: int = 0
    unpacked_size: int = 0
    roots: set[str] = field(default_factory=set)


def inspect(path: Path, limits: Limits | None = None) -> Contents:
    """What the tarball in this file holds; raises Invalid, or TooLarge for one that outgrows the limits."""
    limits = limits or Limits()
    found = _Found()
    with path.open("rb") as file:
        stream = _Inflated(file, limits.unpacked_size)
        for number, entry in enumerate(_entries(stream)):
            if number >= limits.entries:
                raise TooLarge(f"the tarball has more than {limits.entries} entries")
            _take(entry, stream, found)
        stream.finish()
    if found.manifest is None:
        raise Invalid("the tarball has no package.json")
    return Contents(
        _manifest(found.manifest),
        found.file_count,
        found.unpacked_size,
        "npm-shrinkwrap.json" in found.roots,
        "binding.gyp" in found.roots,
    )


class _Inflated:
    """The inflated bytes of one gzip member, read forwards, within a budget."""

    def __init__(self, file: BinaryIO, budget: int) -> None:
        self._file = file
        self._inflate = isal_zlib.decompressobj(wbits=31)
        self._budget = budget
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer at the end."""
        while len(self._ready) < size and self._more():
            pass
        part = bytes(self._ready[:size])
        del self._ready[:size]
        return part

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; raises Invalid when there are not so many."""
        while size:
            part = len(self.read(min(size, _CHUNK)))
            if not part:
                raise Invalid("the tarball ends too early")
            size -= part

    def finish(self) -> None:
        """Read to the end: only zeros may follow the archive, nothing the gzip member."""
        while part := self.read(_CHUNK):
            if part.strip(b"\0"):
                raise Invalid("the tarball has data behind its end")
        if not self._inflate.eof:
            raise Invalid("the tarball's gzip stream ends too early")
        if self._inflate.unused_data or self._file.read(1):
            raise Invalid("the tarball has data behind its gzip stream")

    def _more(self) -> bool:
        if self._inflate.eof:
            return False
        waiting = self._inflate.unconsumed_tail or self._file.read(_CHUNK)
        try:
            plain = self._inflate.decompress(waiting, _CHUNK)
        except _InflateError as error:
            raise Invalid("the tarball is not gzip") from error
        if not waiting and not plain:
            return False
        self._budget -= len(plain)
        if self._budget < 0:
            raise TooLarge("the tarball is too large when unpacked")
        self._ready += plain
        return True


def _entries(stream: _Inflated) -> Iterator[_Entry]:
    """The entries of a tar, with pax and GNU extensions applied; their content is left to be read."""
    extended: dict[str, str] = {}
    while True:
        block = stream.read(_BLOCK)
        if not block or block == bytes(_BLOCK):
            if extended:
                raise Invalid("the tarball ends behind an extended header")
            return
        name, kind, size, target = _header(block)
        if kind in b"xgLK":
            text = _extension(stream, size)
            if kind == ord("x"):
                extended |= _pax(text)
            elif kind == ord("g"):
                if _pax(text):
                    raise Invalid("the tarball renames entries all at once")
            else:
                extended["path" if kind == ord("L") else "linkpath"] = _text(text.rstrip(b"\0"))
            continue
        name = extended.get("path", name)
        if kind in _REGULAR and name.endswith("/"):
            kind = _FOLDER[0]  # as tars from before POSIX say it
        yield _Entry(name, kind, _pax_size(extended, size), extended.get("linkpath", target))
        extended = {}


def _take(entry: _Entry, stream: _Inflated, found: _Found) -> None:
    """Check one entry, read it if it matters, and pass over its content."""
    parts = _safe_parts(entry.name)
    if entry.size and entry.kind not in _REGULAR:
        raise Invalid(f"the tarball has content where none can be: {entry.name[:80]!r}")
    padding = -entry.size % _BLOCK
    if entry.kind in _LINKS:
        _check_link(entry, parts)
    elif entry.kind in _REGULAR:
        found.file_count += 1
        found.unpacked_size += entry.size
    elif entry.kind not in _FOLDER:
        raise Invalid(f"the tarball has an entry of an odd kind: {entry.name[:80]!r}")
    at_root = parts[1] if len(parts) == 2 else ""
    if at_root and entry.kind not in _FOLDER:
        if at_root in found.roots:
            raise Invalid(f"the tarball has {at_root!r} twice")
        found.roots.add(at_root)
    if at_root == "package.json" and entry.kind not in _FOLDER:
        if entry.kind not in _REGULAR or entry.size > _MAX_MANIFEST:
            raise Invalid("the tarball's package.json is no plain file, or too large")
        found.manifest = stream.read(entry.size)
        stream.skip(padding)
        return
    stream.skip(entry.size + padding)


def _header(block: bytes) -> tuple[str, int, int, str]:
    """Name, kind, size and link target of a header block; raises Invalid unless its checksum is right."""
    if len(block) < _BLOCK:
        raise Invalid("the tarball ends within a header")
    if _number(block[148:156]) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise Invalid("the tarball has a damaged header")
    name = _field(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _field(block[345:500])):
        name = f"{prefix}/{name}"
    return name, block[156], _number(block[124:136]), _field(block[157:257])


def _number(field_: bytes) -> int:
    """An octal field, or GNU's base-256 one."""
    if field_[0] == 0x80:
        return int.from_bytes(field_[1:], "big")
    digits = field_.strip(b" \0")
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise Invalid("the tarball has a number that is none")
    return int(digits, 8)


def _field(raw: bytes) -> str:
    return _text(raw.partition(b"\0")[0])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _extension(stream: _Inflated, size: int) -> bytes:
    if size > _MAX_HEADER:
        raise Invalid("the tarball has an endless header")
    body = stream.read(size)
    stream.skip(-size % _BLOCK)
    if len(body) < size:
        raise Invalid("the tarball ends within a header")
    return body


def _pax(body: bytes) -> dict[str, str]:
    """`length key=value` records and a line feed each (POSIX.1-2017, pax); only what says where and how long."""
    records: dict[str, str] = {}
    while body:
        digits, _, _ = body.partition(b" ")
        if not digits.isdigit() or not len(digits) + 1 < int(digits[:9]) <= len(body):
            raise Invalid("the tarball has a damaged pax header")
        length = int(digits[:9])
        key, _, value = body[len(digits) + 1 : length - 1].partition(b"=")
        if key in {b"path", b"linkpath", b"size"}:
            records[key.decode()] = _text(value)
        body = body[length:]
    return records


def _pax_size(extended: Mapping[str, str], size: int) -> int:
    said = extended.get("size")
    if said is None:
        return size
    if not (said.isascii() and said.isdigit() and len(said) < 16):
        raise Invalid("the tarball has a size that is none")
    return int(said)


def _safe_parts(name: str) -> list[str]:
    """The segments of an entry's name; raises Invalid for one that is absolute, leaves its folder or hides a NUL."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    has_drive = any(part[1:2] == ":" and part[0].isalpha() for part in parts[:2])
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or not parts or has_drive:
        raise Invalid(f"the tarball has an entry outside its folder: {name[:80]!r}")
    return parts


def _check_link(entry: _Entry, parts: list[str]) -> None:
    """A symbolic link is relative to its own folder, a hard link to the archive; neither may leave the package."""
    here = parts[:-1] if entry.kind == ord("2") else []
    target = entry.target
    if target.startswith("/") or "\\" in target or "\0" in target or not target:
        raise Invalid(f"the tarball has a link outside its folder: {entry.name[:80]!r}")
    depth = len(here)
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in {"", "."} else 1
        if depth < 1:
            raise Invalid(f"the tarball has a link outside its folder: {entry.name[:80]!r}")


def _manifest(body: bytes) -> dict[str, Any]:
    """package.json as an object; a byte order mark is allowed, as npm allows it."""
    try:
        value = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the tarball's package.json is not JSON") from error
    if not isinstance(value, dict):
        raise Invalid("the tarball's package.json is not an object")
    return value
