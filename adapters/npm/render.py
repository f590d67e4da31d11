"""Writing packuments: a listing becomes the full document, the abbreviated one ("corgi"), or one version's manifest.

Pure. In every manifest exactly the tarball's URL (and that of its attestations) is replaced, as bytes: the JSON string
is known with its quotes, and an unescaped quote cannot stand inside another string, so the replacement stays JSON.
Everything else of an upstream's manifest, signatures above all, is passed on byte for byte.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from adapters.npm import names, semver
from adapters.npm.packument import decoded, manifest_of
from gateway.errors import PackageUnknown, VersionUnknown
from gateway.model import File, Listing

CORGI = "application/vnd.npm.install-v1+json"
JSON = "application/json"

_encode = msgspec.json.encode
# npm/registry docs, package-metadata.md: hoisted from the manifest that `latest` names.
_HOISTED = (
    "description",
    "homepage",
    "keywords",
    "repository",
    "author",
    "contributors",
    "bugs",
    "license",
    "readmeFilename",
)


class _Corgi(Struct, omit_defaults=True):
    """What an installer needs of a manifest, and `scripts` to tell whether it runs anything."""

    name: Raw | UnsetType = UNSET
    version: Raw | UnsetType = UNSET
    deprecated: Raw | UnsetType = UNSET
    dependencies: Raw | UnsetType = UNSET
    accept_dependencies: Raw | UnsetType = field(default=UNSET, name="acceptDependencies")
    optional_dependencies: Raw | UnsetType = field(default=UNSET, name="optionalDependencies")
    dev_dependencies: Raw | UnsetType = field(default=UNSET, name="devDependencies")
    bundle_dependencies: Raw | UnsetType = field(default=UNSET, name="bundleDependencies")
    bundled_dependencies: Raw | UnsetType = field(default=UNSET, name="bundledDependencies")
    peer_dependencies: Raw | UnsetType = field(default=UNSET, name="peerDependencies")
    peer_dependencies_meta: Raw | UnsetType = field(default=UNSET, name="peerDependenciesMeta")
    bin: Raw | UnsetType = UNSET
    directories: Raw | UnsetType = UNSET
    engines: Raw | UnsetType = UNSET
    has_shrinkwrap: Raw | UnsetType = field(default=UNSET, name="_hasShrinkwrap")
    has_install_script: Raw | UnsetType = field(default=UNSET, name="hasInstallScript")
    funding: Raw | UnsetType = UNSET
    cpu: Raw | UnsetType = UNSET
    os: Raw | UnsetType = UNSET
    libc: Raw | UnsetType = UNSET
    dist: Raw | UnsetType = UNSET
    scripts: Raw | UnsetType = UNSET
    gypfile: Raw | UnsetType = UNSET


_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
_CORGI = msgspec.json.Decoder(_Corgi)
_SCRIPTS = msgspec.json.Decoder(dict[str, Raw])


def wants_corgi(accept: str) -> bool:
    """Whether Accept asks for the abbreviated document, and for nothing it likes better (RFC 9110 §12.5.1).

    Wildcards and a missing header mean the full one (npm.md §2).
    """
    weights = {CORGI: 0.0, JSON: 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind in weights:
            weights[kind] = max(weights[kind], _weight(parameters))
    return weights[CORGI] > 0 and weights[CORGI] >= weights[JSON]


def full(listing: Listing, base: str) -> bytes:
    """The full packument; raises PackageUnknown when every hosted version was deleted."""
    _require_something(listing)
    facts = listing.facts
    shown = repaired_tags(listing)
    members: dict[str, Any] = {
        "_id": listing.package,
        "_rev": revision_of(listing),
        "name": listing.package,
        "dist-tags": shown,
    }
    members |= facts.get("top") or _hosted_members(listing, shown.get("latest"))
    members["time"] = time_of(listing)
    return b'%s,"versions":{%s}}' % (
        _encode(members)[:-1],
        b",".join(b"%s:%s" % (_encode(file.version), manifest(listing.package, file, base)) for file in listing.files),
    )


def corgi(listing: Listing, base: str) -> bytes:
    """The abbreviated packument, with `time`, which spares pnpm a second and full fetch (npm.md §2)."""
    _require_something(listing)
    time = time_of(listing)
    members = {
        "name": listing.package,
        "modified": time.get("modified"),
        "dist-tags": repaired_tags(listing),
        "time": time,
    }
    return b'%s,"versions":{%s}}' % (
        _encode(members)[:-1],
        b",".join(
            b"%s:%s" % (_encode(file.version), _abbreviated(manifest(listing.package, file, base)))
            for file in listing.files
        ),
    )


def version(listing: Listing, wanted: str, base: str) -> bytes:
    """The manifest of a version or of what a tag names; raises VersionUnknown."""
    named = repaired_tags(listing).get(wanted, wanted)
    file = next((file for file in listing.files if file.version == named), None)
    if file is None:
        raise VersionUnknown(f"version not found: {wanted[:80]}")
    return manifest(listing.package, file, base)


def manifest(package: str, file: File, base: str) -> bytes:
    """One manifest as JSON, its tarball below our own address (`base` ends with a slash)."""
    tarball = f"{base}{package}/-/{file.filename}"
    attestations = f"{base}-/npm/v1/attestations/{package.replace('/', '%2f')}@{file.version}"
    known = file.facts.get("manifest")
    if isinstance(known, Raw):
        body = bytes(known).replace(file.facts["tarball"], _encode(tarball))
        token = file.facts.get("attestations")
        return body if token is None else body.replace(token, _encode(attestations))
    hosted = dict(known or {})
    dist = {**hosted.get("dist", {}), "tarball": tarball}
    if "attestations" in dist:
        dist["attestations"] = {"url": attestations, **dist["attestations"]}
    return _encode({**hosted, "dist": dist})


def repaired_tags(listing: Listing) -> dict[str, str]:
    """The tags; one whose version is not in the listing names the newest that is (npm.md §15)."""
    versions = {file.version for file in listing.files}
    tags: Mapping[str, str] = listing.facts.get("tags", {})
    missing = [tag for tag, target in tags.items() if target not in versions]
    if not versions or (not missing and "latest" in tags):
        return dict(tags)
    newest = semver.newest(versions)
    assert newest is not None
    latest = tags.get("latest")
    repaired = latest if latest is not None and latest in versions else newest
    return {**tags, **dict.fromkeys(missing, newest), "latest": repaired}


def time_of(listing: Listing) -> dict[str, Any]:
    """`time` of the full document: what clients judge a version's age by; upstream dates are never changed."""
    dated = {file.version: file.uploaded_at for file in listing.files if file.uploaded_at is not None}
    ends: dict[str, Any] = {
        "created": listing.facts.get("created") or min(dated.values(), default=None),
        "modified": listing.facts.get("modified") or max(dated.values(), default=None),
    }
    if "unpublished" in listing.facts:
        ends["unpublished"] = listing.facts["unpublished"]
    return {key: value for key, value in ends.items() if value is not None} | dated


