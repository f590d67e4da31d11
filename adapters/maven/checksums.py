"""Checksums that clients send beside a file, before it or after it, and what they say of it.

One that comes first is held, for all workers, until its file comes: other bytes are refused then. What was refused is
remembered as well, so that a checksum of those bytes is refused for the same reason, and says nothing of a file that
was published under this name before.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapters.maven import wire
from gateway.errors import AlreadyExists, DigestMismatch, Forbidden, GatewayError, Invalid
from gateway.store.rows import Edit

if TYPE_CHECKING:
    from adapters.maven.names import Spot
    from gateway.model import File
    from gateway.store.rows import HostedPackage
    from gateway.web.answers import Answer
    from gateway.web.call import Call

MAX_CHECKSUM = 4096  # bytes of a sidecar
_HELD_SECONDS = 600.0
_PART_SECONDS = 600.0  # after which a checksum is no part of the upload before it, but of one that replaces it
_DOUBT_SECONDS = 3600.0  # within which a wrong checksum speaks of an upload, not of a published version
_REFUSALS: dict[int, type[GatewayError]] = {403: Forbidden, 409: AlreadyExists}


async def take(call: "Call", spot: "Spot", hosted: "HostedPackage | None", *, is_movable: bool) -> "Answer":
    """A checksum: compared with its file, or held until that comes. Raises what its file was refused with.

    is_movable: other bytes may replace the file, and this may be their checksum.
    """
    said = wire.read_checksum(spot.checksum, await call.body(MAX_CHECKSUM))
    file = hosted.find(spot.key) if hosted is not None else None
    if file is None or said != file.hashes.get(spot.checksum):
        _refuse_again(call, spot, said)
    is_early = file is None or (is_movable and said != file.hashes.get(spot.checksum) and _age(file) >= _PART_SECONDS)
    if is_early and said is not None:
        before = None if file is None else file.sha256
        await _change(call, spot, lambda noted: {**noted, "said": {**noted.get("said", {}), spot.checksum: said}})
        hosted = await call.publish.hosted(spot.package)
        file = hosted.find(spot.key) if hosted is not None else None
        if file is None or file.sha256 == before:
            return call.text("", 201)
        await _change(call, spot, lambda _: {})  # the file came meanwhile
    if file is not None and said == file.hashes.get(spot.checksum):
        await believe(call, spot, file)
        return call.text("", 201)
    if file is not None and _age(file) < _DOUBT_SECONDS:
        await _change_facts(call, spot, {**file.facts, "doubted": True})
    raise DigestMismatch(f"{spot.filename} came with {spot.checksum} {said or 'of no known form'}, the bytes disagree")


def require_said(call: "Call", spot: "Spot", hashes: Mapping[str, str]) -> None:
    """Raise DigestMismatch unless a file's bytes are those of the checksums that came before it."""
    for algorithm, said in call.publish.noted(spot.package, spot.key).get("said", {}).items():
        if said != hashes[algorithm]:
            raise DigestMismatch(
                f"{spot.filename} has {algorithm} {hashes[algorithm]}, before it {said} was sent as its checksum"
            )


async def accepted(call: "Call", spot: "Spot") -> None:
    """Forget what was said of a file before it was published."""
    if call.publish.noted(spot.package, spot.key):
        await _change(call, spot, lambda _: {})


async def refused(call: "Call", spot: "Spot", hashes: Mapping[str, str], error: GatewayError) -> None:
    """Remember why bytes were refused. What was said of them is over with it: they may be sent again, mended."""
    told = {"refused": dict(hashes), "status": error.status, "why": error.message}
    await _change(call, spot, lambda _: told)


async def believe(call: "Call", spot: "Spot", file: "File") -> None:
    """End the doubt of a file whose bytes, or checksum, came once more and agree."""
    if file.facts.get("doubted"):
        await _change_facts(call, spot, {key: value for key, value in file.facts.items() if key != "doubted"})


def _refuse_again(call: "Call", spot: "Spot", said: str | None) -> None:
    noted = call.publish.noted(spot.package, spot.key)
    if said is not None and said == noted.get("refused", {}).get(spot.checksum):
        raise _REFUSALS.get(noted["status"], Invalid)(noted["why"])


async def _change(call: "Call", spot: "Spot", change: Any) -> None:
    await call.publish.remark(spot.package, spot.key, change, _HELD_SECONDS)


async def _change_facts(call: "Call", spot: "Spot", facts: dict[str, Any]) -> None:
    await call.publish.edit(spot.package, Edit(file_facts={spot.key: facts}))


def _age(file: "File") -> float:
    moment = datetime.fromisoformat(file.uploaded_at) if file.uploaded_at else datetime.fromtimestamp(0, UTC)
    return time.time() - moment.timestamp()
