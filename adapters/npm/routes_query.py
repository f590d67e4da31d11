"""Questions that are not about reading one package: search, stars, audit, keys (npm.md §11 to §13).

Wherever an upstream is asked, names that are hosted or reserved here are taken out first: they must not leave.
"""

from typing import TYPE_CHECKING, Any

from adapters.npm import audit, names, search
from adapters.npm.addresses import json_object, json_object_of, routes
from adapters.npm.receiving import now_text
from gateway.errors import Blocked, Invalid, Unknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask
from gateway.model import OwnerMode, Scope

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_TROUBLE = (Blocked, UpstreamCorrupt, UpstreamTrouble)


async def find(call: "Call") -> "Answer":
    """GET -/v1/search: our own first, then an upstream's page, without what the actor may not see."""
    query = search.parse_query(call.query)
    found = [search.entry(listing) for listing in await call.pull.hosted_listings()]
    ours = [one for one in found if one is not None and search.matches(one, query)]
    theirs, total = await _found_upstream(call, query, len(ours))
    return call.json(search.page(query, ours, theirs, total, now_text()))


async def starred(call: "Call") -> "Answer":
    """GET -/_view/starredByUser?key="USER" (npm up to 11)."""
    user = call.query.get("key", "").strip('"')
    listings = await call.pull.hosted_listings()
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
            for key in _keys_in(json_object_of(answer.body)):
                found.setdefault(str(key.get("keyid")), key)
    if not found:
        raise Unknown("this registry does not sign")
    return call.json({"keys": list(found.values())})


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


def _keys_in(answer: dict[str, Any]) -> list[dict[str, Any]]:
    listed = answer.get("keys")
    return [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []


ROUTES = (
    *routes("GET", "-/v1/search", find),
    *routes("GET", "-/_view/starredByUser", starred),
    *routes("POST", audit.PATH, advisories),
    *routes("GET", "-/npm/v1/keys", keys),
)
