"""Undoing the Content-Encoding of a document, within bounds: a bomb is refused long before it is in memory. Pure."""

from collections.abc import Iterator

from isal import isal_zlib

from gateway.errors import UpstreamCorrupt

ACCEPTED = "gzip, deflate"
_STEP = 1 << 20  # bytes that come out at most in one go, so that the loop is never held up for long
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Inflater:
    """Takes a body as it came and gives it as it was meant."""

    def __init__(self, encoding: str, limit: int) -> None:
        """`encoding`: Content-Encoding, may be empty. `limit`: bytes that may come out. Raises UpstreamCorrupt."""
        encoding = encoding.strip().lower()
        if encoding not in {"", "identity", *_WINDOW_BITS}:
            raise UpstreamCorrupt(f"a document came with an unknown content encoding {encoding[:40]!r}")
        self._bits = _WINDOW_BITS.get(encoding, 0)
        self._stream = isal_zlib.decompressobj(self._bits) if self._bits else None
        self._left = limit
        self._limit = limit

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The next parts of the body, each at most 1 MiB; raises UpstreamCorrupt beyond the limit or on bad data."""
        if self._stream is None:
            yield self._counted(chunk)
            return
        while chunk:
            if self._stream.eof:  # RFC 1952 §2.2: members may follow one another
                self._stream = isal_zlib.decompressobj(self._bits)
            try:
                part = self._stream.decompress(chunk, _STEP)
            except isal_zlib.error as error:  # type: ignore[misc]  # the stub calls the class an instance
                raise UpstreamCorrupt("a document's compression is broken") from error
            chunk = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            yield self._counted(part)

    @property
    def is_complete(self) -> bool:
        """Whether the body may end here."""
        return self._stream is None or bool(self._stream.eof)

    def _counted(self, part: bytes) -> bytes:
        self._left -= len(part)
        if self._left < 0:
            raise UpstreamCorrupt(f"a document is larger than {self._limit} bytes")
        return part
