"""`maven-metadata.xml` of all three levels, rendered from what is there. Pure.

Nothing of a client's document is taken over, since two clients that write it at once lose one another's versions. A
version is listed once it is whole: its POM is there, and its main file too, unless there is none (packaging `pom`), a
deployer's own metadata named it, or nothing came for a minute. A snapshot build is advertised only when it is whole.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from msgspec import Struct

from adapters.maven import names
from adapters.maven.names import FileName, Kind, Spot
from adapters.maven.versions import SNAPSHOT, is_snapshot, ordered
from gateway.model import HOSTED_LAYER, File, Listing
from gateway.rendered import Rendered

CONTENT_TYPE = "application/xml"
QUIET_SECONDS = 60.0
ABANDONED_SECONDS = 86400.0
_BESIDES = frozenset({"pom", "module", "asc", "sigstore", "sigstore.json"})
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Plugin(Struct, frozen=True):
    """A plugin of a group."""

    artifact: str
    prefix: str
    name: str = ""


class Build(Struct, frozen=True):
    """A snapshot build that is whole; stamp and number are empty for a literal one."""

    stamp: str
    number: int
    files: tuple[tuple[FileName, File], ...]


# ── which versions are whole ─────────────────────────────────────────────────────────────────────────────────────
def listed(listing: Listing, now: float) -> list[str]:
    """The versions to list, oldest first."""
    found = _by_version(listing.files).items()
    return ordered(version for version, files in found if _state(listing.package, version, files, now) == "listed")


def waiting(package: str, files: Iterable[File], now: float) -> list[str]:
    """The hosted versions that only wait for the quiet minute to pass."""
    found = _by_version(file for file in files if file.origin == HOSTED_LAYER).items()
    return [version for version, members in found if _state(package, version, members, now) == "waiting"]


def abandoned(package: str, files: Iterable[File], now: float) -> list[str]:
    """The hosted files of versions that never got a POM, and to which nothing was added for a day."""
    found: list[str] = []
    for version, members in _by_version(file for file in files if file.origin == HOSTED_LAYER).items():
        is_open = not version.endswith(SNAPSHOT) and _state(package, version, members, now) == "open"
        if is_open and now - max(map(_seconds, members)) > ABANDONED_SECONDS:
            found += [file.filename for file in members]
    return found


def builds(package: str, version: str, files: Iterable[File]) -> list[Build]:
    """The unique builds of a snapshot version that are whole, oldest first."""
    found: dict[tuple[str, int], list[tuple[FileName, File]]] = defaultdict(list)
    for file in files:
        named = file_name(package, file) if file.version == version else None
        if named is not None and named.stamp:
            found[named.stamp, named.number].append((named, file))
    whole = [Build(*key, tuple(members)) for key, members in sorted(found.items()) if _is_whole(members)]
    return sorted(whole, key=lambda build: (build.number, build.stamp))


def file_name(package: str, file: File) -> FileName | None:
    """What a file's name says; None for one that is not named after its folder."""
    group, artifact = names.split(package)
    version, _, filename = file.filename.partition("/")
    return names.parse_filename(Spot(Kind.FILE, group, artifact, version, filename))


def is_main(named: FileName) -> bool:
    """Whether this is the file that a version is about."""
    return not named.classifier and named.extension.partition(".asc")[0] not in _BESIDES


def _by_version(files: Iterable[File]) -> dict[str, list[File]]:
    found: dict[str, list[File]] = defaultdict(list)
    for file in files:
        found[file.version].append(file)
    return found


def _state(package: str, version: str, files: Sequence[File], now: float) -> str:
    if any(file.origin != HOSTED_LAYER for file in files):
        return "listed"  # the upstream lists it
    if any(file.facts.get("doubted") for file in files):
        return "doubted"
    if version.endswith(SNAPSHOT) and builds(package, version, files):
        return "listed"
    members = [(named, file) for file in files if (named := file_name(package, file)) is not None and not named.stamp]
    if _is_whole(members):
        return "listed"
    if not any(_is_pom(named) for named, _ in members):
        return "open"
    return "listed" if now - max(map(_seconds, files)) >= QUIET_SECONDS else "waiting"


def _is_whole(members: Sequence[tuple[FileName, File]]) -> bool:
    pom = next((file for named, file in members if _is_pom(named)), None)
    if pom is None:
        return False
    if pom.facts.get("packaging") == "pom" or pom.facts.get("named"):
        return True
    return any(is_main(named) for named, _ in members)


def _is_pom(named: FileName) -> bool:
    return named.extension == "pom" and not named.classifier


# ── rendering ────────────────────────────────────────────────────────────────────────────────────────────────────
def says_anything(listing: Listing, now: float, plugins: Sequence[Plugin] = ()) -> bool:
    """Whether there is anything to say of an artifact's folder."""
    return bool(plugins or listing.facts.get("plugins") or listed(listing, now))


