"""What a client sends with `PUT NAME` to publish: read, checked against itself, and made into what we keep.

Pure. Nothing that a client says of its own tarball is believed (npm.md §5): hashes, sizes and counts are computed from
the bytes, and its claims only have to agree with them. What a hosted package's facts hold beside a file's `manifest`:
`maintainers` ([{name, email}]), `users` (who starred it), `readme`, `created`, `modified`.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from adapters.npm import names, semver
from adapters.npm.packument import hashes_of, integrity_of
from adapters.npm.tarball import Contents
from gateway.errors import DigestMismatch, Invalid, NameMismatch

README_LIMIT = 64 * 1024
_MAX_MANIFEST = 4 * 1024 * 1024
_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
_DEPENDENCIES = ("dependencies", "optionalDependencies", "peerDependencies")
# What pnpm, bun and old npm leave in a manifest of their own working state, and what we write ourselves.
_DROPPED = frozenset(
    {
        "_resolved",
        "_from",
        "_integrity",
        "_attachments",
        "_rev",
        "_where",
        "_args",
        "integrity",
        "shasum",
        "dist",
        "readme",
    }
)
_PROVENANCE_SUFFIX = ".sigstore"


class Attached(Struct):
    """One member of `_attachments`; the tarball's own data has been taken out of it."""

    data: str = ""
    content_type: str | None = None
    length: int | None = None


class Sent(Struct):
    """A document that a client PUTs: a publish, or the changed whole of what it was given."""

    id: Any = msgspec.field(default=None, name="_id")
    rev: str | None = msgspec.field(default=None, name="_rev")
    name: str | None = None
    description: Any = None
    tags: dict[str, str] | None = msgspec.field(default=None, name="dist-tags")
    versions: dict[str, Raw] | None = None
    attachments: dict[str, Attached] | None = msgspec.field(default=None, name="_attachments")
    access: str | None = None
    readme: Any = None
    maintainers: list[Any] | None = None
    users: dict[str, Any] | None = None


class Provenance(Struct, frozen=True):
    """A Sigstore bundle as the client sent it, and what kind of statement it holds."""

    bundle: bytes
    content_type: str
    predicate_type: str


class Release(Struct, frozen=True):
    """One version to publish. `dist` and `length` are what the client claims of the tarball."""

    package: str
    version: str
    manifest: dict[str, Any]
    tags: dict[str, str]
    dist: Mapping[str, Any]
    length: int | None = None
    access: str | None = None
    readme: str = ""
    sigstore: Attached | None = None

    @property
    def filename(self) -> str:
        """The tarball's one name."""
        return names.tarball(self.package, self.version)


class Sealed(Struct, frozen=True):
    """A release whose claims agree with its bytes: what goes into the catalogue."""

    manifest: dict[str, Any]
    provenance: Provenance | None = field(default=None)


_SENT = msgspec.json.Decoder(Sent)
_ANY = msgspec.json.Decoder()


def read_sent(package: str, body: bytes) -> Sent:
    """The document that was PUT for this package; raises Invalid, or NameMismatch for another package's."""
    try:
        sent = _SENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not a package document: {error}".lower()) from error
    for named in (sent.name, sent.id):
        if named is not None and named != package:
            raise NameMismatch(f"the document is about {str(named)[:80]!r}, the address says {package!r}")
    return sent


def read_release(package: str, sent: Sent, tarball_name: str) -> Release:
    """The one version that a publish carries; raises Invalid or NameMismatch."""
    attachments = sent.attachments or {}
    if tarball_name not in attachments:
        raise Invalid("the publish document names its tarball twice")
    if sent.versions is None or len(sent.versions) != 1:
        raise Invalid(f"a publish carries one version, this one {len(sent.versions or {})}")
    (version, raw), *_ = sent.versions.items()
    if not semver.is_strict(version):
        raise Invalid(f"not a semantic version: {version[:80]!r}")
    manifest = _object(raw, version)
    if manifest.get("name") != package or manifest.get("version") != version:
        raise NameMismatch(f"the manifest does not say {package}@{version}")
    dist = manifest.get("dist")
    return Release(
        package,
        version,
        _cleaned(manifest),
        _tags(sent.tags, version),
        dist if isinstance(dist, dict) else {},
        attachments[tarball_name].length,
        sent.access,
        _readme(sent, manifest),
        next((one for key, one in attachments.items() if key.endswith(_PROVENANCE_SUFFIX)), None),
    )