def tags(listing: Listing) -> bytes:
    """The dist-tags alone; raises PackageUnknown where there are none, which npm takes better than `{}`."""
    _require_something(listing)
    return _encode(repaired_tags(listing))


def revision(package: str, number: int) -> str:
    """`_rev` as CouchDB has it: a number and something."""
    return f"{number}-{names.unscoped(package).encode().hex()[:16]:0>16}"


def revision_of(listing: Listing) -> str:
    """`_rev`: always there, since clients put it into URLs. `0-…` for what nobody can change here."""
    upstream = decoded(listing.facts.get("rev"))
    if "revision" not in listing.facts:
        return upstream if isinstance(upstream, str) else "0-0"
    return revision(listing.package, listing.facts["revision"])


def _require_something(listing: Listing) -> None:
    if not listing.files and "revision" in listing.facts:
        raise PackageUnknown(f"no package {listing.package} here: every version was unpublished")


def _hosted_members(listing: Listing, latest: str | None) -> dict[str, Any]:
    """The document-level members of a hosted package."""
    file = next((file for file in listing.files if file.version == latest), None)
    newest = manifest_of(file) if file is not None else {}
    members = {key: newest[key] for key in _HOISTED if key in newest}
    facts = listing.facts
    return {
        **members,
        "maintainers": facts.get("maintainers", []),
        "users": facts.get("users", {}),
        "readme": facts.get("readme", ""),
    }


def _abbreviated(body: bytes) -> bytes:
    """The installer's part of a manifest."""
    kept = _CORGI.decode(body)
    runs = _runs_at_install(kept)
    kept.scripts = kept.gypfile = UNSET
    if runs:
        kept.has_install_script = Raw(b"true")
    return _encode(kept)


def _runs_at_install(kept: _Corgi) -> bool:
    """Whether installing runs a script: one of the three, or node-gyp (npm/registry docs, package-metadata.md)."""
    if isinstance(kept.gypfile, Raw) and bytes(kept.gypfile) == b"true":
        return True
    if not isinstance(kept.scripts, Raw) or b"install" not in bytes(kept.scripts):
        return False
    try:
        scripts = _SCRIPTS.decode(kept.scripts)
    except (msgspec.DecodeError, RecursionError):
        return False
    return any(
        bytes(scripts.get(name, b"null")) not in {b"null", b'""'} for name in ("preinstall", "install", "postinstall")
    )


def _weight(parameters: list[str]) -> float:
    """The `q` of a media range; 1 when there is none, 0 when it is no number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value.strip())))
            except ValueError:
                return 0.0
    return 1.0
