"""GET search and autocomplete: our own packages first, then the upstream's, without what is ours or hidden (§5)."""

import asyncio
from typing import TYPE_CHECKING, Any

from adapters.nuget import names, search
from adapters.nuget.addresses import base_of, known_package, routes
from adapters.nuget.registration import display_id
from adapters.nuget.routes_mirror import PATIENCE, mirrored, page
from gateway.errors import Blocked, Invalid, PackageUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask
from gateway.model import OwnerMode, Scope

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_FEW = 100  # packages that are searched in the loop
_SEARCH = (
    "SearchQueryService/3.5.0",
    "SearchQueryService/3.0.0-rc",
    "SearchQueryService/3.0.0-beta",
    "SearchQueryService",
)
_COMPLETE = tuple(kind.replace("SearchQuery", "SearchAutocomplete") for kind in _SEARCH)
_TROUBLE = (Blocked, UpstreamCorrupt, UpstreamTrouble, TimeoutError)


async def find(call: "Call") -> "Answer":
    """GET search?q=: what is published here, then what the upstream finds."""
    query = search.parse_query(call.query)
    owner = call.repository.key.owner
    ours = search.rank(await matching(call, query), query)
    base = base_of(call)
    hits = [
        search.hit(found, base, owner, is_reserved=call.repository.is_reserved(found.listing.package))
        for found in ours[query.skip : query.skip + query.take]
    ]
    theirs, total = await _found_upstream(call, query, len(ours))
    return call.page(page(call, search.answer([*hits, *theirs][: query.take], len(ours) + total)))


async def complete(call: "Call") -> "Answer":
    """GET autocomplete?q= or ?id=: ids, or the listed versions of one."""
    if "id" in call.query:
        return await _versions(call)
    query = search.parse_query(call.query)
    ours = [display_id(found.listing) for found in search.rank(await matching(call, query), query)]
    ids = ours[query.skip : query.skip + query.take]
    ids += await _completed_upstream(call, query, len(ours))
    return call.page(page(call, {"totalHits": max(len(ours), len(ids)), "data": ids[: query.take]}))


async def _versions(call: "Call") -> "Answer":
    query = search.parse_query({**call.query, "q": ""})
    try:
        listing = await call.pull.listing(known_package(call, call.query["id"]))
    except PackageUnknown:
        return call.page(page(call, {"data": []}))
    found = search.find(listing, query)
    return call.page(page(call, {"data": [version.full for version, _ in found.versions] if found is not None else []}))


async def matching(call: "Call", query: search.Query) -> list[search.Found]:
    """The packages published here that the actor may read and the query asks for."""
    owner, listings = call.repository.key.owner, await call.pull.hosted_listings(query.is_about)

    def found() -> list[search.Found]:
        shown = (search.find(listing, query) for listing in listings)
        return [one for one in shown if one is not None and search.matches(one, query, owner)]

    return found() if len(listings) <= _FEW else await asyncio.to_thread(found)


async def _found_upstream(call: "Call", query: search.Query, ours: int) -> tuple[list[dict[str, Any]], int]:
    """The upstream's hits; none when the query names something of ours, or the upstream is in trouble."""
    body = await _ask(call, _SEARCH, query, ours) if _may_ask(call, query) else None
    if body is None:
        return [], 0
    try:
        return search.parse_answer(body, base_of(call), lambda name: _may_show(call, name))
    except UpstreamCorrupt:
        return [], 0


async def _completed_upstream(call: "Call", query: search.Query, ours: int) -> list[str]:
    """The upstream's ids; none as in `_found_upstream`."""
    body = await _ask(call, _COMPLETE, query, ours) if _may_ask(call, query) else None
    try:
        return [] if body is None else search.parse_ids(body, lambda name: _may_show(call, name))
    except UpstreamCorrupt:
        return []


async def _ask(call: "Call", kinds: tuple[str, ...], query: search.Query, ours: int) -> bytes | None:
    """The upstream's answer, None when there is none in time."""
    resources = await mirrored(call)
    address = next((resources[kind] for kind in kinds if kind in resources), None)
    if address is None:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await call.pull.ask_upstream(Ask(f"{address}?{search.upstream_query(query, ours)}"))
    except _TROUBLE:
        return None
    return None if answer is None else answer.body


def _may_ask(call: "Call", query: search.Query) -> bool:
    """Whether a search may reach an upstream: nothing in it is, or begins, a name of ours."""
    return all(_may_leave(call, word) for word in query.names())


def _may_leave(call: "Call", word: str) -> bool:
    try:
        return call.pull.owner_mode(names.normalize(word)) is OwnerMode.UPSTREAM
    except Invalid:
        return True  # no package can be called so


def _may_show(call: "Call", name: str) -> bool:
    return call.pull.owner_mode(name) is OwnerMode.UPSTREAM and call.pull.may(name, Scope.READ)


ROUTES = (
    *routes("GET", "search", find),
    *routes("GET", "autocomplete", complete),
)
