"""Manifests: the bytes as they were pushed, by tag or digest; never converted, whatever Accept says."""

import hashlib
from typing import TYPE_CHECKING

from adapters.container.common import address, headers, image
from adapters.container.immutable import judge_for
from adapters.container.manifests import MAX_CONFIG, MAX_SIZE, Manifest, parse_manifest, read_platform
from adapters.container.names import check_tag, is_digest, parse_digest
from gateway.errors import FileUnknown, Invalid
from gateway.model import Digest, Page, Scope
from gateway.store.graph_rows import NewNode, NodeRow

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_MOST_TAGS = 100


async def manifest(call: "Call") -> "Answer":
    """GET a manifest by tag or digest."""
    name, reference = image(call), _reference(call)
    node = await call.graph.node(name, reference)
    more = [("Docker-Content-Digest", node.digest)]
    if node.warning:
        more.append(("Warning", f'299 - "{node.warning}"'))
    page = Page(
        node.body,
        node.media_type,
        f'"{node.digest}"',
        headers=headers(call, *more),
        layer=node.layer,
        freshness=node.freshness,
        remaining=node.remaining,
    )
    return call.page(page)


async def put_manifest(call: "Call") -> "Answer":
    """PUT a manifest by tag, or by digest with any number of `tag` parameters."""
    name, reference = image(call, writes=True), _reference(call)
    call.publish.require(Scope.WRITE, name)
    body = await call.body(MAX_SIZE)
    extra = tuple(check_tag(tag) for tag in call.queried("tag"))
    if len(extra) > _MOST_TAGS:
        raise Invalid(f"{len(extra)} tags at once, more than {_MOST_TAGS}", oci="TAG_INVALID")
    digest, tags = _named(reference, body, extra)
    parsed = parse_manifest(body, call.headers.get("Content-Type", ""))
    await _put(call, name, parsed, str(digest), tags, body)
    told = [("Location", address(call, f"manifests/{reference}")), ("Docker-Content-Digest", str(digest))]
    if parsed.subject:
        told.append(("OCI-Subject", parsed.subject))
    told += [("OCI-Tag", tag) for tag in extra]
    return call.answer(201, headers(call, *told))


async def delete_manifest(call: "Call") -> "Answer":
    """DELETE a tag, or by digest a manifest with all tags that point to it."""
    name, reference = image(call, writes=True), _reference(call)
    judge = judge_for(call.repository, call.graph_publish.pusher)
    if is_digest(reference):
        await call.graph_publish.delete_node(name, reference, judge)
    else:
        await call.graph_publish.untag(name, reference, judge)
    return call.answer(202, headers(call))


async def _put(call: "Call", name: str, parsed: Manifest, digest: str, tags: tuple[str, ...], body: bytes) -> None:
    facts = {**parsed.facts, **await _platform(call, name, parsed)}
    row = NodeRow(digest, Digest.of(body), len(body), parsed.media_type, parsed.subject, facts)
    new = NewNode(row, parsed.blobs, parsed.nodes, parsed.loose, tags)
    judge = judge_for(call.repository, call.graph_publish.pusher)
    is_complete = call.repository.settings.get("sparse") is not True
    try:
        await call.graph_publish.put(name, new, body, judge, is_complete=is_complete)
    except FileUnknown as error:
        raise Invalid(error.message, oci="MANIFEST_BLOB_UNKNOWN") from error


async def _platform(call: "Call", name: str, parsed: Manifest) -> dict[str, str]:
    """Where an image runs, as one more fact of its manifest."""
    config = await call.graph_publish.peek(name, parsed.config, MAX_CONFIG) if parsed.config else None
    platform = read_platform(config) if config is not None else ""
    return {"platform": platform} if platform else {}


def _reference(call: "Call") -> str:
    reference = call.path["reference"]
    return str(parse_digest(reference)) if is_digest(reference) else check_tag(reference)


def _named(reference: str, body: bytes, extra: tuple[str, ...]) -> tuple[Digest, tuple[str, ...]]:
    """The digest and the tags that a manifest is pushed by; raises Invalid when the bytes have another digest."""
    if not is_digest(reference):
        if extra:
            raise Invalid("tags as parameters go with a digest", oci="UNSUPPORTED")
        return Digest.of(body), (reference,)
    digest = parse_digest(reference)
    actual = hashlib.new(digest.algorithm, body).hexdigest()
    if actual != digest.hex:
        raise Invalid(f"expected {digest}, the manifest has {digest.algorithm}:{actual}", oci="DIGEST_INVALID")
    return digest, tuple(dict.fromkeys(extra))
