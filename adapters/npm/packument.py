"""Reading packuments: an upstream's full document becomes a listing, touching as little of it as possible.

Pure. A packument of 20 MB has thousands of versions; each stays the bytes that it was (`msgspec.Raw`), and only what
must be known is decoded: where the tarball lies and which hashes were promised. What a file's facts hold:

- `manifest`: the version's manifest. Raw for an upstream's, a dict for a hosted one (then without `dist.tarball`).
- `tarball`, `attestations`: for an upstream's, the JSON string (with quotes) of `dist.tarball` and of
  `dist.attestations.url`, so that rendering can replace exactly these bytes.

What a listing's facts hold: `tags`; `top`, all other members of the document by name; `rev`; `created`, `modified`,
`unpublished` from `time`; and for a hosted package `revision`, `maintainers`, `users`, `readme` (see `publishing`).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Raw, Struct, field

from adapters.npm import names
from gateway.errors import UpstreamCorrupt
from gateway.format import Document
from gateway.model import File, Listing, is_hash

_SRI_ALGORITHMS = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20}
_AUTHORITY = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9a-fA-F:.]+\](?::\d{1,5})?")
# Members that we write ourselves, and CouchDB's own.
_OURS = frozenset({"_id", "_rev", "name", "dist-tags", "versions", "time", "_attachments", "_revisions", "_etag"})


class _Attestations(Struct):
    url: Raw = field(default_factory=Raw)


class _Dist(Struct):
    tarball: Raw = field(default_factory=Raw)
    shasum: Any = None
    integrity: Any = None
    attestations: _Attestations | None = None


class _Head(Struct):
    version: str
    dist: _Dist
    name: str | None = None


_TOP = msgspec.json.Decoder(dict[str, Raw])
_HEAD = msgspec.json.Decoder(_Head)
_TEXT = msgspec.json.Decoder(str)
_ANY = msgspec.json.Decoder()


def parse(package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
    """An upstream's full packument as a listing; versions that cannot be true or cannot be verified are dropped.

    Raises UpstreamCorrupt when it is no packument, or one of another package.
    """
    try:
        top = _TOP.decode(document.body)
        if "name" in top and _TEXT.decode(top["name"]) != package:
            raise UpstreamCorrupt(f"asked for {package}, got another package", url=document.url)
        versions = _TOP.decode(top["versions"]) if "versions" in top else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt(f"not a packument: {error}", url=document.url) from error
    times = _strings(top.get("time"))
    sources = _Sources(document.url, hosts)
    found = (_file(package, version, raw, times.get(version), origin, sources) for version, raw in versions.items())
    files = tuple(file for file in found if file is not None)
    if not files and (elsewhere := sources.refused()):
        raise UpstreamCorrupt(f"all tarballs are on {elsewhere}, which this upstream's `hosts` does not list")
    facts: dict[str, Any] = {
        "tags": _strings(top.get("dist-tags")),
        "top": {key: value for key, value in top.items() if key not in _OURS},
        "rev": top.get("_rev"),
        "created": times.get("created"),
        "modified": times.get("modified"),
    }
    if not versions and (unpublished := _unpublished(top.get("time"))) is not None:
        facts["unpublished"] = unpublished
    return Listing(package, files, facts)


def merge(hosted: Listing, upstream: Listing) -> Listing:
    """Hosted versions win; tags come from upstream only while nothing is hosted (npm.md §16)."""
    if not hosted.files:
        facts = {**upstream.facts, **hosted.facts, "tags": upstream.facts.get("tags", {})}
        return Listing(hosted.package, upstream.files, facts)
    taken = {file.version for file in hosted.files}
    files = hosted.files + tuple(file for file in upstream.files if file.version not in taken)
    return Listing(hosted.package, files, hosted.facts)


def hashes_of(shasum: Any, integrity: Any) -> dict[str, str]:
    """Algorithm → hex of `dist.shasum` and `dist.integrity` (Subresource Integrity §3.1), the well-formed ones.

    Of several hashes by one algorithm any may hold, so none of them is promised.
    """
    found: dict[str, set[str]] = {}
    for word in integrity.split() if isinstance(integrity, str) else ():
        algorithm, _, encoded = word.partition("-")
        digest = _base64(encoded.partition("?")[0])
        if digest is not None and len(digest) == _SRI_ALGORITHMS.get(algorithm):
            found.setdefault(algorithm, set()).add(digest.hex())
    hashes = {algorithm: hexes.pop() for algorithm, hexes in found.items() if len(hexes) == 1}
    if isinstance(shasum, str) and is_hash("sha1", shasum.lower()):
        hashes.setdefault("sha1", shasum.lower())
    return hashes


def integrity_of(sha512: str) -> str:
    """`sha512-…` of a hex digest."""
    return f"sha512-{base64.b64encode(bytes.fromhex(sha512)).decode()}"


class _Sources:
    """Which URLs of one document may be fetched; each origin is judged once."""

    def __init__(self, url: str, hosts: frozenset[str]) -> None:
        self._url = url
        self._hosts = hosts | {urlsplit(url).netloc.lower()}
        self._is_secure = url.startswith("https:")
        self._verdicts: dict[str, bool] = {}

    def resolve(self, url: str) -> str | None:
        """The absolute URL, never less secure than the document's; None if it may not be fetched."""
        if not url.startswith(("https://", "http://")):
            url = urljoin(self._url, url)
        end = url.find("/", 8)
        if end < 0 or not url.isprintable() or " " in url:
            return None
        origin = url[:end]
        verdict = self._verdicts.get(origin)
        if verdict is None:
            verdict = self._verdicts[origin] = self._allows(origin)
        if not verdict:
            return None
        return f"https://{url[7:]}" if self._is_secure and url.startswith("http://") else url

    def refused(self) -> str:
        """An origin that tarballs may not come from, or nothing."""
        return next((origin for origin, is_allowed in self._verdicts.items() if not is_allowed), "")

    def _allows(self, origin: str) -> bool:
        scheme, _, authority = origin.partition("://")
        if scheme not in {"https", "http"} or _AUTHORITY.fullmatch(authority) is None:
            return False
        host = urlsplit(origin).hostname or ""
        default = ":443" if scheme == "https" else ":80"
        return authority.lower() in self._hosts or (authority.removesuffix(default).lower() == host in self._hosts)


