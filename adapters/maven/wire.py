"""The format of a Maven repository: listings from upstreams' metadata, merging, promises of hashes, errors. Pure."""

import json
import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from adapters.maven import names
from adapters.maven.markup import parse_metadata
from adapters.maven.names import Kind, Spot
from gateway.errors import AlreadyExists, Blocked, Forbidden, GatewayError, Invalid, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document, ErrorBody, Setting
from gateway.model import File, Listing

PROBLEM = "application/problem+json"
PLAIN = "text/plain; charset=utf-8"
_MOST_VERSIONS = 50_000
_TITLES = {
    400: "Not accepted",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    416: "Range not satisfiable",
    429: "Too many failures",
    502: "Upstream sent something else than it promised",
    503: "Upstream cannot be asked now",
}
_SAID = {
    "x-checksum-sha512": "sha512",
    "x-checksum-sha256": "sha256",
    "x-checksum-sha1": "sha1",
    "x-checksum-md5": "md5",
    "x-goog-meta-checksum-sha1": "sha1",
    "x-goog-meta-checksum-md5": "md5",
    "x-amz-meta-checksum-sha1": "sha1",
}


class MavenFormat:
    """Names and documents of Maven repositories."""

    settings: ClassVar[Mapping[str, Setting]] = {
        "listings": Setting(bool),
        "redeploy": Setting(bool),
        "keep_snapshots": Setting(int),
        "versions": Setting(str, ("any", "releases", "snapshots")),
    }

    def normalize(self, package: str) -> str:
        return names.normalize(package)

    def ask_listing(self, package: str) -> Ask:
        return Ask(f"{quote(names.folder_of(package))}/{names.METADATA}")

    def parse_listing(self, package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:  # noqa: ARG002 files lie beside their metadata
        """What an upstream's metadata lists, one POM for each version; raises UpstreamCorrupt for another's document.

        A folder may be a group's and an artifact's at once, so coordinates are compared only where versions are listed.
        """
        try:
            found = parse_metadata(document.body)
        except Invalid as error:
            raise UpstreamCorrupt(f"{origin} has metadata of {package} that cannot be read: {error.message}") from error
        group, artifact = names.split(package)
        if found.versions and (found.group or group, found.artifact or artifact) != (group, artifact):
            raise UpstreamCorrupt(f"{origin} has metadata of {found.group}:{found.artifact} in place of {package}")
        base = document.url.rpartition("/")[0]
        versions = [v for v in dict.fromkeys(found.versions) if is_version(v)][:_MOST_VERSIONS]
        files = tuple(
            File(key, version, {}, url=f"{base}/{quote(key)}", origin=origin)
            for version in versions
            if artifact and (key := names.pom_name(artifact, version))
        )
        facts = {
            "latest": found.latest,
            "release": found.release,
            "updated": found.last_updated if re.fullmatch(r"[0-9]{14}", found.last_updated or "") else None,
            "plugins": tuple(plugin for plugin in found.plugins if names.is_id(plugin[0])),
        }
        return Listing(package, files, facts)

    def merge(self, hosted: Listing, upstream: Listing) -> Listing:
        """Both together: a version of the first hides the second's; newest words are made anew."""
        taken = {file.version for file in hosted.files}
        rest = tuple(file for file in upstream.files if file.version not in taken)
        updated = [str(text) for listing in (hosted, upstream) if (text := listing.facts.get("updated"))]
        plugins = (*hosted.facts.get("plugins", ()), *upstream.facts.get("plugins", ()))
        return Listing(hosted.package, hosted.files + rest, {"updated": max(updated, default=None), "plugins": plugins})

    def render_error(self, error: GatewayError, accept: str) -> ErrorBody:  # noqa: ARG002 one form for all
        """A problem document (RFC 9457), which Maven prints, and a reason phrase, which Gradle and older Mavens do.

        What is absent is said in plain text: Maven 3.9 and 4 take any problem document for trouble, and then ask no
        other repository, and give up a deployment that looks for earlier metadata.
        """
        title, decision = title_of(error), error.detail.get("decision")
        reason = reason_of(title, error.message)
        headers = (("X-Gateway-Decision", str(decision)),) if decision else ()
        if error.status == 404:
            return ErrorBody(f"{_line(error.message)}\n".encode(), PLAIN, headers, reason)
        problem = {
            "type": f"urn:entrepot:{error.code.replace('_', '-')}",
            "title": title,
            "status": error.status,
            "detail": _line(error.message),
        }
        return ErrorBody(json.dumps(problem).encode(), PROBLEM, headers, reason)

    def sidecar_url(self, file: File, kind: str) -> str | None:
        return None if file.url is None else f"{file.url}.{kind}"


def is_version(text: str) -> bool:
    """Whether this can be a version, and so a folder."""
    spot = names.parse_path(f"g/a/{text}/f") if "/" not in text else None
    return spot is not None and spot.kind is Kind.FILE


def title_of(error: GatewayError) -> str:
    """A few words for what went wrong."""
    if isinstance(error, AlreadyExists):
        return "Version is immutable"
    if isinstance(error, Blocked):
        return "Blocked"
    if isinstance(error, Forbidden):
        return "Forbidden"
    if isinstance(error, UpstreamTrouble) and error.retry_after is not None:
        return "Upstream asks for patience"
    return _TITLES.get(error.status, "Something went wrong here")


def reason_of(title: str, message: str) -> str:
    """The reason phrase: one line of ASCII, at most 80 characters."""
    return f"{title}: {_line(message)}".encode("ascii", "replace").decode()[:80].strip()


def shelf_path(spot: Spot) -> str:
    """Where an upstream keeps this file, percent-encoded."""
    return quote(f"{names.folder_of(spot.package)}/{spot.version}/{spot.filename}", safe="/+~!@,;=$&'()")


def proofs(path: str) -> tuple[tuple[str, str], ...]:
    """The sidecars that may hold a file's hash; the first is the one that every repository has."""
    return tuple((algorithm, f"{path}.{algorithm}") for algorithm in ("sha1", "sha512", "sha256", "md5"))


def said_in(headers: Mapping[str, str]) -> dict[str, str]:
    """The hashes that an answer's headers promise, lower-case hex of the right length."""
    found: dict[str, str] = {}
    for name, algorithm in _SAID.items():
        value = headers.get(name, "").strip().lower()
        if len(value) == names.CHECKSUMS[algorithm] and algorithm not in found:
            found[algorithm] = value
    return found


def read_checksum(algorithm: str, body: bytes) -> str | None:
    """The hash in a sidecar: bare, before a file name, behind `=` or `:`, in groups, of any case; None for none."""
    length = names.CHECKSUMS[algorithm]
    text = body.decode("utf-8", "replace").strip().lower()
    words = re.split(r"[\s=:()]+", text)
    for word in words:
        if len(word) == length and re.fullmatch(r"[0-9a-f]+", word):
            return word
    groups = "".join(
        word for word in re.split(r"\s+", text.rpartition(":")[2]) if re.fullmatch(r"[0-9a-f]{2,16}", word)
    )
    return groups if len(groups) == length else None


def _line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