def render_artifact(listing: Listing, now: float, plugins: Sequence[Plugin] = ()) -> Rendered:
    """The document of an artifact's folder, which may be a group's as well."""
    versions = listed(listing, now)
    lines: list[str] = []
    plugins = _united(plugins, listing.facts.get("plugins", ()))
    if versions:
        group, artifact = names.split(listing.package)
        files = [file for file in listing.files if file.version in set(versions)]
        lines += [_element("groupId", group), _element("artifactId", artifact), "<versioning>"]
        lines += _newest(versions, listing)
        lines += ["<versions>", *(_element("version", version) for version in versions), "</versions>"]
        updated = max([_digits(file) for file in files] + [str(listing.facts.get("updated") or "")])
        lines += [_element("lastUpdated", updated)] if updated else []
        lines.append("</versioning>")
    else:
        updated = ""
    return _document([*lines, *_plugins(plugins)], updated)


def render_group(plugins: Sequence[Plugin]) -> Rendered:
    """The document of a group's folder."""
    return _document(_plugins(_united(plugins, ())), "")


def render_snapshots(listing: Listing, version: str) -> Rendered:
    """The document of a snapshot version's folder, of which at least one unique build is whole."""
    whole = builds(listing.package, version, listing.files)
    group, artifact = names.split(listing.package)
    last = whole[-1]
    newest: dict[tuple[str, str], tuple[Build, File]] = {}
    for build in whole:  # what the last build lacks is the newest that was ever there
        for named, file in build.files:
            newest[named.classifier, named.extension] = (build, file)
    updated = max(_digits(file) for _, file in newest.values())
    base = version.removesuffix(SNAPSHOT)
    lines = [_element("groupId", group), _element("artifactId", artifact), _element("version", version)]
    lines += [
        "<versioning>",
        "<snapshot>",
        _element("timestamp", last.stamp),
        _element("buildNumber", str(last.number)),
    ]
    lines += ["</snapshot>", _element("lastUpdated", updated), "<snapshotVersions>"]
    for (classifier, extension), (build, file) in newest.items():
        lines.append("<snapshotVersion>")
        lines += [_element("classifier", classifier)] if classifier else []
        lines += [_element("extension", extension), _element("value", f"{base}-{build.stamp}-{build.number}")]
        lines += [_element("updated", _digits(file)), "</snapshotVersion>"]
    lines += ["</snapshotVersions>", "</versioning>"]
    return _document(lines, updated, ' modelVersion="1.1.0"')


def checksums(body: bytes) -> dict[str, str]:
    """Every hash that clients may ask for, of a document that we made."""
    return {name: hashlib.new(name, body, usedforsecurity=False).hexdigest() for name in names.CHECKSUMS}


def checksum_headers(hashes: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers that save clients a request for a sidecar."""
    known = dict(hashes)
    return tuple((f"X-Checksum-{name.title()}", known[name]) for name in names.CHECKSUMS if name in known)


def _newest(versions: Sequence[str], listing: Listing) -> list[str]:
    """`latest` and `release`: an upstream's own word while nothing was merged into its list, else the greatest."""
    releases = [version for version in versions if not is_snapshot(version)]
    latest, release = versions[-1], releases[-1] if releases else None
    said = listing.facts.get("latest"), listing.facts.get("release")
    if said[0] in versions:
        latest = str(said[0])
    if said[1] in releases:
        release = str(said[1])
    return [_element("latest", latest), *([_element("release", release)] if release else [])]


def _united(plugins: Sequence[Plugin], more: Iterable[Sequence[str]]) -> list[Plugin]:
    """Ours first, then what an upstream has besides; one per artifact and prefix."""
    found = {(plugin.artifact, plugin.prefix): plugin for plugin in plugins}
    for artifact, prefix, name in more:
        found.setdefault((artifact, prefix), Plugin(artifact, prefix, name))
    return [found[key] for key in sorted(found)]


def _plugins(plugins: Sequence[Plugin]) -> list[str]:
    if not plugins:
        return []
    lines = ["<plugins>"]
    for plugin in plugins:
        lines += ["<plugin>", _element("name", plugin.name or plugin.artifact), _element("prefix", plugin.prefix)]
        lines += [_element("artifactId", plugin.artifact), "</plugin>"]
    return [*lines, "</plugins>"]


def _document(lines: Sequence[str], updated: str, attributes: str = "") -> Rendered:
    body = (_HEAD + "\n".join([f"<metadata{attributes}>", *lines, "</metadata>", ""])).encode()
    headers = checksum_headers(checksums(body).items())
    moment = _moment(updated)
    if moment is not None:
        headers = (*headers, ("Last-Modified", format_datetime(moment, usegmt=True)))
    return Rendered(body, CONTENT_TYPE, headers=headers)


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _digits(file: File) -> str:
    """When a file was published, as metadata writes it: yyyyMMddHHmmss in UTC."""
    return "" if file.uploaded_at is None else "".join(c for c in file.uploaded_at if c.isdigit())[:14]


def _moment(digits: str) -> datetime | None:
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _seconds(file: File) -> float:
    moment = _moment(_digits(file))
    return 0.0 if moment is None else moment.timestamp()