def seal(
    release: Release, contents: Contents, hashes: Mapping[str, str], size: int, publisher: str, *, is_strict: bool
) -> Sealed:
    """Check a release against its tarball, and complete its manifest.

    hashes: sha1 and sha512 of the tarball, which has `size` bytes. is_strict: the manifest must agree with the
    package.json inside the tarball, beyond name and version, in what decides what an installation runs and fetches.
    Raises DigestMismatch, NameMismatch or Invalid.
    """
    _check_claims(release, hashes, size)
    packed = contents.manifest
    if packed.get("name") != release.package or not _same_version(packed.get("version"), release.version):
        said = f"{packed.get('name')}@{packed.get('version')}"[:120]
        raise NameMismatch(f"the tarball's package.json says {said!r}, not {release.package}@{release.version}")
    if is_strict:
        _check_agreement(release.manifest, packed, has_gyp=contents.has_gyp)
    provenance = _provenance(release, hashes["sha512"]) if release.sigstore is not None else None
    dist: dict[str, Any] = {
        "integrity": integrity_of(hashes["sha512"]),
        "shasum": hashes["sha1"],
        "fileCount": contents.file_count,
        "unpackedSize": contents.unpacked_size,
    }
    if provenance is not None:
        dist["attestations"] = {"provenance": {"predicateType": provenance.predicate_type}}
    manifest = {**release.manifest, "_id": f"{release.package}@{release.version}", "_npmUser": {"name": publisher}}
    manifest["dist"] = dist
    if contents.has_shrinkwrap:
        manifest["_hasShrinkwrap"] = True
    if contents.has_gyp and manifest.get("gypfile") is None and not _install_scripts(manifest):
        manifest["gypfile"] = True
    return Sealed(manifest, provenance)


def _check_claims(release: Release, hashes: Mapping[str, str], size: int) -> None:
    """Whatever the client claims of the tarball must be so; a claim that nobody can read is refused as well."""
    if release.length is not None and release.length != size:
        raise DigestMismatch(f"the tarball has {size} bytes, the document promised {release.length}")
    integrity, shasum = release.dist.get("integrity"), release.dist.get("shasum")
    claimed = hashes_of(shasum, integrity)
    for claim, algorithms in ((integrity, {"sha512", "sha384", "sha256"}), (shasum, {"sha1"})):
        if claim and not algorithms & claimed.keys():
            raise DigestMismatch(f"not a hash that could be checked: {str(claim)[:120]!r}")
    for algorithm, value in claimed.items():
        if algorithm in hashes and hashes[algorithm] != value:
            raise DigestMismatch(f"the tarball's {algorithm} is {hashes[algorithm]}, the document promised {value}")


def _check_agreement(said: Mapping[str, Any], packed: Mapping[str, Any], *, has_gyp: bool) -> None:
    """Refuse a manifest that shows readers other dependencies, scripts or binaries than the tarball has.

    npm merges optional dependencies in and out of `dependencies`, adds `node-gyp rebuild`, and spells `bin` its own
    way, so both sides are brought to one form first.
    """
    for member, form in (("dependencies", _dependencies), ("install scripts", _install_scripts), ("bin", _binaries)):
        ours, theirs = form(said), form(packed)
        if member == "install scripts" and has_gyp and not theirs:
            ours.pop("install", None)
        if member == "bin" and "bin" not in packed and isinstance(packed.get("directories"), Mapping):
            continue
        if ours != theirs:
            raise NameMismatch(f"the manifest and the tarball's package.json differ in their {member}")


