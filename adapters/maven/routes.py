"""The addresses of a Maven repository: one path grammar for every verb. Translate, delegate, render.

Whatever is sent carries its hashes as headers, which saves clients the request for a sidecar; a sidecar that is asked
for all the same is made of the same hashes, so the two cannot differ.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from adapters.maven import browse, bundle, deploy, metadata, names, prefixes, wire
from adapters.maven.markup import MAX_METADATA, parse_metadata
from adapters.maven.metadata import Plugin
from adapters.maven.names import Kind, Spot
from adapters.maven.prefetch import shelf_of
from gateway.adapter import Route
from gateway.errors import FileUnknown, Invalid, PackageUnknown, UpstreamCorrupt
from gateway.model import HOSTED_LAYER, Listing, OwnerMode, Page, Scope
from gateway.opened import OpenFile, etag_of
from gateway.rendered import Rendered

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_TYPES = {
    "pom": "application/xml",
    "xml": "application/xml",
    "jar": "application/java-archive",
    "war": "application/java-archive",
    "aar": "application/java-archive",
    "module": "application/json",
    "json": "application/json",
    "asc": "text/plain",
}
_PREFIXES = frozenset({prefixes.PATH, *(f"{prefixes.PATH}.{kind}" for kind in names.CHECKSUMS)})
_FOREVER = 1e9
_SOON = 15.0


async def read(call: "Call") -> "Answer":
    """GET or HEAD of anything."""
    path = call.path["path"]
    if not path or path.endswith("/"):
        return await browse.folder(call, path)
    spot = names.parse_path(path)
    if spot is not None and spot.kind is Kind.ROOT and path in _PREFIXES:
        return await prefixes.file(call, path)
    if spot is None or spot.kind is Kind.ROOT:
        raise FileUnknown(f"there is no {path[:200]} here")
    call.package = spot.package
    try:
        deploy.check_policy(call, spot) if spot.version else None
    except Invalid as error:
        raise FileUnknown(error.message) from error
    if spot.kind is Kind.FILE:
        return await _file(call, spot)
    page = await (_snapshots(call, spot) if spot.kind is Kind.SNAPSHOTS else _metadata(call, spot))
    if spot.checksum:
        return _checksum(call, metadata.checksums(page.body)[spot.checksum], page)
    return call.page(page)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _file(call: "Call", spot: Spot) -> "Answer":
    opened = await _opened(call, spot)
    decision = ("X-Gateway-Decision", _decision(opened.layer))
    if spot.checksum:
        known = opened.hashes[spot.checksum]
        headers = (decision, *metadata.checksum_headers(()))
        page = Page(b"", "", "", headers=headers, layer=opened.layer, freshness=opened.freshness, remaining=_FOREVER)
        return _checksum(call, known, page)
    kind = _TYPES.get(spot.filename.rpartition(".")[2], "application/octet-stream")
    headers = (*metadata.checksum_headers(opened.hashes.items()), decision)
    movable = opened.is_hosted and deploy.is_movable(call, spot)
    return call.file(opened, content_type=kind, headers=headers, is_immutable=not movable)


async def _opened(call: "Call", spot: Spot) -> OpenFile:
    """The file; for a checksum with all of its hashes, so once it has come as a whole."""
    shelf = shelf_of(spot)
    opened = await call.addressed.shelved(spot.package, spot.version, spot.key, shelf)
    if not spot.checksum or spot.checksum in opened.hashes:
        return opened
    return await call.addressed.whole(spot.package, spot.version, spot.key, shelf)


def _checksum(call: "Call", value: str, page: Page) -> "Answer":
    """The bare hex, as a document that may be sent again for as long as what it is made of."""
    kept = tuple(pair for pair in page.headers if not pair[0].startswith("X-Checksum-"))
    etag = etag_of({"sha256": metadata.checksums(value.encode())["sha256"]})
    return call.page(replace(page, body=value.encode(), gzip=None, content_type="text/plain", etag=etag, headers=kept))


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def _metadata(call: "Call", spot: Spot) -> Page:
    """The document of a folder that may be an artifact's, a group's, or both at once."""
    plugins = _plugins(call, spot.folder_group)
    if not spot.group or _is_closed(call, spot):
        return _group_page(spot, plugins)
    try:
        page = await _artifact_page(call, spot, plugins)
    except PackageUnknown:
        return _group_page(spot, plugins)
    return _told(page)


async def _artifact_page(call: "Call", spot: Spot, plugins: Sequence[Plugin]) -> Page:
    listing = await call.addressed.listing(spot.package)
    now = time.time()
    if not metadata.says_anything(listing, now, plugins):
        raise PackageUnknown(f"no version of {spot.package} is published yet")
    waiting = metadata.waiting(spot.package, listing.files, now)

    def render(listing: Listing) -> Rendered:
        return metadata.render_artifact(listing, now, plugins)

    page = await call.addressed.page(spot.package, f"artifact {plugins} {waiting}", render)
    return replace(page, remaining=min(page.remaining, _SOON)) if waiting else page


def _group_page(spot: Spot, plugins: Sequence[Plugin]) -> Page:
    if not plugins:
        raise PackageUnknown(f"neither {spot.package} nor plugins of {spot.folder_group} are here")
    rendered = metadata.render_group(plugins)
    etag = f'"{metadata.checksums(rendered.body)["sha256"]}"'
    headers = (*rendered.headers, ("Cache-Control", "private, no-cache"))
    return _told(Page(rendered.body, rendered.content_type, etag, headers=headers, remaining=_FOREVER))


def _plugins(call: "Call", group: str) -> list[Plugin]:
    """The plugins of a group that are hosted here."""
    found = []
    for name, facts in call.addressed.facts_below(f"{group}:").items():
        plugin = facts.get("plugin")
        if isinstance(plugin, dict):
            found.append(Plugin(names.split(name)[1], str(plugin["prefix"]), str(plugin["name"])))
    return found


def _is_closed(call: "Call", spot: Spot) -> bool:
    """Whether the folder is a group of ours, and the artifact that it could be besides is not: no upstream is asked."""
    group = spot.folder_group
    is_ours = call.pull.owner_mode(group) is OwnerMode.HOSTED or call.pull.owner_mode(f"{group}:*") is OwnerMode.HOSTED
    return is_ours and call.pull.owner_mode(spot.package) is not OwnerMode.HOSTED


async def _snapshots(call: "Call", spot: Spot) -> Page:
    """The document of a snapshot version: ours where builds of it are hosted, else the upstream's, read once."""

    def render(listing: Listing) -> Rendered:
        return metadata.render_snapshots(listing, spot.version)

    listing = None
    try:
        listing = await call.addressed.listing(spot.package)
        if metadata.builds(spot.package, spot.version, listing.files):
            return _told(await call.addressed.page(spot.package, f"snapshots {spot.version}", render))
    except PackageUnknown:
        pass  # an upstream of snapshots alone may have no list of versions
    if listing is not None and any(f.version == spot.version and f.origin == HOSTED_LAYER for f in listing.files):
        raise FileUnknown(f"{spot.package} {spot.version} has no build with a timestamp")
    return await _upstream_snapshots(call, spot)


