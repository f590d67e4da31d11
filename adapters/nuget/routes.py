"""Reading packages: the service index, the flat container, registrations; and the table of all NuGet routes."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from adapters.nuget import (
    names,
    registration,
    routes_mirror,
    routes_publish,
    routes_query,
    routes_symbols,
    routes_v2,
    service_index,
)
from adapters.nuget.addresses import base_of, filename_of, package_of, routes, version_of
from adapters.nuget.registration import PATHS, Hive
from gateway.errors import FileUnknown, Invalid, PackageUnknown
from gateway.model import Listing
from gateway.rendered import Rendered

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

JSON = "application/json"
_FEW_VERSIONS = "text/plain; charset=utf-8"
_GUARDED = (("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "sandbox; default-src 'none'"))
_SIDECARS = {"nuspec": "application/xml", "readme": _FEW_VERSIONS, "license": _FEW_VERSIONS}


async def index(call: "Call") -> "Answer":
    """GET index.json: the service index; with vulnerabilities and signatures where the upstream has them."""
    kinds = await routes_mirror.mirrored(call)
    document = service_index.render(
        base_of(call),
        _details_of(call),
        has_vulnerabilities=routes_mirror.VULNERABILITIES in kinds,
        has_signatures=any(kind in kinds for kind in routes_mirror.SIGNATURES),
    )
    return call.page(routes_mirror.page(call, document))


def _details_of(call: "Call") -> str:
    """The dashboard's page of a package; empty where the repository's address does not say where the dashboard is."""
    path = f"{call.repository.key}/"
    return f"{call.base.removesuffix(path)}-/ui/repositories/{path}packages/{{id}}" if call.base.endswith(path) else ""


# ── the flat container ───────────────────────────────────────────────────────────────────────────────────────────
async def versions(call: "Call") -> "Answer":
    """GET flat/ID/index.json: every version that can be downloaded, listed or not."""

    def render(listing: Listing) -> Rendered:
        return Rendered(registration.versions(listing), JSON)

    return call.page(await call.pull.page(package_of(call), "versions", render))


async def download(call: "Call") -> "Answer":
    """GET flat/ID/VERSION/FILE: the package, its nuspec, or what is embedded in it."""
    package, version, filename = package_of(call), version_of(call), call.path["filename"]
    if filename.lower() == f"{package}.nuspec":
        return await _sidecar(call, package, version, "nuspec")
    if filename in {"icon", "readme", "license"}:
        return await _sidecar(call, package, version, filename)
    return call.file(await call.pull.file(package, filename_of(package, version, filename)))


async def _sidecar(call: "Call", package: str, version: str, kind: str) -> "Answer":
    name = names.nupkg(package, version)
    opened = await call.pull.sidecar(package, name, kind)
    content_type = _SIDECARS.get(kind, "")
    if not content_type:
        content_type = await _image_type(call, package, name)
    return call.file(opened, content_type=content_type, headers=_GUARDED)


async def _image_type(call: "Call", package: str, filename: str) -> str:
    """What kind of picture was published; an upstream's is not said to be any, and so is never run as something."""
    file = (await call.pull.listing(package)).find(filename)
    if file is None:
        raise FileUnknown(f"{package} has no file {filename}")
    return str(file.facts.get("icon_type", "application/octet-stream"))


# ── registrations ────────────────────────────────────────────────────────────────────────────────────────────────
Render = Callable[[Listing, Hive], bytes]


def hive_routes(path: str) -> tuple[tuple[str, "Callable[[Call], Awaitable[Answer]]"], ...]:
    """The three addresses of one hive."""
    is_semver2 = PATHS[path]

    async def answer(call: "Call", what: str, render: Render) -> "Answer":
        package, hive = package_of(call), Hive(base_of(call), f"{path}/", is_semver2)

        def write(listing: Listing) -> Rendered:
            return Rendered(render(listing, hive), JSON)

        page = await call.pull.page(package, f"{path} {what} {hive.base}", write)
        return call.page(replace(page, gzip=None) if path == "registration" else page)

    async def whole(call: "Call") -> "Answer":
        """GET registration/ID/index.json: all versions, or the pages that have them."""
        return await answer(call, "index", registration.index)

    async def page(call: "Call") -> "Answer":
        """GET registration/ID/page/LOWER/UPPER.json: the versions between two."""
        low, high = call.path["lower"], call.path["upper"]
        return await answer(call, f"page {low} {high}", _known(lambda x, hive: registration.page(x, hive, low, high)))

    async def leaf(call: "Call") -> "Answer":
        """GET registration/ID/VERSION.json: where one version's entry and package are."""
        wanted = call.path["version"]
        return await answer(call, f"leaf {wanted}", _known(lambda x, hive: registration.leaf(x, hive, wanted)))

    return (("index.json", whole), ("page/{lower}/{upper:[^/]+(?=[.]json)}.json", page), (_LEAF, leaf))


_LEAF = "{version:[^/]+(?=[.]json)}.json"


def _known(render: Render) -> Render:
    """A version that is none is not there, rather than a mistake of the client's."""

    def careful(listing: Listing, hive: Hive) -> bytes:
        try:
            return render(listing, hive)
        except Invalid as error:
            raise PackageUnknown(error.message) from error

    return careful


async def catalog(call: "Call") -> "Answer":
    """GET catalog/ID/VERSION.json: everything about one version, with the hash that promises its bytes."""
    package, base, wanted = package_of(call), base_of(call), version_of(call)

    def write(listing: Listing) -> Rendered:
        return Rendered(registration.catalog_leaf(listing, base, wanted), JSON)

    return call.page(await call.pull.page(package, f"catalog {wanted} {base}", write))


ROUTES = (
    *routes("GET", "index.json", index),
    *routes("GET", "flat/{id}/index.json", versions),
    *routes("GET", "flat/{id}/{version}/{filename}", download),
    *(
        route
        for path in PATHS
        for pattern, handler in hive_routes(path)
        for route in routes("GET", f"{path}/{{id}}/{pattern}", handler)
    ),
    *routes("GET", "catalog/{id}/{version:[^/]+(?=[.]json)}.json", catalog),
    *routes_query.ROUTES,
    *routes_publish.ROUTES,
    *routes_mirror.ROUTES,
    *routes_symbols.ROUTES,
    *routes_v2.ROUTES,
)
