"""The npm registry's side of `gateway.format.Format`: how to ask an upstream, and how errors are put to npm's clients.

Pure. The documents themselves are in `packument` (reading), `render` (writing) and `publishing` (what clients send).
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from adapters.npm import names, packument
from gateway.errors import CodeRequired, Forbidden, GatewayError, Invalid, UpstreamCorrupt
from gateway.format import Ask, Document, ErrorBody, Setting
from gateway.model import File, Listing

JSON = "application/json"


class NpmFormat:
    """Names and documents of npm packages."""

    settings: ClassVar[Mapping[str, Setting]] = {"strict": Setting(bool)}

    def normalize(self, package: str) -> str:
        return names.normalize(package)

    def ask_listing(self, package: str) -> Ask:
        """Always the full document: the abbreviated one is derived from it, and has no `time` upstream."""
        return Ask(names.quoted(package), JSON)

    def parse_listing(self, package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
        return packument.parse(package, document, origin, hosts)

    def merge(self, hosted: Listing, upstream: Listing) -> Listing:
        return packument.merge(hosted, upstream)

    def render_error(self, error: GatewayError, accept: str) -> ErrorBody:  # noqa: ARG002 npm's errors are always JSON
        """`{"error": …}`, which npm and yarn 1 print.

        pnpm 8-11 and yarn 3/4 print only the reason phrase (npm.md §14), so whatever a person must know stands there
        too. The usual phrases of 401 and 404 stay, since they say all there is and some clients look for them. A
        one-time code is asked for by the challenge (npm.md §8), for which npm prompts on a terminal.
        """
        body = msgspec.json.encode({"error": error.message})
        tells = isinstance(error, Forbidden | Invalid | UpstreamCorrupt) or error.status >= 500
        reason = " ".join(error.message.split())[:200].encode("latin-1", "replace").decode("latin-1")
        if isinstance(error, CodeRequired):
            return ErrorBody(body, JSON, (("WWW-Authenticate", "OTP"),), reason, status=401)
        return ErrorBody(body, JSON, reason=reason if tells else None)

    def sidecar_url(self, file: File, kind: str) -> str | None:  # noqa: ARG002 npm keeps nothing beside a tarball
        return None
