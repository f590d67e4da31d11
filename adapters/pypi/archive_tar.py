"""Walks a .tar.gz once, forwards, counting what it inflates to. Blocks.

Python's tarfile decides what members there are, as pip will; what it may read is bounded here: it gets no more than
64 KiB for a header and 256 KiB for all headers of a member, and cannot go back.
"""

import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, isal_zlib
from msgspec import Struct

from gateway.errors import Invalid

_MAX_HEADER = 64 * 1024
_STEP = 256 * 1024
_MAX_HEADERS = 256 * 1024  # bytes of all headers of one member: tarfile reads some of them in quadratic time
_ISAL_ERROR = cast("type[Exception]", isal_zlib.error)
_BROKEN = (tarfile.TarError, zlib.error, _ISAL_ERROR, EOFError, OSError, ValueError, RecursionError, OverflowError)

_open_gzip: Callable[..., BinaryIO] = igzip.open


class TarMember(Struct, frozen=True):
    """One member. link: where a link points, else None. body: only of files that were to be kept."""

    name: str
    size: int
    link: str | None = None
    is_hard_link: bool = False
    is_dir: bool = False
    is_sparse: bool = False
    body: bytes | None = None


def read_tar_gz(
    path: Path, inflated: Callable[[int], None], *, keep: Callable[[str], bool], limit: int
) -> Iterator[TarMember]:
    """The members in order, with the bodies (of at most `limit` bytes) of files that `keep` names.

    `inflated` is told how many bytes there are so far, and may raise. Raises Invalid for what is no such archive,
    for device nodes, and for a kept file that is too large.
    """
    try:
        with _open_gzip(path, "rb") as plain:
            source = _Forward(plain, inflated)
            with tarfile.TarFile(fileobj=cast("BinaryIO", source), errorlevel=2) as archive:
                while (info := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # it keeps them all, for random access
                    source.allowance = limit + _MAX_HEADERS
                    yield _member(archive, info, keep, limit)
                    source.allowance = _MAX_HEADERS
                source.finish()
    except _BROKEN as error:
        raise Invalid(f"the file is not a readable .tar.gz: {str(error)[:100]}") from error


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo, keep: Callable[[str], bool], limit: int) -> TarMember:
    name = info.name.removeprefix("./")
    if not (info.isreg() or info.isdir() or info.issym() or info.islnk()):
        raise Invalid(f"the sdist's member {name[:80]!r} is neither file, folder nor link")
    body = None
    if info.isreg() and not info.issparse() and keep(name):
        if info.size > limit:
            raise Invalid(f"{name[:80]} has more than {limit} bytes")
        body = _body(archive, info)
    link = info.linkname if info.issym() or info.islnk() else None
    return TarMember(name, info.size, link, info.islnk(), info.isdir(), info.issparse(), body)


def _body(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    assert file is not None
    parts = []
    while chunk := file.read(16 * 1024):
        parts.append(chunk)
    return b"".join(parts)


class _Forward:
    """A file that can only be read onwards, in small portions, and that counts."""

    def __init__(self, plain: BinaryIO, inflated: Callable[[int], None]) -> None:
        self._plain = plain
        self._inflated = inflated
        self._at = 0
        self.allowance = _MAX_HEADERS

    def read(self, size: int = -1) -> bytes:
        self.allowance -= max(size, 1)  # reads at the end count too: some of tarfile's loops would go on forever
        if not 0 <= size <= _MAX_HEADER or self.allowance < 0:
            raise OSError("a header that large is not believed")
        data = self._plain.read(size)
        self._at += len(data)
        self._inflated(self._at)
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0 or offset < self._at:
            raise OSError("the archive points backwards")
        while self._at < offset:
            data = self._plain.read(min(_STEP, offset - self._at))
            if not data:
                raise EOFError("the archive ends early")
            self._at += len(data)
            self._inflated(self._at)
        return offset

    def finish(self) -> None:
        """Read what comes after the last member, which counts too."""
        while data := self._plain.read(_STEP):
            self._at += len(data)
            self._inflated(self._at)
