"""The addresses of a repository of Python packages: translate, delegate, render. No policy and no parsing here.

Files lie below the repository, and their URLs without a query: pip and uv choose credentials by path, and lock files
keep the URLs for good (name, sha256 and file name alone locate a file).
"""

import hashlib
import os
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from adapters.pypi import manage, names, wire, wire_api
from adapters.pypi.metadata import MAX_SIZE, Metadata, parse_metadata
from adapters.pypi.negotiate import TEXT_HTML, choose, integrity_type
from adapters.pypi.upload import upload
from gateway.adapter import Route
from gateway.errors import (
    Blocked,
    FileUnknown,
    GatewayError,
    NotAcceptable,
    PackageUnknown,
    Unauthenticated,
    Unknown,
)
from gateway.model import File, Listing, Page, Scope, Visibility, is_hash
from gateway.opened import OpenFile
from gateway.rendered import Rendered

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_SEARCH_HITS = 20
_NO_STORE = (("Cache-Control", "no-store"),)


# ── simple pages ─────────────────────────────────────────────────────────────────────────────────────────────────
async def root(call: "Call") -> "Answer":
    """GET simple/: the names that are published or cached here; an upstream's full list is not shown."""
    media_type = choose(call.accept, call.query.get("format", ""))
    body = wire.render_names(await call.pull.names(), media_type)
    share = "" if call.repository.visibility is Visibility.PUBLIC else "private, "
    etag = f'"{hashlib.sha256(media_type.encode() + body).hexdigest()[:40]}"'
    return call.page(Page(body, media_type, etag, headers=(("Cache-Control", f"{share}no-cache"),)))


async def project(call: "Call") -> "Answer":
    """GET simple/{name}/ (Simple repository API, "Project detail")."""
    return await _simple_page(call, "simple", choose(call.accept, call.query.get("format", "")), depth=2)


async def project_for_hatch(call: "Call") -> "Answer":
    """GET +simple/{name}/: hatch derives it from the upload URL, and reads HTML with a regular expression."""
    return await _simple_page(call, "+simple", TEXT_HTML, depth=2)


async def project_below_legacy(call: "Call") -> "Answer":
    """GET legacy/+simple/{name}/: the same one folder deeper."""
    return await _simple_page(call, "legacy/+simple", TEXT_HTML, depth=3)


def to_page(folder: str) -> "Callable[[Call], Awaitable[Answer]]":
    """GET without the slash: relative links would lead elsewhere, so the page is never sent from here."""

    async def redirect(call: "Call") -> "Answer":
        """To the same address with its slash, and the name in its one spelling."""
        return _to_page(call, folder, _package(call))

    return redirect


async def root_with_slash(call: "Call") -> "Answer":
    """GET simple."""
    return call.redirect(f"{call.base}simple/{_query(call)}")


async def _simple_page(call: "Call", folder: str, media_type: str, depth: int) -> "Answer":
    package = _package(call)
    if package != call.path["name"]:
        return _to_page(call, folder, package)
    base = call.base
    links = base if call.is_at_public_url else "../" * depth

    def render(listing: Listing) -> Rendered:
        last = wire.serial(listing)
        headers = () if last is None else (("X-PyPI-Last-Serial", str(last)),)
        return Rendered(wire.render_listing(listing, media_type, base, links), media_type, headers=headers)

    return call.page(await call.pull.page(package, f"simple {media_type} {links} {base}", render))


def _to_page(call: "Call", folder: str, package: str) -> "Answer":
    return call.redirect(f"{call.base}{folder}/{package}/{_query(call)}")


def _query(call: "Call") -> str:
    return f"?{urlencode(call.query)}" if call.query else ""


def _package(call: "Call") -> str:
    """The canonical name in the path; what is no name is unknown before anything is looked up or asked."""
    name = call.path["name"]
    if not names.is_name(name):
        raise PackageUnknown(f"not a valid name for a package: {name[:80]!r}")
    call.package = names.normalize(name)
    return call.package


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def download(call: "Call") -> "Answer":
    """GET files/{name}/{sha256}/{filename}, with `.metadata` (PEP 658) or `.asc` behind it for what belongs to it."""
    package, filename = _package(call), call.path["filename"]
    sha256 = None if call.path["sha256"] == "-" else call.path["sha256"]
    if sha256 is not None and not is_hash("sha256", sha256):
        raise FileUnknown(f"not a sha256: {sha256[:80]!r}")
    stem, _, kind = filename.rpartition(".")
    if kind not in {"metadata", "asc"}:
        stem, kind = filename, ""
    if names.version_of(stem, package) is None:
        raise FileUnknown(f"{package} has no file {filename[:80]}")
    if kind:
        opened = await call.pull.sidecar(package, stem, kind, sha256)
    else:
        opened = await call.pull.file(package, stem, sha256)
    _check_released(opened)
    return call.file(opened)


def _check_released(opened: OpenFile) -> None:
    """Raise Blocked for a hosted package in quarantine: its files are not on the page, and not to be had either."""
    row = opened.package
    if row is not None and row.facts.get("status") == wire.QUARANTINED:
        raise Blocked(f"{row.name} is quarantined: {row.facts.get('reason', 'no reason was given')}")


