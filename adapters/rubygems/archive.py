"""Opens a gem: a plain tar of three files, each exactly once, whose checksums must be true. Blocks.

Nothing is unpacked: the headers of the tar are read one after the other, the data only hashed, metadata and checksums
inflated up to a limit. A gem with anything else in it (a link, a folder, a second metadata.gz) is refused.
"""

import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from adapters.rubygems import names
from adapters.rubygems.spec import Spec, read_spec
from adapters.rubygems.yaml_reader import read_yaml
from gateway.errors import Invalid

_BLOCK = 512
_STEP = 1 << 20
_LIMIT = 10 * 1024 * 1024  # bytes of metadata, checksums or a signature, inflated
_PARTS = ("metadata.gz", "data.tar.gz", "checksums.yaml.gz")
_SIGNATURES = tuple(f"{part}.sig" for part in _PARTS)
_CHECKED = ("metadata.gz", "data.tar.gz")
_ALGORITHMS = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512}


class _Part(Struct, frozen=True):
    """One file of the tar. hashes: algorithm → hex; body: None for the data."""

    hashes: dict[str, str]
    body: bytes | None


def read_gem(path: Path) -> Spec:
    """The specification of a gem that is as it should be; raises Invalid."""
    with path.open("rb") as file:
        parts = _read_parts(file)
    missing = [name for name in _PARTS if name not in parts]
    if missing:
        raise Invalid(f"the gem has no {missing[0]}")
    metadata, checksums = parts["metadata.gz"].body, parts["checksums.yaml.gz"].body
    assert metadata is not None
    assert checksums is not None
    _check(parts, read_yaml(_inflated(checksums, "checksums.yaml.gz")))
    spec = read_spec(read_yaml(_inflated(metadata, "metadata.gz")))
    names.check_publishable(spec.name)
    return spec


def _read_parts(file: BinaryIO) -> dict[str, _Part]:
    found: dict[str, _Part] = {}
    while (header := _header(file.read(_BLOCK))) is not None:
        name, size = header
        if name not in {*_PARTS, *_SIGNATURES}:
            raise Invalid(f"a gem has no file {name[:80]!r}")
        if name in found:
            raise Invalid(f"the gem has {name} twice")
        found[name] = _part(file, size, is_kept=name != "data.tar.gz")
        file.seek(-size % _BLOCK, 1)
    while rest := file.read(_STEP):
        if rest.strip(b"\0"):
            raise Invalid("the gem goes on behind its end")
    return found


def _header(block: bytes) -> tuple[str, int] | None:
    """Name and size of the next file (POSIX ustar); None at the end. Raises Invalid."""
    if not block.strip(b"\0"):
        return None
    if len(block) < _BLOCK:
        raise Invalid("the gem is no tar archive, or breaks off")
    name = block[:100].partition(b"\0")[0]
    size, stated = _octal(block[124:136]), _octal(block[148:156])
    if sum(block[:148]) + 8 * 32 + sum(block[156:]) != stated:
        raise Invalid("the gem is no tar archive, or damaged")
    if block[156:157] not in {b"0", b"\0"} or block[345:500].strip(b"\0"):
        raise Invalid(f"the gem holds something other than plain files: {name[:80]!r}")
    return name.decode("latin-1"), size


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or any(digit not in b"01234567" for digit in digits):
        raise Invalid("the gem is no tar archive")
    return int(digits, 8)


def _part(file: BinaryIO, size: int, *, is_kept: bool) -> _Part:
    if is_kept and size > _LIMIT:
        raise Invalid(f"a file of the gem has more than {_LIMIT} bytes")
    hashers = {name: new(usedforsecurity=False) for name, new in _ALGORITHMS.items()}
    left, kept = size, []
    while left:
        chunk = file.read(min(_STEP, left))
        if not chunk:
            raise Invalid("the gem breaks off")
        left -= len(chunk)
        for hasher in hashers.values():
            hasher.update(chunk)
        if is_kept:
            kept.append(chunk)
    return _Part({name: hasher.hexdigest() for name, hasher in hashers.items()}, b"".join(kept) if is_kept else None)


def _inflated(body: bytes, name: str) -> bytes:
    inflate = zlib.decompressobj(31)
    try:
        plain = inflate.decompress(body, _LIMIT + 1)
    except zlib.error as error:
        raise Invalid(f"{name} is not compressed as it should be") from error
    if len(plain) > _LIMIT:
        raise Invalid(f"{name} inflates to more than {_LIMIT} bytes")
    if not inflate.eof or inflate.unused_data:
        raise Invalid(f"{name} breaks off, or goes on behind its end")
    return plain


def _check(parts: dict[str, _Part], checksums: object) -> None:
    """Raise Invalid unless each file has a true SHA-256 or SHA-512, and no false one of any kind."""
    if not isinstance(checksums, dict):
        raise Invalid("the checksums are no mapping")
    proven = set()
    for algorithm, promised in checksums.items():
        if algorithm not in _ALGORITHMS or not isinstance(promised, dict):
            raise Invalid(f"unknown checksums {str(algorithm)[:40]!r}")
        for name, value in promised.items():
            part = parts.get(name)
            if part is None or part.hashes[algorithm] != str(value).lower():
                raise Invalid(f"the {algorithm} checksum of {str(name)[:80]} is wrong")
            if algorithm != "SHA1":
                proven.add(name)
    if missing := [name for name in _CHECKED if name not in proven]:
        raise Invalid(f"the gem has no checksum for {missing[0]}")
