"""NuGet's side of `gateway.format`: names, upstream documents, and errors as NuGet's clients print them. Pure.

The documents themselves are in `reading` (an upstream's) and `registration` (ours).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from adapters.nuget import names, reading
from gateway.errors import GatewayError, NameRetired, Unauthenticated, Unknown
from gateway.format import Ask, Document, ErrorBody, Setting
from gateway.model import File, Listing

JSON = "application/json"


class NugetFormat:
    """Names and documents of NuGet packages."""

    settings: ClassVar[Mapping[str, Setting]] = {"hard_delete": Setting(bool)}

    def normalize(self, package: str) -> str:
        return names.normalize(package)

    def ask_listing(self, package: str) -> Ask:
        """Where an upstream that has no service index would keep it; see `locate`."""
        return Ask(f"registration-semver2/{package}/index.json", JSON)

    def ask_directory(self) -> Ask:
        return Ask("index.json", JSON)

    def parse_directory(self, document: Document) -> Listing:
        return reading.parse_directory(document)

    def locate(self, package: str, directory: Listing) -> Ask:
        return reading.locate(package, directory)

    def parse_listing(self, package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
        return reading.parse(package, document, origin, hosts)

    def ask_rest(self, listing: Listing) -> tuple[Ask, ...]:
        return tuple(Ask(address, JSON) for address in listing.facts.get("pages", ()))

    def join(self, listing: Listing, rest: Sequence[Listing]) -> Listing:
        return reading.join(listing, rest)

    def ask_promise(self, file: File) -> Ask | None:
        return reading.ask_promise(file)

    def read_promise(self, file: File, document: Document | None) -> File:
        return reading.read_promise(file, document)

    def merge(self, hosted: Listing, upstream: Listing) -> Listing:
        """Hosted versions win."""
        taken = {file.version for file in hosted.files if "entry" in file.facts}
        return Listing(
            hosted.package,
            hosted.files + tuple(file for file in upstream.files if file.version not in taken),
            hosted.facts,
        )

    def render_error(self, error: GatewayError, accept: str) -> ErrorBody:  # noqa: ARG002 nobody reads the body
        """The reason phrase and `X-NuGet-Warning` are all that a NuGet user ever sees (nuget.md §6).

        "Unknown" and "who are you" are everyday answers, to which a client that has other sources or credentials must
        not print a warning; but not where a push is `refused` for what is unknown.
        """
        body = msgspec.json.encode({"error": error.message})
        phrase = " ".join(error.message.split()).encode("ascii", "replace").decode()[:200]
        if isinstance(error, Unknown | Unauthenticated) and "refused" not in error.detail:
            return ErrorBody(body, JSON)
        status = 409 if isinstance(error, NameRetired) else None
        return ErrorBody(body, JSON, (("X-NuGet-Warning", phrase),), phrase, status)

    def sidecar_url(self, file: File, kind: str) -> str | None:
        url = file.facts.get("urls", {}).get(kind)
        return url if isinstance(url, str) else None
