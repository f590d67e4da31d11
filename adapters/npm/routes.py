"""Reading packages: packuments, versions, tarballs, tags, and the table of all npm routes."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from adapters.npm import (
    attested,
    names,
    render,
    routes_account,
    routes_publish,
    routes_query,
    routes_stage,
    routes_team,
)
from adapters.npm.addresses import package_of, routes
from gateway.errors import FileUnknown
from gateway.model import Listing, OwnerMode, Page
from gateway.rendered import Rendered

if TYPE_CHECKING:
    from gateway.adapter import Route
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_STALE = "this is an older copy: the upstream registry cannot be asked"


async def root(call: "Call") -> "Answer":
    """GET the registry itself."""
    return call.json({"db_name": str(call.repository.key), "registry": call.base})


async def ping(call: "Call") -> "Answer":
    """GET -/ping: whether anybody is there, whoever asks."""
    return call.json({})


async def packument(call: "Call") -> "Answer":
    """GET NAME: the full document, or the abbreviated one for those who want it (package-metadata.md)."""
    package, base = package_of(call), call.base
    if render.wants_corgi(call.accept):

        def write(listing: Listing) -> Rendered:
            return Rendered(render.corgi(listing, base), render.CORGI, weak=True)

        return _served(call, await call.pull.page(package, f"corgi {base}", write))

    def write_full(listing: Listing) -> Rendered:
        return Rendered(render.full(listing, base), render.JSON, weak=True)

    return _served(call, await call.pull.page(package, f"full {base}", write_full))


async def version(call: "Call") -> "Answer":
    """GET NAME/VERSION: one manifest, by number or tag (corepack asks so)."""
    package, base, wanted = package_of(call), call.base, call.path["version"]

    def write(listing: Listing) -> Rendered:
        return Rendered(render.version(listing, wanted, base), render.JSON, weak=True)

    return _served(call, await call.pull.page(package, f"version {wanted} {base}", write))


async def tarball(call: "Call") -> "Answer":
    """GET NAME/-/FILE: the bytes, whatever Accept says (pnpm and yarn 1 send that of documents)."""
    package, filename = package_of(call), call.path["filename"]
    names.version_of(package, filename)
    try:
        return call.file(await call.pull.file(package, filename))
    except FileUnknown as error:
        if call.pull.owner_mode(package) is OwnerMode.HOSTED:
            await call.pull.listing(package)  # a name without a package is unknown itself, with every file of it
        raise error from None


async def tags(call: "Call") -> "Answer":
    """GET -/package/NAME/dist-tags."""
    package = package_of(call)

    def write(listing: Listing) -> Rendered:
        return Rendered(render.tags(listing), render.JSON, weak=True)

    return _served(call, await call.pull.page(package, "tags", write))


async def visibility(call: "Call") -> "Answer":
    """GET -/package/NAME/visibility: whether everybody may read it; npm asks before it publishes provenance."""
    package = package_of(call)
    await call.pull.listing(package)
    return call.json({"public": routes_team.is_public(call, package)})


def _served(call: "Call", page: Page) -> "Answer":
    """The document; an old copy in place of one that cannot be had says so in words that npm prints (npm.md §16)."""
    if page.freshness == "trouble":
        page = replace(page, headers=(*page.headers, ("npm-notice", _STALE)))
    return call.page(page)


def _table(*groups: Any) -> "tuple[Route, ...]":
    return tuple(route for group in groups for route in group)


ROUTES = _table(
    routes("GET", "", root),
    routes("GET", "-/ping", ping, None),
    routes("GET", "-/package/NAME/dist-tags", tags),
    routes("GET", "-/package/NAME/visibility", visibility),
    routes_query.ROUTES,
    attested.ROUTES,
    routes_account.ROUTES,
    routes_team.ROUTES,
    routes_stage.ROUTES,
    routes("GET", "NAME/-/{filename}", tarball),
    routes("GET", "NAME/-/{filescope:@[^/]+}/{filename}", tarball),
    routes_publish.ROUTES,
    routes("GET", "NAME", packument),
    routes("GET", r"NAME/{version:(?!-\Z)[^/]+}", version),
)
