"""Reading a publish document while it arrives: everything but the tarball is kept, the tarball flows on decoded.

Pure. A publish is one JSON document with the tarball as base64 inside (`_attachments.<name>.data`), in whatever order
the client likes (yarn 4 sends the attachments first). This scanner copies the document as it comes, except for those
strings: their bytes are decoded and handed out piece by piece, so that 60 MiB of tarball cost a chunk of memory. What
remains, with `""` in the string's place, is an ordinary small JSON document; the scanner checks no more of its grammar
than it needs to know where it is, since a real parser reads the rest afterwards.
"""

import binascii
import re
from collections.abc import Callable

import msgspec

from gateway.errors import Invalid, TooLarge

# Keys whose data is JSON text, not base64: provenance (npm.md §5). It stays in the document.
_TEXT_SUFFIX = ".sigstore"
_STRUCTURE = re.compile(rb'["{}\[\]:,]')
_STRING_END = re.compile(rb'["\\]')
_UNQUOTE = msgspec.json.Decoder(str)
_MAX_DEPTH = 200
_MAX_KEY = 2000

# Takes (scanner, chunk, position, pieces) and returns the position that it read up to.
_State = Callable[["Scanner", bytes, int, list[bytes]], int]


class Scanner:
    """Feed it chunks; it returns decoded bytes of the attachment. Afterwards `document` is the rest.

    tarball_name: the attachment's key, None while none was met. Raises Invalid for what cannot be a publish document
    (two attachments, bad base64) and TooLarge when the rest outgrows `limit` bytes.
    """

    def __init__(self, limit: int) -> None:
        self.document = bytearray()
        self.tarball_name: str | None = None
        self._limit = limit
        self._nesting = bytearray()  # the open brackets
        self._keys: list[str] = []  # the keys on the way down, as far as they matter
        self._is_key = False  # whether the next string is a member's name
        self._state: _State = _structure
        self._key: bytearray | None = None  # the name being read
        self._escape = bytearray()  # an escape sequence that is not complete yet
        self._quantum = b""  # fewer than four base64 digits
        self._is_padded = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the document; returns what they add to the tarball, in order."""
        pieces: list[bytes] = []
        position = 0
        while position < len(chunk):
            position = self._state(self, chunk, position, pieces)
        if len(self.document) > self._limit:
            raise TooLarge(f"the publish document has more than {self._limit} bytes beside its tarball")
        return pieces

    def finish(self) -> bytes:
        """The document without the tarball's data; raises Invalid if it is not complete."""
        if self._nesting or self._state is not _structure:
            raise Invalid("the publish document ends too early")
        return bytes(self.document)

    # ── structure ────────────────────────────────────────────────────────────────────────────────────────────────
    def open(self, bracket: int) -> None:
        """Enter an object or an array."""
        if len(self._nesting) >= _MAX_DEPTH:
            raise Invalid("the publish document is nested too deeply")
        self._nesting.append(bracket)
        self._is_key = bracket == _OBJECT
        if len(self._keys) < len(self._nesting):
            self._keys.append("")

    def close(self) -> None:
        """Leave it again."""
        if not self._nesting:
            raise Invalid("the publish document is not JSON")
        self._nesting.pop()
        del self._keys[len(self._nesting) :]
        self._is_key = False

    def separate(self, mark: int) -> None:
        """A comma or a colon: what comes next."""
        self._is_key = mark == _COMMA and bool(self._nesting) and self._nesting[-1] == _OBJECT

    def begin_string(self) -> None:
        """A quote was met outside a string."""
        self.document += b'"'
        if self._is_key and len(self._nesting) <= 3:
            self._key = bytearray()
        elif not self._is_key and self._is_tarball():
            if self.tarball_name is not None:
                raise Invalid("a publish document carries one tarball")
            self.tarball_name = self._keys[1]
            self._state = _data
            return
        self._state = _string

    def end_string(self) -> None:
        """The closing quote of a string that is kept."""
        self.document += b'"'
        if self._key is not None:
            try:
                self._keys[len(self._nesting) - 1] = _UNQUOTE.decode(b'"%s"' % self._key)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Invalid("the publish document is not JSON") from error
            self._key = None
        self._state = _structure

    def keep(self, part: bytes) -> None:
        """Content of a string that is kept."""
        self.document += part
        if self._key is not None:
            self._key += part
            if len(self._key) > _MAX_KEY:
                raise Invalid("the publish document has a member with an endless name")

    def _is_tarball(self) -> bool:
        """Whether the value that begins here is `_attachments.<name>.data`, in objects all the way."""
        keys = self._keys
        return (
            bytes(self._nesting) == b"{{{"
            and keys[0] == "_attachments"
            and keys[2] == "data"
            and not keys[1].endswith(_TEXT_SUFFIX)
        )

    # ── escapes and base64 ───────────────────────────────────────────────────────────────────────────────────────
    def take_escape(self, chunk: bytes, position: int) -> tuple[int, bytes | None]:
        """Read on in an escape sequence; returns where it stopped, and the whole sequence once it is complete."""
        while position < len(chunk):
            self._escape.append(chunk[position])
            position += 1
            if len(self._escape) == (6 if self._escape[1:2] == b"u" else 2):
                whole = bytes(self._escape)
                self._escape.clear()
                return position, whole
        return position, None

    @property
    def is_escaping(self) -> bool:
        """Whether the last byte left an escape sequence open."""
        return bool(self._escape)

    def decode(self, digits: bytes, pieces: list[bytes]) -> None:
        """Base64 digits of the tarball; only whole quanta are decoded, the rest waits (RFC 4648 §4, padded)."""
        if not digits:
            return
        if self._is_padded:
            raise Invalid("the tarball's base64 goes on after its padding")
        digits = self._quantum + digits
        whole = len(digits) - len(digits) % 4
        self._quantum = digits[whole:]
        if not whole:
            return
        if len(digits[whole - 4 : whole].rstrip(b"=")) < 2:
            raise Invalid("the tarball's base64 has too much padding")
        try:
            pieces.append(binascii.a2b_base64(digits[:whole], strict_mode=True))
        except binascii.Error as error:
            raise Invalid(f"the tarball is not base64: {error}".lower()) from error
        self._is_padded = digits[whole - 1] == _PADDING

    def end_data(self) -> None:
        """The closing quote of the tarball's string."""
        if self._quantum:
            raise Invalid("the tarball's base64 ends too early")
        self.document += b'"'
        self._state = _structure


