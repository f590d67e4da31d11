"""The v2 protocol for clients that know no other: PowerShellGet, Chocolatey before 2, nuget.exe 2 (nuget.md §8)."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from adapters.nuget import names, odata, odata_filter, routes_publish
from adapters.nuget.addresses import base_of, known_package, package_of, routes, version_of
from adapters.nuget.odata import Entry
from gateway.errors import PackageUnknown, VersionUnknown
from gateway.model import Scope
from gateway.query import whole_number

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_XML = "application/xml; charset=utf-8"
_ATOM = "application/atom+xml; charset=utf-8; type=feed"
_ENTRY = "application/atom+xml; charset=utf-8; type=entry"
_TEXTS = ("Id", "Title", "Description", "Summary", "Tags", "Authors")


async def service(call: "Call") -> "Answer":
    """GET v2/: the service document, which clients probe first."""
    return _answer(call, odata.service_document(_base(call)), _XML)


async def metadata(call: "Call") -> "Answer":
    """GET v2/$metadata: the properties and functions that there are."""
    return _answer(call, odata.metadata(), _XML)


async def find(call: "Call") -> "Answer":
    """GET v2/FindPackagesById()?id='X': all versions of one package, listed or not."""
    found = await _versions(call, _unquoted(call.query.get("id", "")))
    return _feed(call, "FindPackagesById", _filtered(call, found))


async def search(call: "Call") -> "Answer":
    """GET v2/Search()?searchTerm='x': what is published here; of an upstream only what the filter names."""
    words = _unquoted(call.query.get("searchTerm", "")).lower().split()
    has_prerelease = call.query.get("includePrerelease", "false").lower() == "true"

    def accepts(one: Entry) -> bool:
        values = one.properties
        text = " ".join(str(values[name] or "").lower() for name in _TEXTS)
        return (
            bool(values["Listed"])
            and (has_prerelease or not one.version.is_prerelease)
            and all(word in text for word in words)
        )

    return _feed(call, "Search", [one for one in _filtered(call, await _all(call)) if accepts(one)])


async def packages(call: "Call") -> "Answer":
    """GET v2/Packages(): what is published here; of an upstream only what the filter names."""
    return _feed(call, "Packages", _filtered(call, await _all(call)))


async def package(call: "Call") -> "Answer":
    """GET v2/Packages(Id='X',Version='V'): one version."""
    package, wanted = package_of(call), version_of(call)
    for one in odata.entries(await call.pull.listing(package), has_semver2=True):
        if one.version.key == wanted:
            return _answer(call, odata.single(one, _base(call)), _ENTRY)
    raise VersionUnknown(f"{package} has no version {wanted}")


async def download(call: "Call") -> "Answer":
    """GET v2/package/ID/VERSION: the package, as the entries' content says."""
    package = package_of(call)
    return call.file(await call.pull.file(package, names.nupkg(package, version_of(call))))


async def _versions(call: "Call", id_: str) -> list[Entry]:
    """The entries of one package; none for what is unknown, which v2 clients take as an empty feed."""
    try:
        listing = await call.pull.listing(known_package(call, id_))
    except PackageUnknown:
        return []
    return odata.entries(listing, has_semver2=_has_semver2(call))


async def _all(call: "Call") -> list[Entry]:
    """Everything that a filter may choose from: one package if it names one, else all that are published here."""
    wanted = odata_filter.parse(call.query.get("$filter", "")).id
    if wanted:
        return await _versions(call, wanted)
    has_semver2 = _has_semver2(call)
    listings = sorted(await call.pull.hosted_listings(), key=lambda listing: listing.package)
    return [one for listing in listings for one in odata.entries(listing, has_semver2=has_semver2)]


def _filtered(call: "Call", found: list[Entry]) -> list[Entry]:
    wanted = odata_filter.parse(call.query.get("$filter", ""))
    kept = [one for one in found if wanted.accepts(one.properties)]
    if call.query.get("$orderby", "").lower() in {"version desc", "normalizedversion desc"}:
        kept.sort(key=lambda one: one.version, reverse=True)
    return kept


def _feed(call: "Call", title: str, found: list[Entry]) -> "Answer":
    """A page of the feed, or only how many there are."""
    if "count" in call.path:
        return call.text(str(len(found)))
    query = call.query
    skip, top = whole_number(query, "$skip", 0), min(whole_number(query, "$top", odata.PAGE), odata.PAGE)
    page = found[skip : skip + top]
    wanted = whole_number(query, "$top", len(found))
    more = ""
    if len(page) < wanted and skip + top < len(found):
        following = {**query, "$skip": str(skip + top)}
        if "$top" in query:
            following["$top"] = str(wanted - len(page))
        more = f"{_base(call)}{title}()?{urlencode(following)}"
    total = len(found) if query.get("$inlinecount") == "allpages" else None
    return _answer(call, odata.feed(page, _base(call), title, total=total, more=more), _ATOM)


def _answer(call: "Call", body: bytes, content_type: str) -> "Answer":
    answer = call.text(
        "", content_type=content_type, headers=(("DataServiceVersion", "2.0;"), ("Cache-Control", "no-cache"))
    )
    answer.body = body
    return answer


def _base(call: "Call") -> str:
    return f"{base_of(call)}v2/"


def _has_semver2(call: "Call") -> bool:
    return call.query.get("semVerLevel", "").startswith("2.")


def _unquoted(text: str) -> str:
    """An OData text: `'it''s'`; some clients leave the quotes out."""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text


_COUNT = "{count:[$]count}"
_KEY = "(Id='{id:[^']+}',Version='{version:[^']+}')"

ROUTES = (
    *routes("GET", "v2", service),
    *routes("GET", "v2/", service),
    *routes("GET", "v2/$metadata", metadata),
    *(
        route
        for name, handler in (("FindPackagesById", find), ("Search", search), ("Packages", packages))
        for ending in ("()", "")
        for count in ("", f"/{_COUNT}")
        for route in routes("GET", f"v2/{name}{ending}{count}", handler)
    ),
    *routes("GET", f"v2/Packages{_KEY}", package),
    *routes("GET", "v2/package/{id}/{version}", download),
    *routes("PUT", "v2", routes_publish.push, Scope.WRITE),
    *routes("PUT", "v2/", routes_publish.push, Scope.WRITE),
    *routes("PUT", "v2/package", routes_publish.push, Scope.WRITE),
    *routes("PUT", "v2/package/", routes_publish.push, Scope.WRITE),
    *routes("DELETE", "v2/package/{id}/{version}", routes_publish.delete, Scope.WRITE),
    *routes("DELETE", "v2/{id}/{version}", routes_publish.delete, Scope.WRITE),
    *routes("POST", "v2/package/{id}/{version}", routes_publish.relist, Scope.WRITE),
)
