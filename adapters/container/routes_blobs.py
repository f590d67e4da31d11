"""Blobs: reading, deleting, and uploads in every shape that clients use (distribution-spec, "Pushing Blobs")."""

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from adapters.container.common import address, headers, image
from adapters.container.names import ALIASES, TYPE, parse_digest
from gateway.errors import GatewayError, Invalid
from gateway.model import Digest, RepositoryKey, Scope

if TYPE_CHECKING:
    from gateway.store.resumable import Resumable
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?\s*([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?\Z")


async def blob(call: "Call") -> "Answer":
    """GET the bytes of a blob that the image links."""
    name, digest = image(call), parse_digest(call.path["digest"])
    opened = await call.graph.blob(name, digest, needs_size=call.method == "HEAD")
    return call.file(opened, headers=headers(call, ("Docker-Content-Digest", str(digest))))


async def delete_blob(call: "Call") -> "Answer":
    """DELETE a blob from the image, unless a manifest of the image names it."""
    name, digest = image(call, writes=True), parse_digest(call.path["digest"])
    await call.graph_publish.unlink(name, str(digest))
    return _empty(call, 202)


# ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def begin(call: "Call") -> "Answer":
    """POST blobs/uploads/: begin an upload, send a whole blob, or mount one of another image."""
    name = image(call, writes=True)
    if "mount" in call.query and await _mounted(call, name):
        return _done(call, parse_digest(call.query["mount"]))
    digest = parse_digest(call.query["digest"]) if "digest" in call.query else None
    algorithms = [one for one in (call.query.get("digest-algorithm"),) if one == "sha512"]
    if digest is not None:
        algorithms = [digest.algorithm]
    id_ = await call.graph_publish.begin_upload(name, algorithms)
    if digest is None:
        return _progress(call, 202, id_, 0)
    async with call.graph_publish.resume(name, id_) as upload:
        try:
            await _receive(call, upload)
        except BaseException:
            await upload.drop()
            raise
        await call.graph_publish.finish(name, upload, digest)
    return _done(call, digest)


async def append(call: "Call") -> "Answer":
    """PATCH blobs/uploads/{id}: the next bytes of an upload."""
    name, id_ = image(call, writes=True), call.path["id"]
    async with call.graph_publish.resume(name, id_) as upload:
        if not _continues(call, upload):
            return _progress(call, 416, id_, upload.offset)
        await _receive(call, upload)
        await upload.settle()
        offset = upload.offset
    return _progress(call, 202, id_, offset)


async def finish(call: "Call") -> "Answer":
    """PUT blobs/uploads/{id}?digest=: the last bytes, and the end of an upload."""
    name, id_ = image(call, writes=True), call.path["id"]
    if "digest" not in call.query:
        raise Invalid("an upload ends with a digest", oci="DIGEST_INVALID")
    digest = parse_digest(call.query["digest"])
    async with call.graph_publish.resume(name, id_) as upload:
        if not _continues(call, upload):
            return _progress(call, 416, id_, upload.offset)
        await _receive(call, upload)
        await call.graph_publish.finish(name, upload, digest)
    return _done(call, digest)


async def status(call: "Call") -> "Answer":
    """GET blobs/uploads/{id}: how much of an upload has arrived."""
    name, id_ = image(call), call.path["id"]
    return _progress(call, 204, id_, call.graph_publish.offset(name, id_))


async def cancel(call: "Call") -> "Answer":
    """DELETE blobs/uploads/{id}: give an upload up; whoever may push may do that."""
    name, id_ = image(call, writes=True), call.path["id"]
    async with call.graph_publish.resume(name, id_) as upload:
        await upload.drop()
    return _empty(call, 204)


async def _mounted(call: "Call", name: str) -> bool:
    """Whether a blob could be mounted; where not, whatever the reason, the client uploads it."""
    call.publish.require(Scope.WRITE, name)
    try:
        digest = parse_digest(call.query["mount"])
        origin = call.query.get("from")
        source = _source(call, origin) if origin else None
    except GatewayError:
        return False
    if origin and source is None:
        return False
    return await call.graph_publish.mount(name, digest, source)


def _source(call: "Call", text: str) -> tuple[RepositoryKey, str] | None:
    """The image that `from` names, seen from the root by which the client came."""
    parts = text.split("/", 3)
    if len(parts) == 4 and parts[0] in {TYPE, *ALIASES}:
        return RepositoryKey.checked(TYPE, parts[1], parts[2]), parts[3]
    return None if call.place is not None else (call.repository.key, text)


async def _receive(call: "Call", upload: "Resumable") -> None:
    async for chunk in call.chunks(call.services.config.server.max_upload_size):
        await upload.write(chunk)


def _continues(call: "Call", upload: "Resumable") -> bool:
    """Whether Content-Range begins where the upload ends; True without one, where the bytes are what comes next."""
    text = call.headers.get("Content-Range")
    if text is None:
        return True
    match = _CONTENT_RANGE.match(text.strip())
    if match is None:
        raise Invalid(f"not a Content-Range: {text[:80]!r}", oci="BLOB_UPLOAD_INVALID")
    first, last = int(match[1]), int(match[2])
    if first != upload.offset:
        return False
    length = call.request.content_length
    if length is not None and length and last - first + 1 != length:
        raise Invalid(f"Content-Range has {last - first + 1} bytes, the body {length}", oci="SIZE_INVALID")
    return True


def _progress(call: "Call", code: int, id_: str, offset: int) -> "Answer":
    told = headers(
        call,
        ("Location", address(call, f"blobs/uploads/{id_}")),
        ("Range", f"0-{max(0, offset - 1)}"),
        ("Docker-Upload-UUID", id_),
    )
    return call.answer(code, told)


def _done(call: "Call", digest: Digest) -> "Answer":
    place = address(call, f"blobs/{quote(str(digest), safe=':')}")
    return call.answer(201, headers(call, ("Location", place), ("Docker-Content-Digest", str(digest))))


def _empty(call: "Call", code: int) -> "Answer":
    return call.answer(code, headers(call))
