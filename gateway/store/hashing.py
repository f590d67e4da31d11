"""Several hashes of one stream of bytes. Knows names of algorithms, not where the bytes go."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from gateway.errors import DigestMismatch, Invalid


class Hasher(Protocol):
    """What hashlib's objects have in common."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class Hashes:
    """sha256, always, and whatever else was promised or is wanted, over the same bytes."""

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        """`algorithms`: names as in `gateway.model.Digest`; raises Invalid for one that we do not know."""
        self._hashers = {name: _hasher(name) for name in {"sha256": None, **dict.fromkeys(algorithms)}}

    def want(self, algorithms: Iterable[str]) -> None:
        """Compute these too; only before the first byte. Raises Invalid."""
        for name in algorithms:
            self._hashers.setdefault(name, _hasher(name))

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        for hasher in self._hashers.values():
            hasher.update(data)

    def hexes(self) -> dict[str, str]:
        """Algorithm → lower-case hex of everything taken so far."""
        return {name: hasher.hexdigest() for name, hasher in self._hashers.items()}


def require(promised: Mapping[str, str], actual: Mapping[str, str]) -> None:
    """Raise DigestMismatch unless every promised hash is there and agrees."""
    for name, expected in promised.items():
        if actual.get(name) != expected:
            raise DigestMismatch(f"expected {name}:{expected}, got {name}:{actual.get(name, '?')}")


def _hasher(algorithm: str) -> Hasher:
    match algorithm:
        case "sha256":
            return hashlib.sha256()
        case "sha512":
            return hashlib.sha512()
        case "sha384":
            return hashlib.sha384()
        case "blake2b_256":
            return hashlib.blake2b(digest_size=32)
        case "sha1" | "md5":  # what Maven and old npm packages promise; never what names a blob
            return hashlib.new(algorithm, usedforsecurity=False)
        case _:
            raise Invalid(f"unknown hash algorithm: {algorithm[:40]!r}")
