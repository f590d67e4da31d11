"""multipart/form-data, read while it arrives (RFC 7578, RFC 2046 §5.1). Pure: bytes in, events out.

Nothing is held but the end of the last chunk and the headers of one part, each bounded. What the parts mean, in which
order they come and how large they may be is for the caller.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from urllib.parse import unquote

from msgspec import Struct

from gateway.errors import Invalid

MAX_PARTS = 2_000
_MAX_HEADERS = 16 * 1024
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{1,200}\Z")
_PARAMETER = re.compile(r';\s*([A-Za-z0-9*_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"\s]*)')
_ESCAPE = re.compile(r"\\(.)")


class Part(Struct, frozen=True):
    """A part begins. filename: None for a plain field, "" for a file without a name."""

    name: str
    filename: str | None
    content_type: str


class Data(Struct, frozen=True):
    """More bytes of the part that began last, as a view of the chunk where they came in one."""

    body: bytes | memoryview


class End(Struct, frozen=True):
    """The part that began last is complete."""


Event = Part | Data | End


class _At(Enum):
    PREAMBLE = auto()
    BOUNDARY = auto()
    HEADERS = auto()
    BODY = auto()
    EPILOGUE = auto()


class FormReader:
    """Feed it chunks of any size, in order, then `close` it."""

    def __init__(self, content_type: str, *, takes_bare_newlines: bool = False) -> None:
        """`content_type`: the request's header; raises Invalid unless it is multipart/form-data with a boundary.

        takes_bare_newlines: a boundary may follow a line feed alone, as nuget.exe 2 on Mono ends its forms.
        """
        self._delimiter = (b"\n--" if takes_bare_newlines else b"\r\n--") + boundary_of(content_type)
        self._takes_bare_newlines = takes_bare_newlines
        self._held = b"\r\n"  # so that the first boundary looks like all others
        self._at = _At.PREAMBLE
        self._parts = 0
        self._skip = 0  # how many of the held bytes belong to the headers' end, not to the body

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """What the next bytes complete; raises Invalid. Consume it before feeding more."""
        if self._at is _At.BODY and self._is_only_body(chunk):
            if held := self._held[self._skip :]:
                yield Data(held)
            self._held, self._skip = chunk, 0
        else:
            self._held += chunk
        while True:
            before = self._at
            event = self._step()
            if event is not None:
                yield event
            elif self._at is before:
                return

    def close(self) -> None:
        """Raise Invalid unless the closing boundary was seen: before that nothing may be decided."""
        if self._at is not _At.EPILOGUE:
            raise Invalid("the form ends before its closing boundary")

    def _is_only_body(self, chunk: bytes) -> bool:
        """Whether no delimiter begins in what is held of a body, so that the chunk need not be copied behind it."""
        longest = len(self._delimiter)
        return len(chunk) >= longest and self._delimiter not in self._held + chunk[:longest]

    def _step(self) -> Event | None:
        """One event, or None after a change of state or when more bytes are needed."""
        match self._at:
            case _At.PREAMBLE:
                self._skip_preamble()
                return None
            case _At.BOUNDARY:
                self._read_boundary()
                return None
            case _At.HEADERS:
                return self._read_headers()
            case _At.BODY:
                return self._read_body()
            case _At.EPILOGUE:
                self._held = b""
                return None

    def _skip_preamble(self) -> None:
        cut = self._held.find(self._delimiter)
        if cut < 0:
            self._held = self._held[-len(self._delimiter) + 1 :]
        else:
            self._held = self._held[cut + len(self._delimiter) :]
            self._at = _At.BOUNDARY

    def _read_boundary(self) -> None:
        """After a delimiter: `--` closes the form, spaces are padding, a line break begins a part."""
        if self._held.startswith(b"--"):
            self._at = _At.EPILOGUE
            return
        line = self._held.lstrip(b" \t")
        if line.startswith(b"\r\n"):
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise Invalid(f"the form has more than {MAX_PARTS} parts")
            self._held = line  # keeps the line break, so that a part without headers ends like any other
            self._at = _At.HEADERS
        elif len(line) > 1 or len(self._held) > 100:
            raise Invalid("the form has a broken boundary")

    def _read_headers(self) -> Part | None:
        cut = self._held.find(b"\r\n\r\n")
        if cut < 0 or cut > _MAX_HEADERS:
            if len(self._held) > _MAX_HEADERS:
                raise Invalid(f"a part of the form has over {_MAX_HEADERS} bytes of headers")
            return None
        part = _part(self._held[2:cut].decode("utf-8", "replace") if cut else "")
        self._held = self._held[cut + 2 :]
        self._skip = 2
        self._at = _At.BODY
        return part

    def _read_body(self) -> Data | End | None:
        cut = self._held.find(self._delimiter)
        end = cut if cut >= 0 else len(self._held) - len(self._delimiter) + 1
        if self._takes_bare_newlines and (cut < 0 or self._held[cut - 1 : cut] == b"\r"):
            end -= 1  # a carriage return before the line feed belongs to the boundary
        if cut >= 0 and end <= self._skip:
            self._held = self._held[cut + len(self._delimiter) :]
            self._at = _At.BOUNDARY
            return End()
        if end <= self._skip:
            return None
        data = Data(memoryview(self._held)[self._skip : end])
        self._held = self._held[end:]
        self._skip = 0
        return data


def boundary_of(content_type: str) -> bytes:
    """The boundary in a Content-Type header; raises Invalid."""
    kind, _, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        raise Invalid(f"expected multipart/form-data, got {kind.strip()[:80] or 'nothing'}")
    boundary = _parameters(f";{rest}").get("boundary", "")
    if not _BOUNDARY.match(boundary) or boundary.endswith(" "):
        raise Invalid("multipart/form-data without a valid boundary")
    return boundary.encode()


def _part(text: str) -> Part:
    headers = {}
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise Invalid(f"a part of the form has a broken header: {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    disposition = headers.get("content-disposition", "")
    if disposition.partition(";")[0].strip().lower() != "form-data":
        raise Invalid("a part of the form has no Content-Disposition: form-data")
    if headers.get("content-transfer-encoding", "binary").lower() not in {"binary", "8bit", "7bit"}:
        raise Invalid("a part of the form has a Content-Transfer-Encoding, which forms do not have (RFC 7578 §4.7)")
    parameters = _parameters(disposition)
    if "name" not in parameters:
        raise Invalid("a part of the form has no name")
    filename = parameters.get("filename")
    extended = parameters.get("filename*")
    if filename is None and extended is not None:
        filename = unquote(extended.rpartition("'")[2])
    return Part(parameters["name"], filename, headers.get("content-type", ""))


def _parameters(text: str) -> dict[str, str]:
    """`; name=value` pairs with quotes and escapes undone; browsers write a quote as %22."""
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text):
        plain = _ESCAPE.sub(r"\1", value[1:-1]).replace("%22", '"') if value.startswith('"') else value
        found.setdefault(name.lower(), plain)
    return found