def _dependencies(manifest: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Name → (kind, range); one that is optional counts as that only."""
    found: dict[str, tuple[str, str]] = {}
    for kind in _DEPENDENCIES:
        members = manifest.get(kind)
        for name, wanted in members.items() if isinstance(members, Mapping) else ():
            if isinstance(wanted, str):
                key = name if kind != "peerDependencies" else f"peer:{name}"
                found[key] = (kind, wanted.strip() or "*")
    return found


def _install_scripts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The scripts that run when the package is installed."""
    scripts = manifest.get("scripts")
    if not isinstance(scripts, Mapping):
        return {}
    return {name: text for name in _INSTALL_SCRIPTS if isinstance(text := scripts.get(name), str) and text}


def _binaries(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Command → path, in npm's normal form."""
    entry = manifest.get("bin")
    if isinstance(entry, str):
        entry = {names.unscoped(str(manifest.get("name", ""))): entry}
    if not isinstance(entry, Mapping):
        return {}
    return {
        names.unscoped(str(command)): "/".join(
            part for part in path.replace("\\", "/").split("/") if part not in {"", "."}
        )
        for command, path in entry.items()
        if isinstance(path, str) and path
    }


def _same_version(packed: Any, version: str) -> bool:
    """Whether package.json says this version; npm strips `v`, `=`, spaces and build metadata before it publishes."""
    if not isinstance(packed, str):
        return False
    bare = packed.strip().lstrip("=v ").strip()
    return bare in {version, version.partition("+")[0]} or bare.partition("+")[0] == version


def _provenance(release: Release, sha512: str) -> Provenance:
    """The attached bundle, if it speaks of exactly this package, version and tarball; raises Invalid."""
    assert release.sigstore is not None
    try:
        bundle = _ANY.decode(release.sigstore.data)
        statement = _ANY.decode(base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True))
        subjects = [(one["name"], one["digest"]["sha512"]) for one in statement["subject"]]
        predicate_type = str(statement["predicateType"])
    except (msgspec.DecodeError, binascii.Error, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Invalid("the provenance is not a Sigstore bundle with an in-toto statement") from error
    if subjects != [(names.purl(release.package, release.version), sha512)]:
        raise DigestMismatch(f"the provenance is not about this tarball of {release.package}@{release.version}")
    content_type = release.sigstore.content_type or str(bundle.get("mediaType", "application/json"))
    return Provenance(release.sigstore.data.encode(), content_type[:200], predicate_type[:500])


def _object(raw: Raw, version: str) -> dict[str, Any]:
    value = _ANY.decode(raw)
    if not isinstance(value, dict):
        raise Invalid(f"the manifest of {version} is not an object")
    if len(bytes(raw)) > _MAX_MANIFEST:
        raise Invalid(f"the manifest of {version} has more than {_MAX_MANIFEST} bytes")
    return value


def _cleaned(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without the client's working state; an empty `deprecated` means none."""
    kept = {key: value for key, value in manifest.items() if key not in _DROPPED}
    if not isinstance(kept.get("deprecated"), str) or not kept["deprecated"]:
        kept.pop("deprecated", None)
    return kept


def _tags(sent: Mapping[str, str] | None, version: str) -> dict[str, str]:
    """The tags to set, all on this version; without any it is `latest`."""
    for tag, target in (sent or {}).items():
        names.check_tag(tag)
        if target != version:
            raise Invalid(f"tag {tag!r} names {target[:80]!r}, which is not the version being published")
    return dict(sent) if sent else {"latest": version}


def _readme(sent: Sent, manifest: Mapping[str, Any]) -> str:
    """The readme, wherever the client put it; its first 64 KiB, as npm keeps it."""
    for text in (sent.readme, manifest.get("readme")):
        if isinstance(text, str) and text:
            return text.encode()[:README_LIMIT].decode("utf-8", "ignore")
    return ""
