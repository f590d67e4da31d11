"""Where an upstream keeps a file that no listing promises, and how its bytes are proved."""

import asyncio
import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from gateway.errors import Blocked, DigestMismatch, UpstreamCorrupt
from gateway.format import Ask
from gateway.services import Services
from gateway.store.hashing import require
from gateway.upstream.client import Status
from gateway.upstream.registry import Upstream

_LONGEST_PROOF = 4096
_HEX = re.compile(r"[0-9a-f]+")


class Shelf(Struct, frozen=True):
    """Where upstreams keep a file, and how its bytes are proved.

    path: below an upstream's base, percent-encoded. algorithms: to compute besides sha256. proofs: (algorithm, path) of
    documents that hold its hash, best first; `read` finds it in one. said: the hashes that an answer's headers promise.
    is_proof_needed: False for a file that proves itself (a signature): it is kept when nobody promises anything.
    is_movable: the same name may have other bytes one day (a snapshot).
    """

    path: str
    algorithms: tuple[str, ...]
    proofs: tuple[tuple[str, str], ...]
    read: Callable[[str, bytes], str | None]
    said: Callable[[Mapping[str, str]], Mapping[str, str]]
    is_proof_needed: bool = True
    is_movable: bool = False


class FileProof:
    """What an upstream promises of a file: by the headers that come with it, else by a document that lies beside it.

    upstream: who gives the file, which a redirect may change before its headers are read. agreed: the promises that
    were found to be kept.
    """

    def __init__(self, services: Services, upstream: Upstream, shelf: Shelf) -> None:
        self._services = services
        self.upstream = upstream
        self.agreed: Mapping[str, str] = {}
        self._shelf = shelf
        self._promised: dict[str, str] = {}
        self._asking: asyncio.Task[dict[str, str]] | None = None

    def begin(self, headers: Mapping[str, str]) -> None:
        """Read the headers; without a promise in them, ask for the document while the bytes come."""
        self._promised |= {name: hex_ for name, hex_ in self._shelf.said(headers).items() if _HEX.fullmatch(hex_)}
        if not self._promised and self._asking is None:
            self._asking = self._services.tasks.start(self._ask(), f"proof from {self.upstream.name}")

    async def judge(self, hexes: Mapping[str, str]) -> None:
        """Raise UpstreamCorrupt unless what was promised is what came."""
        promised = dict(self._promised)
        if not promised and self._asking is not None:
            promised = await self._asking
        if not promised and self._shelf.is_proof_needed:
            raise UpstreamCorrupt(f"{self.upstream.name} has no checksum of {self._shelf.path}")
        known = {name: hex_ for name, hex_ in promised.items() if name in hexes}
        try:
            require(known, hexes)
        except DigestMismatch as error:
            raise UpstreamCorrupt(f"{self._shelf.path} of {self.upstream.name}: {error}") from error
        self.agreed = known

    async def _ask(self) -> dict[str, str]:
        client = self._services.client
        for algorithm, path in self._shelf.proofs:
            try:
                reply = await client.document(self.upstream, Ask(path), None, _LONGEST_PROOF)
            except Blocked:
                continue
            if reply.status is not Status.OK or reply.document is None:
                continue
            hex_ = self._shelf.read(algorithm, reply.document.body)
            if hex_ is None:
                raise UpstreamCorrupt(f"{path} of {self.upstream.name} holds no {algorithm}")
            return {algorithm: hex_}
        return {}
