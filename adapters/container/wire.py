"""Documents of registries: errors, tag lists, referrers, and what upstreams are asked. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from adapters.container import names
from gateway.errors import (
    AlreadyExists,
    Conflict,
    DigestMismatch,
    FileUnknown,
    Forbidden,
    GatewayError,
    Invalid,
    MethodNotAllowed,
    PackageUnknown,
    PathInvalid,
    RangeUnsatisfiable,
    RepositoryUnknown,
    RouteUnknown,
    Throttled,
    TooLarge,
    Unauthenticated,
    UploadUnknown,
    UpstreamCorrupt,
    UpstreamTrouble,
    VersionUnknown,
)
from gateway.format import Ask, Document, ErrorBody, Setting
from gateway.model import File, Listing

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_INDEX}, {DOCKER_MANIFEST}, application/json;q=0.5, */*;q=0.1"
_LINK = re.compile(r'\s*<([^<>\s]{1,2000})>\s*;\s*rel="?next"?')
API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")

# The first class that fits decides; the status is the error's own (distribution-spec, "Error Codes").
_WORDS: tuple[tuple[type[GatewayError], str], ...] = (
    (DigestMismatch, "DIGEST_INVALID"),
    (TooLarge, "SIZE_INVALID"),
    (PathInvalid, "NAME_INVALID"),
    (Invalid, "UNSUPPORTED"),
    (Unauthenticated, "UNAUTHORIZED"),
    (Forbidden, "DENIED"),
    (RepositoryUnknown, "NAME_UNKNOWN"),
    (PackageUnknown, "NAME_UNKNOWN"),
    (VersionUnknown, "MANIFEST_UNKNOWN"),
    (FileUnknown, "BLOB_UNKNOWN"),
    (UploadUnknown, "BLOB_UPLOAD_UNKNOWN"),
    (RouteUnknown, "NAME_UNKNOWN"),
    (MethodNotAllowed, "UNSUPPORTED"),
    (AlreadyExists, "DENIED"),
    (Conflict, "BLOB_UPLOAD_INVALID"),
    (RangeUnsatisfiable, "BLOB_UPLOAD_INVALID"),
    (Throttled, "TOOMANYREQUESTS"),
    (UpstreamTrouble, "UNAVAILABLE"),
    (UpstreamCorrupt, "UNAVAILABLE"),
)


class ContainerFormat:
    """The half of the adapter that never awaits. A listing's files are an image's tags."""

    settings: ClassVar[Mapping[str, Setting]] = {
        "sparse": Setting(bool),
        "namespaces": Setting(list),
        "immutable": Setting(list),
    }

    def normalize(self, package: str) -> str:
        """The name of an image is canonical as it is; raises Invalid."""
        return names.check_name(package)

    def ask_listing(self, package: str) -> Ask:
        """Whether an upstream knows a name is whether it has tags for it."""
        return Ask(f"v2/{package}/tags/list", "application/json", f"repository:{package}:pull")

    def parse_listing(self, package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
        """An image's tags as a listing of files without hashes."""
        del hosts
        tags = parse_tags(document.body)
        return Listing(package, tuple(File(tag, tag, {}, origin=origin) for tag in tags))

    def ask_node(self, package: str, reference: str, outlives: float) -> Ask:
        """A manifest: by digest for good; by tag with HEAD first, which registries do not count as a pull."""
        path, scope = f"v2/{package}/manifests/", f"repository:{package}:pull"
        if names.is_digest(reference):
            return Ask(f"{path}{reference}", ACCEPT, scope, digest=reference)
        return Ask(
            f"{path}{reference}",
            ACCEPT,
            scope,
            digest_header="Docker-Content-Digest",
            at_digest=f"{path}{{digest}}",
            outlives=outlives,
        )

    def ask_attached(self, package: str, digest: str) -> tuple[Ask, ...]:
        """The referrers API, or the tag that stands in for it where a registry has none."""
        scope = f"repository:{package}:pull"
        return (
            Ask(f"v2/{package}/referrers/{digest}", OCI_INDEX, scope),
            Ask(f"v2/{package}/manifests/{names.fallback_tag(digest)}", OCI_INDEX, scope),
        )

    def ask_tags(self, package: str, link: str) -> Ask | None:
        """The list of tags, a page at a time; only a page of the same list is a next one."""
        scope, path = f"repository:{package}:pull", f"v2/{package}/tags/list"
        if not link:
            return Ask(path, "application/json", scope)
        match = _LINK.match(link)
        if match is None or not match[1].partition("?")[0].endswith(path):
            return None
        return Ask(f"{path}?{match[1].partition('?')[2]}", "application/json", scope)

    def parse_tags(self, document: Document) -> tuple[str, ...]:
        """The tags on one page."""
        return parse_tags(document.body)

    def ask_blob(self, package: str, digest: str) -> Ask:
        """A blob's address."""
        return Ask(f"v2/{package}/blobs/{digest}", "*/*", f"repository:{package}:pull")

    def attached_to(self, tag: str) -> str | None:
        """The image that a signature's or a fallback tag belongs to."""
        return names.subject_of(tag)

    def merge(self, hosted: Listing, upstream: Listing) -> Listing:
        """Hosted tags hide an upstream's."""
        mine = {file.version for file in hosted.files}
        return Listing(hosted.package, (*hosted.files, *(f for f in upstream.files if f.version not in mine)))

    def render_error(self, error: GatewayError, accept: str) -> ErrorBody:
        """`{"errors": […]}`; docker prints the message."""
        del accept
        word = error.detail.get("oci")
        if not isinstance(word, str):
            word = next((text for kind, text in _WORDS if isinstance(error, kind)), "UNKNOWN")
        status = None
        if error.detail.get("is_limited"):  # an upstream's 429 goes on as one: clients wait for it
            word, status = "TOOMANYREQUESTS", 429
        body = {"errors": [{"code": word, "message": error.message, "detail": {}}]}
        return ErrorBody(msgspec.json.encode(body), "application/json", (API_VERSION,), status=status)

    def sidecar_url(self, file: File, kind: str) -> str | None:
        """Images have none: what belongs to one refers to it."""
        del file, kind
        return None


def decode_colons(raw: str) -> str:
    """Undo what some clients encode in a path: the colon of a digest, the slashes of a name."""
    return re.sub("%2[fF]", "/", re.sub("%3[aA]", ":", raw))


def parse_tags(body: bytes) -> tuple[str, ...]:
    """The tags in a tag list; what is none is left out. Raises UpstreamCorrupt."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UpstreamCorrupt("the list of tags is not JSON") from error
    tags = tree.get("tags") if isinstance(tree, dict) else None
    if tags is not None and not isinstance(tags, list):
        raise UpstreamCorrupt("the list of tags has no tags")
    return tuple(sorted({tag for tag in tags or () if isinstance(tag, str) and names.is_tag(tag)}))


def render_referrers(descriptors: Iterable[Mapping[str, Any]]) -> bytes:
    """The index that answers a question for referrers."""
    tree = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(descriptors)}
    return msgspec.json.encode(tree)


def parse_referrers(body: bytes) -> list[dict[str, Any]]:
    """The descriptors in an upstream's index of referrers; what is none is left out."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return []
    found = tree.get("manifests") if isinstance(tree, dict) else None
    kept = ("mediaType", "size", "digest", "artifactType", "annotations")
    return [
        {key: one[key] for key in kept if key in one}
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict) and isinstance(one.get("digest"), str) and isinstance(one.get("mediaType"), str)
    ]
