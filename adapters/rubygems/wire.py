"""The format of gems as the core asks for it: names, `/info` documents, errors as clients print them. Pure."""

import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote, urljoin

from adapters.rubygems import names
from adapters.rubygems.compact import read_info
from gateway.errors import (
    AlreadyExists,
    Blocked,
    CodeRequired,
    GatewayError,
    Invalid,
    NameRetired,
    PathInvalid,
    TooLarge,
)
from gateway.format import Ask, Document, ErrorBody, Setting
from gateway.model import File, Listing

# Clients take these beginnings for orders: to ask for a one-time password, or for the account's.
_ORDERS = re.compile(r"(?i)you have enabled multifactor|the api key doesn't have access")


class RubyGemsFormat:
    """Names and documents of gems."""

    settings: ClassVar[Mapping[str, Setting]] = {"created_at": Setting(bool)}

    def normalize(self, package: str) -> str:
        return names.normalize(package)

    def gate(self, package: str) -> str:
        return names.gate(package)

    def ask_listing(self, package: str) -> Ask:
        return Ask(f"info/{quote(package)}")

    def parse_listing(self, package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:  # noqa: ARG002 addresses follow from names
        return read_info(package, document, origin)

    def merge(self, hosted: Listing, upstream: Listing) -> Listing:
        """Both together: a hosted version hides the upstream's gem of that version and platform."""
        taken = {(names.version_key(file.version), file.facts["platform"]) for file in hosted.files}
        rest = tuple(
            file for file in upstream.files if (names.version_key(file.version), file.facts["platform"]) not in taken
        )
        return Listing(hosted.package, rest + hosted.files, hosted.facts)

    def render_error(self, error: GatewayError, accept: str) -> ErrorBody:  # noqa: ARG002 always text
        """One sentence: gem prints the body, Bundler the reason phrase."""
        if isinstance(error, CodeRequired):  # the order to ask for a code and to try again with it
            body = f"You have enabled multifactor authentication: {error.message}.\n".encode()
            return ErrorBody(body, "text/plain; charset=utf-8", (("WWW-Authenticate", "OTP"),), status=401)
        message = error.message[:1].upper() + error.message[1:]
        if _ORDERS.match(message):
            message = f"Refused: {message}"
        message = message if message.endswith((".", "!", "?")) else f"{message}."
        reason = reason_phrase(error.message) if isinstance(error, Blocked) else None
        return ErrorBody(f"{message}\n".encode(), "text/plain; charset=utf-8", reason=reason, status=_status(error))

    def sidecar_url(self, file: File, kind: str) -> str | None:
        """Where an upstream keeps the gemspec of a gem."""
        if kind != "gemspec" or file.url is None:
            return None
        return urljoin(file.url, f"../quick/Marshal.4.8/{quote(file.filename.removesuffix('.gem'))}.gemspec.rz")


def reason_phrase(message: str) -> str:
    """A message as a reason phrase: one line of latin-1, at most 200 characters (RFC 9112 §4)."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in message).split())
    return line.encode("latin-1", "replace").decode("latin-1")[:200]


def _status(error: GatewayError) -> int:
    """The registry's own: 409 for what was published before, 422 for a gem that cannot be read."""
    if isinstance(error, NameRetired | AlreadyExists):
        return 409
    if isinstance(error, Invalid) and not isinstance(error, TooLarge | PathInvalid):
        return 422
    return error.status
