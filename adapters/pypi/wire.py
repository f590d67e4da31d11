"""Renders simple pages and implements the format of Python packages. Pure: listings in, bytes out.

One model feeds JSON and HTML alike, so that they cannot differ; nothing of an upstream's markup is passed on. URLs are
relative to the page, unless our address is known for sure (decision 0020). Simple repository API 1.4.
"""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from adapters.pypi import names
from adapters.pypi.archive import read_archive
from adapters.pypi.metadata import check_metadata, parse_metadata
from adapters.pypi.negotiate import JSON
from adapters.pypi.wire_errors import render_error
from adapters.pypi.wire_read import read_page
from gateway.errors import GatewayError, Invalid
from gateway.format import Ask, Document, ErrorBody, Setting
from gateway.model import Digest, File, Listing

ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"  # as pip asks
)
API_VERSION = "1.4"
QUARANTINED = "quarantined"

_LARGE_WHEEL = 1024 * 1024  # bytes: to read a smaller one costs a client less than to ask for its metadata first
_FRAGMENTS = ("sha256", "sha512", "sha384", "sha1", "md5")


class PyPIFormat:
    """Names and documents of Python packages."""

    settings: ClassVar[Mapping[str, Setting]] = {
        "strict": Setting(bool),
        "attestations": Setting(str, ("store", "refuse", "ignore")),
    }

    def normalize(self, package: str) -> str:
        return names.normalize(package)

    def ask_listing(self, package: str) -> Ask:
        return Ask(f"{package}/", ACCEPT)

    def parse_listing(self, package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
        return read_page(package, document, origin, hosts)

    def merge(self, hosted: Listing, upstream: Listing) -> Listing:
        """Both together: a version that is hosted hides the upstream's files of that version, and of those names."""
        versions = {names.parse_version(file.version) or file.version for file in hosted.files}
        taken = {file.filename for file in hosted.files}
        rest = tuple(
            file
            for file in upstream.files
            if file.filename not in taken and (names.parse_version(file.version) or file.version) not in versions
        )
        facts = dict(hosted.facts)
        if "status" not in facts:
            facts |= {key: upstream.facts[key] for key in ("status", "reason") if key in upstream.facts}
        facts["serial"] = None  # two registries' serials cannot be compared
        return Listing(hosted.package, hosted.files + rest, facts)

    def render_error(self, error: GatewayError, accept: str) -> ErrorBody:
        return render_error(error, accept)

    def sidecar_url(self, file: File, kind: str) -> str | None:
        """Where an upstream keeps `metadata` (PEP 658), `asc` or `provenance` (PEP 740), if it says that it does."""
        if file.url is None:
            return None
        if kind == "metadata" and _offers_metadata(file):
            return _with_suffix(file.url, ".metadata")
        if kind == "asc" and file.facts.get("gpg_sig"):
            return _with_suffix(file.url, ".asc")
        provenance = file.facts.get("provenance")
        return provenance if kind == "provenance" and isinstance(provenance, str) else None

    def derives(self, file: File) -> str:
        """A large wheel's METADATA (PEP 658), where the upstream does not serve it by itself (decision 0018)."""
        is_large = file.size is None or file.size >= _LARGE_WHEEL
        return "metadata" if is_large and file.filename.endswith(".whl") and not _offers_metadata(file) else ""

    def derive(self, package: str, filename: str, path: Path) -> bytes:
        """METADATA as it is in the wheel, which is read as carefully as an upload."""
        named = names.parse_filename(filename, package)
        if named is None:
            raise Invalid(f"{filename[:80]} is no file of {package}")
        body = read_archive(path, named, filename).metadata
        check_metadata(parse_metadata(body), package, named.version)
        return body

    def with_derived(self, file: File, digest: Digest) -> File:
        """The file with its promise of metadata, marked as ours."""
        return replace(file, facts={**file.facts, "metadata_sha256": digest.hex, "is_derived": True})


class _File(msgspec.Struct, omit_defaults=True, rename="kebab"):
    """One element of `files`. What is unknown is absent: uv refuses a page for a null size, time or yank."""

    filename: str
    hashes: dict[str, str]
    url: str
    yanked: bool | str
    requires_python: str | None = None
    size: int | msgspec.UnsetType = msgspec.UNSET
    upload_time: str | msgspec.UnsetType = msgspec.UNSET
    core_metadata: dict[str, str] | bool | msgspec.UnsetType = msgspec.UNSET
    data_dist_info_metadata: dict[str, str] | bool | msgspec.UnsetType = msgspec.UNSET
    provenance: str | msgspec.UnsetType = msgspec.UNSET
    gpg_sig: bool | msgspec.UnsetType = msgspec.UNSET


_ENCODER = msgspec.json.Encoder()
_UNSET = msgspec.UNSET


def render_listing(listing: Listing, media_type: str, base: str, links: str = "../../") -> bytes:
    """A simple page. `base`: the repository's external address. links: the same, or the way there from the page."""
    if media_type == JSON:
        return _render_json(listing, links, base)
    return _render_html(listing, links, base)


def render_names(packages: Iterable[str], media_type: str) -> bytes:
    """The root list. `packages` are canonical names."""
    if media_type == JSON:
        projects = [{"name": name} for name in packages]
        return _ENCODER.encode({"meta": {"api-version": API_VERSION}, "projects": projects})
    lines = [_html_head("Simple index")]
    lines += [f'<a href="{escape(name)}/">{escape(name)}</a><br>' for name in packages]
    return "\n".join([*lines, "</body>", "</html>", ""]).encode()


def file_path(package: str, file: File) -> str:
    """Where we serve a file, below the repository: name, sha256 and file name alone must locate it for good."""
    return f"files/{package}/{file.sha256 or '-'}/{quote(file.filename)}"


def provenance_url(package: str, file: File, base: str) -> str:
    """The absolute address of a file's provenance object (PEP 740)."""
    return f"{base}integrity/{package}/{quote(file.version)}/{quote(file.filename)}/provenance"


def yanked(file: File) -> bool | str:
    """False, True or the reason, which is never empty."""
    value = file.facts.get("yanked") or False
    return value if isinstance(value, bool | str) else True


def serial(listing: Listing) -> int | None:
    """The serial of a page, for mirrors: an upstream's own, or when a hosted package changed last; None if merged."""
    if "serial" in listing.facts and listing.facts["serial"] is None:
        return None
    found = [listing.facts.get("serial"), *(file.facts.get("serial") for file in listing.files)]
    return max((value for value in found if isinstance(value, int)), default=None)


def shown_files(listing: Listing) -> tuple[File, ...]:
    """The files that a client may see: none while the package is quarantined (PEP 792)."""
    return () if listing.facts.get("status") == QUARANTINED else listing.files


def _render_json(listing: Listing, links: str, base: str) -> bytes:
    package = listing.package
    start = f"{links}files/{package}/"
    files = [_json_file(file, start, package, base) for file in shown_files(listing)]
    status: dict[str, Any] = {"status": listing.facts.get("status", "active")}
    if listing.facts.get("reason"):
        status["reason"] = listing.facts["reason"]
    meta: dict[str, Any] = {"api-version": API_VERSION}
    if (last := serial(listing)) is not None:
        meta["_last-serial"] = last
    page = {
        "meta": meta,
        "name": package,
        "project-status": status,
        "versions": list(dict.fromkeys(file.version for file in shown_files(listing))),
        "files": files,
    }
    return _ENCODER.encode(page)


def _json_file(file: File, start: str, package: str, base: str) -> _File:
    facts, sha256 = file.facts, file.hashes.get("sha256")
    metadata = _metadata_promise(file)
    name = file.filename
    return _File(
        name,
        {"sha256": sha256} if sha256 else dict(file.hashes),
        f"{start}{sha256 or '-'}/{quote(name) if '+' in name or '!' in name else name}",
        facts.get("yanked") or False,
        facts.get("requires_python"),
        _UNSET if file.size is None else file.size,
        file.uploaded_at or _UNSET,
        metadata,
        metadata,
        provenance_url(package, file, base) if facts.get("provenance") else _UNSET,
        True if facts.get("gpg_sig") else _UNSET,
    )


def _metadata_promise(file: File) -> dict[str, str] | bool | msgspec.UnsetType:
    digest = file.facts.get("metadata_sha256")
    if digest:
        return {"sha256": digest}
    return True if file.facts.get("has_metadata") else _UNSET


def _render_html(listing: Listing, links: str, base: str) -> bytes:
    metas = []
    if "status" in listing.facts:
        metas.append(f'<meta name="pypi:project-status" content="{escape(str(listing.facts["status"]))}">')
    if listing.facts.get("reason"):
        metas.append(f'<meta name="pypi:project-status-reason" content="{escape(str(listing.facts["reason"]))}">')
    lines = [_html_head(f"Links for {listing.package}", metas), f"<h1>Links for {escape(listing.package)}</h1>"]
    lines += [_anchor(file, listing.package, links, base) for file in shown_files(listing)]
    if (last := serial(listing)) is not None:
        lines.append(f"<!--SERIAL {last}-->")
    return "\n".join([*lines, "</body>", "</html>", ""]).encode()


def _html_head(title: str, metas: Iterable[str] = ()) -> str:
    version = f'<meta name="pypi:repository-version" content="{API_VERSION}">'
    head = ['<meta charset="utf-8">', version, *metas, f"<title>{escape(title)}</title>"]
    return "\n".join(["<!DOCTYPE html>", "<html>", "<head>", *head, "</head>", "<body>"])


def _anchor(file: File, package: str, links: str, base: str) -> str:
    """One line per file: hatch and others read pages with a regular expression."""
    algorithm = next((name for name in _FRAGMENTS if name in file.hashes), None)
    fragment = "" if algorithm is None else f"#{algorithm}={file.hashes[algorithm]}"
    attributes = [f'href="{links}{file_path(package, file)}{fragment}"']
    facts = file.facts
    if facts.get("requires_python"):
        attributes.append(f'data-requires-python="{escape(facts["requires_python"])}"')
    reason = yanked(file)
    if reason is not False:
        attributes.append(f'data-yanked="{"" if reason is True else escape(reason)}"')
    promise = _metadata_promise(file)
    if promise is not _UNSET:
        value = f"sha256={promise['sha256']}" if isinstance(promise, dict) else "true"
        attributes += [f'data-core-metadata="{value}"', f'data-dist-info-metadata="{value}"']
    if facts.get("provenance"):
        attributes.append(f'data-provenance="{escape(provenance_url(package, file, base))}"')
    if facts.get("gpg_sig"):
        attributes.append('data-gpg-sig="true"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br>"


def _offers_metadata(file: File) -> bool:
    """Whether the upstream itself serves a file's metadata."""
    facts = file.facts
    return not facts.get("is_derived") and ("metadata_sha256" in facts or bool(facts.get("has_metadata")))


def _with_suffix(url: str, suffix: str) -> str:
    """The sidecar's address: the suffix belongs to the path, before any query."""
    path, mark, query = url.partition("?")
    return f"{path}{suffix}{mark}{query}"
