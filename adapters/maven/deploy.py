"""PUT and DELETE: from a path and a body to published files, in the order in which the clients really send them.

Clients send a file, then its checksums, and at the end metadata that they made up from what they had read before. Files
are published one by one; a checksum is compared with what came; metadata is read for what it names and then dropped,
since ours is rendered from the catalogue. A release's file never changes; the same bytes again are a retry.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.maven import checksums, metadata, names
from adapters.maven.contents import inspect
from adapters.maven.markup import MAX_METADATA, parse_metadata
from adapters.maven.names import Kind, Spot
from gateway.errors import (
    AlreadyExists,
    Conflict,
    FileUnknown,
    GatewayError,
    Invalid,
    NameMismatch,
    PathInvalid,
    VersionUnknown,
)
from gateway.model import File, Scope
from gateway.publish import NewFile
from gateway.store.rows import Edit

if TYPE_CHECKING:
    from gateway.store.blobs import Upload
    from gateway.store.rows import HostedPackage
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_SMALL = 256 * 1024


async def put(call: "Call") -> "Answer":
    """PUT (or POST) of a file, a checksum or metadata."""
    spot = names.parse_path(call.path["path"])
    if spot is None:
        raise PathInvalid("a path here is group/artifact/version/file, without characters that a file system refuses")
    if (why := names.refusal(spot)) is not None:
        raise Invalid(why)
    call.package = spot.package
    if spot.kind is not Kind.FILE:
        return await _metadata(call, spot)
    call.publish.require(Scope.WRITE, spot.package)
    check_policy(call, spot)
    hosted = await call.publish.begin(spot.package)
    await check_case(call, spot, hosted)
    if spot.checksum:
        return await checksums.take(call, spot, hosted, is_movable=is_movable(call, spot))
    return await _file(call, spot, hosted)


async def delete(call: "Call") -> "Answer":
    """DELETE of a file, or of a version by its folder."""
    path = call.path["path"].rstrip("/")
    spot = names.parse_path(path)
    if spot is not None and spot.kind is Kind.FILE and not spot.checksum:
        hosted = await call.publish.hosted(spot.package)
        if hosted is not None and hosted.find(spot.key) is not None:
            return await _delete(call, spot, (spot.key,))
    spot = names.parse_path(f"{path}/any")
    if spot is None or spot.kind is not Kind.FILE:
        raise FileUnknown("there is no such file or version")
    hosted = await call.publish.hosted(spot.package)
    found = () if hosted is None else tuple(f.filename for f in hosted.files if f.version == spot.version)
    if not found:
        raise VersionUnknown(f"{spot.package} has no version {spot.version} here")
    return await _delete(call, spot, found)


def check_policy(call: "Call", spot: Spot) -> None:
    """Raise Invalid for a version of the kind that this repository does not take."""
    policy = call.repository.settings.get("versions", "any")
    if (policy == "releases" and spot.is_snapshot) or (policy == "snapshots" and not spot.is_snapshot):
        raise Invalid(f"{call.repository.key} takes {policy} only, and {spot.version} is none")


async def _delete(call: "Call", spot: Spot, files: tuple[str, ...]) -> "Answer":
    call.package = spot.package
    await call.publish.edit(spot.package, Edit(delete_files=files), scope=Scope.DELETE)
    return call.text("", 204)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _file(call: "Call", spot: Spot, hosted: "HostedPackage | None") -> "Answer":
    async with call.publish.upload(tuple(names.CHECKSUMS)) as content:
        async for chunk in call.chunks(call.services.config.server.max_upload_size):
            await content.write(chunk)
        await content.finish()
        try:
            is_new = await _publish(call, spot, hosted, content)
        except GatewayError as error:
            if error.status < 500:
                await checksums.refused(call, spot, content.hexes(), error)
            raise
    await checksums.accepted(call, spot)
    if is_new:
        await _tidy(call, spot, hosted)
    return call.text("", 201 if is_new else 200)


async def _publish(call: "Call", spot: Spot, hosted: "HostedPackage | None", content: "Upload") -> bool:
    """Publish a file that came as a whole; whether it is new."""
    hashes, movable = content.hexes(), is_movable(call, spot)
    known = hosted.find(spot.key) if hosted is not None else None
    if known is not None and known.sha256 == hashes["sha256"]:
        await checksums.believe(call, spot, known)
        return False
    if known is not None and not movable:
        raise immutable(spot, known)
    checksums.require_said(call, spot, hashes)
    noted = await asyncio.to_thread(inspect, spot, names.parse_filename(spot), content.path)
    new = NewFile(spot.key, spot.version, content, hashes, now(), noted.facts, is_movable=movable)
    committed = await call.publish.commit(spot.package, [new], facts=noted.package_facts, refuses_twins=True)
    return committed.created


async def _tidy(call: "Call", spot: Spot, hosted: "HostedPackage | None") -> None:
    """Let go what nobody needs of a package, now that something was added to it."""
    named = names.parse_filename(spot)
    if spot.is_snapshot and named is not None and named.stamp:
        await retain(call, spot)
    if hosted is not None and (left := metadata.abandoned(spot.package, hosted.files, time.time())):
        await call.publish.expire(spot.package, left)


async def check_case(call: "Call", spot: Spot, hosted: "HostedPackage | None") -> None:
    """Raise Conflict for coordinates that differ from published ones by case alone: many a disk would mix them up.

    This spares us the bytes; of several that come at once, the commit lets one through (`refuses_twins`).
    """
    if hosted is None:
        for twin in await call.publish.twins(spot.package):
            raise Conflict(f"{twin} is published here: {spot.package} differs by case alone")
        return
    for version in {file.version for file in hosted.files}:
        if version != spot.version and version.lower() == spot.version.lower():
            raise Conflict(f"{spot.package} has a version {version}: {spot.version} differs by case alone")


def is_movable(call: "Call", spot: Spot) -> bool:
    """Whether the file may be replaced: a snapshot's without a timestamp, or any where the repository says so."""
    if call.repository.settings.get("redeploy") is True:
        return True
    named = names.parse_filename(spot)
    return spot.is_snapshot and (named is None or not named.stamp)


