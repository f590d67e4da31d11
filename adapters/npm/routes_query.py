"""Questions that are not about reading one package: search, stars, audit, keys, attestations (npm.md §11 to §13).

Wherever an upstream is asked, names that are hosted or reserved here are taken out first: they must not leave.
"""

import os
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.npm import audit, names, search
from adapters.npm.addresses import json_object, routes, shown
from adapters.npm.receiving import now_text
from adapters.npm.routes_publish import PROVENANCE
from gateway.errors import Blocked, FileUnknown, Invalid, PackageUnknown, Unknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask
from gateway.model import HOSTED_LAYER, Listing, OwnerMode, Scope

if TYPE_CHECKING:
    from gateway.opened import OpenFile
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_MAX_SEARCHED = 2000  # hosted packages that one search looks at
_BUNDLE_LIMIT = 4 * 1024 * 1024
_TROUBLE = (Blocked, UpstreamCorrupt, UpstreamTrouble)


async def find(call: "Call") -> "Answer":
    """GET -/v1/search: our own first, then an upstream's page, without what the actor may not see."""
    query = search.parse_query(call.query)
    found = [search.entry(listing) for listing in await _hosted(call)]
    ours = [one for one in found if one is not None and search.matches(one, query)]
    theirs, total = await _found_upstream(call, query, len(ours))
    return call.json(search.page(query, ours, theirs, total, now_text()))


async def starred(call: "Call") -> "Answer":
    """GET -/_view/starredByUser?key="USER" (npm up to 11)."""
    user = call.query.get("key", "").strip('"')
    listings = await _hosted(call)
    rows = [{"value": listing.package} for listing in listings if user in listing.facts.get("users", {})]
    return call.json({"rows": rows, "total_rows": len(rows), "offset": 0})


async def advisories(call: "Call") -> "Answer":
    """POST -/npm/v1/security/advisories/bulk: {name: [versions]}, asked of the upstreams that own the names.

    An upstream in trouble means no findings of its own and a notice: an audit must not fail an installation.
    """
    found = await audit.ask(call, await json_object(call))
    return call.json(found.advisories, headers=(("npm-notice", found.notice),) if found.notice else ())


async def keys(call: "Call") -> "Answer":
    """GET -/npm/v1/keys: those of all upstreams, since their signatures are passed on; 404 means nobody signs."""
    found: dict[str, Any] = {}
    for upstream in call.pull.upstreams():
        answer = await call.pull.ask_upstream(Ask("-/npm/v1/keys", "application/json"), upstream)
        if answer is not None:
            for key in _keys_in(_object(answer.body)):
                found.setdefault(str(key.get("keyid")), key)
    if not found:
        raise Unknown("this registry does not sign")
    return call.json({"keys": list(found.values())})


async def attestations(call: "Call") -> "Answer":
    """GET -/npm/v1/attestations/NAME@VERSION: what was published with it, or the upstream's."""
    spec = call.path["spec"]
    package, version = names.split_spec(f"{call.path['scope']}/{spec}" if "scope" in call.path else spec)
    shown(call, package)
    listing = await call.pull.listing(package)
    file = next((file for file in listing.files if file.version == version), None)
    if file is None:
        raise FileUnknown(f"no version {version} of {package}")
    if file.origin != HOSTED_LAYER:
        answer = await call.pull.ask_upstream(
            Ask(f"-/npm/v1/attestations/{names.quoted(package)}@{version}"), file.origin
        )
        if answer is None:
            raise FileUnknown(f"{package}@{version} has no attestations")
        return call.json(_object(answer.body))
    bundle = await _whole(await call.pull.sidecar(package, file.filename, PROVENANCE))
    predicate = file.facts["manifest"]["dist"]["attestations"]["provenance"]["predicateType"]
    return call.json({"attestations": [{"predicateType": predicate, "bundle": msgspec.Raw(bundle)}]})


async def _hosted(call: "Call") -> list[Listing]:
    """Listings of hosted packages that the actor may read."""
    listings = []
    mine = [name for name in await call.pull.names() if call.pull.owner_mode(name) is not OwnerMode.UPSTREAM]
    for name in mine[:_MAX_SEARCHED]:
        try:
            listing = await call.pull.listing(name)
        except (PackageUnknown, *_TROUBLE):
            continue
        if "revision" in listing.facts and listing.files:
            listings.append(listing)
    return listings


async def _found_upstream(call: "Call", query: search.Query, ours: int) -> tuple[list[Any], int]:
    """An upstream's results; none when the query names something of ours, or the upstream is in trouble."""
    if not query.text or not all(_may_search(call, word) for word in query.names()):
        return [], 0

    def may_show(name: str) -> bool:
        return call.pull.owner_mode(name) is OwnerMode.UPSTREAM and call.pull.may(name, Scope.READ)

    try:
        answer = await call.pull.ask_upstream(Ask(search.upstream_path(query, ours), "application/json"))
        return ([], 0) if answer is None else search.parse_page(answer.body, may_show)
    except _TROUBLE:
        return [], 0


def _may_leave(call: "Call", name: str) -> bool:
    """Whether a package's name may be sent to an upstream: it is one, and not ours."""
    try:
        return call.pull.owner_mode(names.normalize(name)) is OwnerMode.UPSTREAM
    except Invalid:
        return False


def _may_search(call: "Call", word: str) -> bool:
    """Whether a word of a search may be sent to an upstream: it names no package, and no scope, that is ours."""
    if word.startswith("@"):
        scope, _, name = word.partition("/")
        return _may_leave(call, f"{scope}/{name or 'any'}")
    try:
        return call.pull.owner_mode(names.normalize(word)) is OwnerMode.UPSTREAM
    except Invalid:
        return True  # no package can be called so


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("the upstream's answer is not JSON") from error
    if not isinstance(value, dict):
        raise UpstreamCorrupt("the upstream's answer is not an object")
    return value


def _keys_in(answer: dict[str, Any]) -> list[dict[str, Any]]:
    listed = answer.get("keys")
    return [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []


async def _whole(file: "OpenFile") -> bytes:
    """All bytes of a small file."""
    source = await file.open()
    try:
        parts: list[bytes] = []
        offset = 0
        while (ready := await source.available(offset)) and offset < _BUNDLE_LIMIT:
            parts.append(os.pread(source.fd, ready, offset))
            offset += len(parts[-1])
        return b"".join(parts)
    finally:
        source.close()


ROUTES = (
    *routes("GET", "-/v1/search", find),
    *routes("GET", "-/_view/starredByUser", starred),
    *routes("POST", audit.PATH, advisories),
    *routes("GET", "-/npm/v1/keys", keys),
    *routes("GET", "-/npm/v1/attestations/{scope:@[^/]+}/{spec}", attestations),
    *routes("GET", "-/npm/v1/attestations/{spec}", attestations),
)