_OBJECT, _COMMA, _PADDING, _QUOTE, _BACKSLASH = b"{"[0], b","[0], b"="[0], b'"'[0], b"\\"[0]


def _structure(scanner: Scanner, chunk: bytes, position: int, _: list[bytes]) -> int:
    """Between strings: brackets, colons, commas, numbers."""
    found = _STRUCTURE.search(chunk, position)
    if found is None:
        scanner.document += chunk[position:]
        return len(chunk)
    scanner.document += chunk[position : found.start()]
    mark = chunk[found.start()]
    if mark == _QUOTE:
        scanner.begin_string()
        return found.end()
    scanner.document.append(mark)
    if mark in b"{[":
        scanner.open(mark)
    elif mark in b"}]":
        scanner.close()
    else:
        scanner.separate(mark)
    return found.end()


def _string(scanner: Scanner, chunk: bytes, position: int, _: list[bytes]) -> int:
    """Inside a string that is kept."""
    if scanner.is_escaping or chunk[position] == _BACKSLASH:
        position, whole = scanner.take_escape(chunk, position)
        if whole is not None:
            scanner.keep(whole)
        return position
    found = _STRING_END.search(chunk, position)
    end = len(chunk) if found is None else found.start()
    scanner.keep(chunk[position:end])
    if end < len(chunk) and chunk[end] == _QUOTE:
        scanner.end_string()
        return end + 1
    return end


def _data(scanner: Scanner, chunk: bytes, position: int, pieces: list[bytes]) -> int:
    """Inside the tarball's base64. Some encoders escape `/` and `+`."""
    if scanner.is_escaping or chunk[position] == _BACKSLASH:
        position, whole = scanner.take_escape(chunk, position)
        if whole is not None:
            scanner.decode(_unescaped(whole), pieces)
        return position
    quote = chunk.find(b'"', position)
    end = len(chunk) if quote < 0 else quote
    escape = chunk.find(b"\\", position, end)
    scanner.decode(chunk[position : end if escape < 0 else escape], pieces)
    if escape >= 0:
        return escape
    if quote < 0:
        return end
    scanner.end_data()
    return end + 1


def _unescaped(escape: bytes) -> bytes:
    try:
        return _UNQUOTE.decode(b'"%s"' % escape).encode("ascii")
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid("the tarball is not base64") from error