async def provenance(call: "Call") -> "Answer":
    """GET integrity/{name}/{version}/{filename}/provenance (PEP 740, "Integrity API")."""
    package, filename = _package(call), call.path["filename"]
    media_type = integrity_type(call.accept)
    if media_type is None:
        raise NotAcceptable("provenance comes as application/vnd.pypi.integrity.v1+json")
    try:
        if not names.same_version(names.version_of(filename, package) or "", call.path["version"]):
            raise FileUnknown(f"{package} has no file {filename[:80]} of that version")
        opened = await call.pull.sidecar(package, filename, "provenance")
        _check_released(opened)
    except Unknown as error:
        return call.json({"message": error.message}, 404, _NO_STORE)
    return call.file(opened, content_type=media_type, headers=(("Vary", "Accept"),))


# ── the JSON API ─────────────────────────────────────────────────────────────────────────────────────────────────
async def api_project(call: "Call") -> "Answer":
    """GET pypi/{name}/json, in any spelling of the name."""
    return await _api(call, None)


async def api_release(call: "Call") -> "Answer":
    """GET pypi/{name}/{version}/json."""
    return await _api(call, call.path["version"])


async def _api(call: "Call", wanted: str | None) -> "Answer":
    try:
        package = _package(call)
        listing = await call.pull.listing(package)
        version = wire_api.shown_version(listing, wanted)
    except Unknown as error:
        return call.json({"message": error.message}, 404, _NO_STORE)
    file = wire_api.metadata_file(listing, version)
    metadata = None if file is None else await _metadata(call, package, file)
    base, has_metadata = call.base, metadata is not None

    def render(listing: Listing) -> Rendered:
        body = wire_api.render_project(listing, version, metadata, base, with_releases=wanted is None)
        return Rendered(body, "application/json")

    variant = f"api {wanted is None} {version} {has_metadata and file and file.filename} {base}"
    return call.page(await call.pull.page(package, variant, render))


async def _metadata(call: "Call", package: str, file: File) -> Metadata | None:
    """The metadata of a file; None where it cannot be had: the listing alone must do then."""
    kind = "metadata" if file.filename.endswith(".whl") else "pkg-info"
    try:
        return parse_metadata(await _read(await call.pull.sidecar(package, file.filename, kind, file.sha256)))
    except Unauthenticated:
        raise
    except GatewayError:
        return None


async def _read(opened: OpenFile) -> bytes:
    """A small file whole; more than MAX_SIZE bytes are not read."""
    source = await opened.open()
    try:
        parts: list[bytes] = []
        size = 0
        while size <= MAX_SIZE and (ready := await source.available(size)) > 0:
            parts.append(os.pread(source.fd, min(ready, MAX_SIZE), size))
            size += len(parts[-1])
        return b"".join(parts)
    finally:
        source.close()


# ── search ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def search(call: "Call") -> "Answer":
    """GET search?q=: what is published or cached here. On a 404 `pdm search` would ask PyPI, and leak the term."""
    words = call.query.get("q", "").lower().split()
    hits = [name for name in await call.pull.names() if words and all(word in name for word in words)]
    lines = []
    for name in hits[:_SEARCH_HITS]:
        try:
            version = wire_api.shown_version(await call.pull.listing(name), None)
        except GatewayError:
            continue
        lines.append(
            f'<li><a class="package-snippet" href="{escape(call.base)}simple/{escape(name)}/">'
            f'<span class="package-snippet__name">{escape(name)}</span> '
            f'<span class="package-snippet__version">{escape(version)}</span>'
            '<p class="package-snippet__description"></p></a></li>'
        )
    page = ["<!DOCTYPE html>", "<html>", "<head><title>Search</title></head>", "<body>", "<ul>", *lines, "</ul>"]
    body = "\n".join([*page, "</body>", "</html>", ""])
    return call.text(body, content_type="text/html; charset=utf-8", headers=_NO_STORE)


ROUTES = (
    Route("GET", "simple/", root),
    Route("GET", "simple", root_with_slash),
    Route("GET", "simple/{name}/", project),
    Route("GET", "simple/{name}", to_page("simple")),
    Route("GET", "legacy/+simple/{name}/", project_below_legacy),
    Route("GET", "legacy/+simple/{name}", to_page("legacy/+simple")),
    Route("GET", "+simple/{name}/", project_for_hatch),
    Route("GET", "+simple/{name}", to_page("+simple")),
    Route("GET", "files/{name}/{sha256}/{filename}", download),
    Route("GET", "integrity/{name}/{version}/{filename}/provenance", provenance),
    Route("GET", "pypi/{name}/json", api_project),
    Route("GET", "pypi/{name}/{version}/json", api_release),
    Route("GET", "search", search),
    Route("GET", "search/", search),
    Route("POST", "legacy/", upload, Scope.WRITE),
    Route("POST", "legacy", upload, Scope.WRITE),
    Route("POST", "", upload, Scope.WRITE),
    Route("POST", "manage/{name}/{version}/yank", manage.yank, Scope.DELETE),
    Route("POST", "manage/{name}/{version}/unyank", manage.unyank, Scope.DELETE),
    Route("PUT", "manage/{name}/status", manage.set_status, Scope.WRITE),
    Route("DELETE", "manage/{name}/{version}", manage.delete_version, Scope.DELETE),
    Route("DELETE", "manage/{name}/{version}/{filename}", manage.delete_file, Scope.DELETE),
)