async def _upstream_snapshots(call: "Call", spot: Spot) -> Page:
    ask = wire.ask_metadata(f"{names.folder_of(spot.package)}/{spot.version}")
    found = await call.addressed.document(spot.package, ask)
    if found is None:
        raise FileUnknown(f"{spot.package} has no builds of {spot.version}")
    document, layer = found
    try:
        told = parse_metadata(document.body[: MAX_METADATA + 1])
    except Invalid as error:
        raise UpstreamCorrupt(f"{layer} has metadata of {spot.package} that cannot be read") from error
    if (told.group or spot.group, told.artifact or spot.artifact) != (spot.group, spot.artifact):
        raise UpstreamCorrupt(f"{layer} has metadata of {told.group}:{told.artifact} in place of {spot.package}")
    hashes = metadata.checksums(document.body)
    headers = (*metadata.checksum_headers(hashes.items()), ("Cache-Control", "private, no-cache"))
    etag = etag_of({"sha256": hashes["sha256"]})
    return _told(Page(document.body, metadata.CONTENT_TYPE, etag, headers=headers, layer=layer))


def _told(page: Page) -> Page:
    """The page with who answered, and never compressed: its hashes are those of the bytes on the wire."""
    return replace(page, gzip=None, headers=(*page.headers, ("X-Gateway-Decision", _decision(page.layer))))


def _decision(layer: str) -> str:
    return "+".join(one if one == HOSTED_LAYER else f"upstream:{one}" for one in dict.fromkeys(layer.split("+")))


ROUTES = (
    Route("POST", "-/api/v1/publisher/upload", bundle.upload, Scope.WRITE),
    Route("POST", "-/api/v1/publisher/status", bundle.status, Scope.WRITE),
    Route("POST", "-/api/v1/publisher/deployment/{id}", bundle.publish, Scope.WRITE),
    Route("DELETE", "-/api/v1/publisher/deployment/{id}", bundle.drop, Scope.WRITE),
    Route("GET", "{path*}", read),
    Route("PUT", "{path*}", deploy.put, Scope.WRITE),
    Route("POST", "{path*}", deploy.put, Scope.WRITE),
    Route("DELETE", "{path*}", deploy.delete, Scope.DELETE),
)