def immutable(spot: Spot, known: File) -> AlreadyExists:
    """The refusal of other bytes under a published name."""
    return AlreadyExists(
        f"{spot.package}:{spot.version} is immutable; publish a new version"
        f" ({spot.filename} is stored with sha256 {known.sha256})"
    )


def now() -> str:
    """The time, as the catalogue writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def retain(call: "Call", spot: Spot) -> None:
    """Remove snapshot builds beyond the newest `keep_snapshots`; what is advertised, and what still comes, stays."""
    keep = call.repository.settings.get("keep_snapshots", 0)
    if not isinstance(keep, int) or keep < 2:  # a reader may still fetch the build before the newest
        return
    hosted = await call.publish.hosted(spot.package)
    if hosted is None:
        return
    whole = metadata.builds(spot.package, spot.version, hosted.files)
    if len(whole) <= keep:
        return
    oldest = whole[-keep]
    old = [
        file.filename
        for file in hosted.files
        if file.version == spot.version
        and (named := metadata.file_name(spot.package, file)) is not None
        and named.stamp
        and (named.number, named.stamp) < (oldest.number, oldest.stamp)
    ]
    await call.publish.expire(spot.package, old)


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def _metadata(call: "Call", spot: Spot) -> "Answer":
    """A client's metadata, or a checksum of it: 201, since refusing would fail the deployment."""
    if not call.pull.may(spot.folder_group, Scope.WRITE):
        call.publish.require(Scope.WRITE, spot.package)
    if spot.checksum:
        await call.body(checksums.MAX_CHECKSUM)
        return call.text("", 201)
    body = await call.body(MAX_METADATA)
    found = await asyncio.to_thread(parse_metadata, body) if len(body) > _SMALL else parse_metadata(body)
    told = (("groupId", found.group, {spot.group}), ("artifactId", found.artifact, {spot.artifact}))
    if found.artifact is None:  # a group's
        told = (("groupId", found.group, {spot.group, spot.folder_group}),)  # type: ignore[assignment]  # one of them
    for key, value, expected in told:
        if value is not None and value not in expected:
            raise NameMismatch(f"the metadata's {key} is {value[:80]!r}, its path says {max(expected, key=len)!r}")
    if spot.kind is Kind.METADATA and found.versions and spot.group:
        await _note_named(call, spot, set(found.versions))
    return call.text("", 201)


async def _note_named(call: "Call", spot: Spot, versions: set[str]) -> None:
    """A deployer's metadata comes last: what it names is whole, though we might wait for more of it."""
    hosted = await call.publish.hosted(spot.package)
    if hosted is None:
        return
    waiting = set(metadata.waiting(spot.package, hosted.files, time.time())) & versions
    poms = {names.pom_name(spot.artifact, version) for version in waiting}
    edits = {file.filename: {**file.facts, "named": True} for file in hosted.files if file.filename in poms}
    if edits:
        await call.publish.edit(spot.package, Edit(file_facts=edits))