def _file(package: str, version: str, raw: Raw, uploaded_at: str | None, origin: str, sources: _Sources) -> File | None:
    """One version as a file, or None if it cannot be true: another name, no usable hash, a tarball from elsewhere."""
    try:
        head = _HEAD.decode(raw)
        if head.version != version or head.name not in {None, package} or not names.is_version(version):
            return None
        url = sources.resolve(_TEXT.decode(head.dist.tarball))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    hashes = hashes_of(head.dist.shasum, head.dist.integrity)
    if url is None or not hashes:
        return None
    facts: dict[str, Any] = {"manifest": raw, "tarball": bytes(head.dist.tarball)}
    attestations = bytes(head.dist.attestations.url) if head.dist.attestations is not None else b""
    if attestations.startswith(b'"'):
        facts["attestations"] = attestations
    return File(names.tarball(package, version), version, hashes, None, uploaded_at, url, origin, facts)


def manifest_of(file: File) -> dict[str, Any]:
    """The manifest as a dict, whatever it is kept as; empty if it is none."""
    manifest = file.facts.get("manifest")
    if isinstance(manifest, Raw):
        manifest = _ANY.decode(manifest)
    return dict(manifest) if isinstance(manifest, Mapping) else {}


def decoded(value: Any) -> Any:
    """A member of `top` as a value."""
    return _ANY.decode(value) if isinstance(value, Raw) else value


def _strings(raw: Raw | None) -> dict[str, str]:
    """The string members of an object; anything else is left out."""
    if raw is None:
        return {}
    try:
        value = _ANY.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in value.items() if isinstance(item, str)}


def _unpublished(raw: Raw | None) -> Any:
    """`time.unpublished` of a package that was withdrawn whole, or None."""
    value = _ANY.decode(raw) if raw is not None else None
    return value.get("unpublished") if isinstance(value, dict) else None


def _base64(text: str) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
