"""The documents of the v2 protocol: service document, metadata, and Atom feeds of packages (nuget.md §8).

Pure. Everything that comes from a package is escaped, and freed of what XML 1.0 cannot hold.
"""

import re
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from adapters.nuget.names import Range, Version
from adapters.nuget.registration import display_id, is_listed, is_semver2, package_hash, packages, published
from gateway.model import File, Listing

PAGE = 100
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
_ADO = "http://schemas.microsoft.com/ado/2007/08/dataservices"
_EDM = "http://schemas.microsoft.com/ado/2006/04/edm"
_EDMX = "http://schemas.microsoft.com/ado/2007/06/edmx"
_ATOM = "http://www.w3.org/2005/Atom"
_TYPE = "NuGetGallery.OData.V2FeedPackage"
_SIMPLE = re.compile(r"\[([^,]+), \)")

# name → type in the metadata; the order is that of the documents
_PROPERTIES = {
    "Id": "String",
    "Version": "String",
    "NormalizedVersion": "String",
    "Authors": "String",
    "Copyright": "String",
    "Created": "DateTime",
    "Dependencies": "String",
    "Description": "String",
    "DownloadCount": "Int32",
    "IconUrl": "String",
    "IsLatestVersion": "Boolean",
    "IsAbsoluteLatestVersion": "Boolean",
    "IsPrerelease": "Boolean",
    "Language": "String",
    "LastUpdated": "DateTime",
    "Listed": "Boolean",
    "Published": "DateTime",
    "PackageHash": "String",
    "PackageHashAlgorithm": "String",
    "PackageSize": "Int64",
    "ProjectUrl": "String",
    "ReleaseNotes": "String",
    "RequireLicenseAcceptance": "Boolean",
    "Summary": "String",
    "Tags": "String",
    "Title": "String",
    "LicenseUrl": "String",
    "VersionDownloadCount": "Int32",
    "MinClientVersion": "String",
}
_TEXTS = {
    "Authors": "authors",
    "Copyright": "copyright",
    "Description": "description",
    "Language": "language",
    "ReleaseNotes": "releaseNotes",
    "Summary": "summary",
    "MinClientVersion": "minClientVersion",
    "ProjectUrl": "projectUrl",
    "LicenseUrl": "licenseUrl",
    "IconUrl": "iconUrl",
}


class Entry(Struct, frozen=True):
    """One version, with the properties that a feed shows and a filter may ask for."""

    id: str
    version: Version
    properties: dict[str, Any]


def entries(listing: Listing, *, has_semver2: bool) -> list[Entry]:
    """All versions of a package in order; which of them are the latest is decided among the listed ones."""
    found = [(v, file) for v, file in packages(listing) if has_semver2 or not is_semver2(v, file)]
    listed = [version for version, file in found if is_listed(file)]
    stable = [version for version in listed if not version.is_prerelease]
    id_ = display_id(listing)
    return [Entry(id_, v, _properties(id_, v, file, v in stable[-1:], v in listed[-1:])) for v, file in found]


def service_document(base: str) -> bytes:
    """What clients probe first (Atom Publishing Protocol, RFC 5023 §8)."""
    return (
        f'{_HEAD}<service xml:base={quoteattr(base)} xmlns="http://www.w3.org/2007/app" xmlns:atom="{_ATOM}">'
        "<workspace><atom:title>Default</atom:title>"
        '<collection href="Packages"><atom:title>Packages</atom:title></collection>'
        "</workspace></service>"
    ).encode()


def metadata() -> bytes:
    """`$metadata`: nuget.exe 2.8 does nothing without it, later ones look for Search and IsAbsoluteLatestVersion."""
    required = {"Id", "Version"}
    properties = "".join(
        f'<Property Name="{name}" Type="Edm.{kind}"'
        + (' Nullable="false"' if name in required or kind != "String" else "")
        + " />"
        for name, kind in _PROPERTIES.items()
    )
    searched = {"searchTerm": "String", "targetFramework": "String", "includePrerelease": "Boolean"}
    parameters = "".join(f'<Parameter Name="{name}" Type="Edm.{kind}" />' for name, kind in searched.items())
    function = 'EntitySet="Packages" ReturnType="Collection(NuGetGallery.OData.V2FeedPackage)" m:HttpMethod="GET"'
    return (
        f'{_HEAD}<edmx:Edmx Version="1.0" xmlns:edmx="{_EDMX}"><edmx:DataServices m:DataServiceVersion="2.0" '
        f'xmlns:m="{_ADO}/metadata"><Schema Namespace="NuGetGallery.OData" xmlns="{_EDM}">'
        '<EntityType Name="V2FeedPackage" m:HasStream="true">'
        '<Key><PropertyRef Name="Id" /><PropertyRef Name="Version" /></Key>'
        f'{properties}</EntityType><EntityContainer Name="FeedContext" m:IsDefaultEntityContainer="true">'
        f'<EntitySet Name="Packages" EntityType="{_TYPE}" />'
        f'<FunctionImport Name="Search" {function}>{parameters}</FunctionImport>'
        f'<FunctionImport Name="FindPackagesById" {function}><Parameter Name="id" Type="Edm.String" />'
        "</FunctionImport></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    ).encode()


def feed(found: Iterable[Entry], base: str, title: str, *, total: int | None = None, more: str = "") -> bytes:
    """A page of packages. base: ends in `v2/`. total: for those who asked to count; more: where the next page is."""
    count = f"<m:count>{total}</m:count>" if total is not None else ""
    following = f'<link rel="next" href={quoteattr(more)} />' if more else ""
    body = "".join(_entry(one, base, "") for one in found)
    return (
        f"{_HEAD}<feed xml:base={quoteattr(base)} {_namespaces()}><id>{escape(base)}{escape(title)}</id>"
        f'<title type="text">{escape(title)}</title><updated>1970-01-01T00:00:00Z</updated>'
        f'<link rel="self" title={quoteattr(title)} href={quoteattr(title)} />{count}{body}{following}</feed>'
    ).encode()


def single(one: Entry, base: str) -> bytes:
    """One package."""
    return f"{_HEAD}{_entry(one, base, f' xml:base={quoteattr(base)} {_namespaces()}')}".encode()


def _namespaces() -> str:
    return f'xmlns="{_ATOM}" xmlns:d="{_ADO}" xmlns:m="{_ADO}/metadata"'


def _entry(one: Entry, base: str, attributes: str) -> str:
    id_, version = _text(one.id), _text(one.version.normalized)
    values = one.properties
    address = f"{base}Packages(Id='{id_}',Version='{version}')"
    shown = "".join(_property(name, kind, values[name]) for name, kind in _PROPERTIES.items())
    source = quoteattr(f"{base}package/{one.id}/{one.version.normalized}")
    return (
        f'<entry{attributes}><id>{address}</id><category term="{_TYPE}" scheme="{_ADO}/scheme" />'
        f'<title type="text">{id_}</title><summary type="text">{_text(values["Summary"] or "")}</summary>'
        f"<updated>{_text(values['LastUpdated'])}</updated>"
        f"<author><name>{_text(values['Authors'] or '')}</name></author>"
        f'<content type="application/zip" src={source} /><m:properties>{shown}</m:properties></entry>'
    )


def _property(name: str, kind: str, value: Any) -> str:
    typed = "" if kind == "String" else f' m:type="Edm.{kind}"'
    if value is None or value == "":
        return f'<d:{name}{typed} m:null="true" />'
    text = str(value).lower() if isinstance(value, bool) else _text(str(value))
    return f"<d:{name}{typed}>{text}</d:{name}>"


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("", text))


def _properties(id_: str, version: Version, file: File, is_latest: bool, is_newest: bool) -> dict[str, Any]:
    entry = file.facts["entry"]
    moment = published(file)
    digest = package_hash(file)
    return {
        **{name: entry.get(key) for name, key in _TEXTS.items()},
        "Id": id_,
        "Version": version.full,
        "NormalizedVersion": version.normalized,
        "Created": moment,
        "Dependencies": dependencies(entry.get("dependencyGroups", [])),
        "DownloadCount": 0,
        "IsLatestVersion": is_latest,
        "IsAbsoluteLatestVersion": is_newest,
        "IsPrerelease": version.is_prerelease,
        "LastUpdated": moment,
        "Listed": is_listed(file),
        "Published": moment if is_listed(file) else "1900-01-01T00:00:00",
        "PackageHash": digest,
        "PackageHashAlgorithm": "SHA512" if digest is not None else None,
        "PackageSize": file.size or 0,
        "RequireLicenseAcceptance": entry.get("requireLicenseAcceptance", False) is True,
        "Tags": " ".join(entry.get("tags", [])),
        "Title": entry.get("title", id_),
        "VersionDownloadCount": 0,
    }


def dependencies(groups: Iterable[dict[str, Any]]) -> str:
    """`id:range:framework|…`, an empty group as `::framework`."""
    found = []
    for group in groups:
        framework = group.get("targetFramework", "")
        found += [f"{one['id']}:{_range(one['range'])}:{framework}" for one in group["dependencies"]]
        if not group["dependencies"]:
            found.append(f"::{framework}")
    return "|".join(found)


def _range(text: str) -> str:
    """A range as old clients read it: `1.0.0` for "at least", and no spaces."""
    if text in {"", str(Range())}:
        return ""
    found = _SIMPLE.fullmatch(text)
    return found[1] if found is not None else text.replace(" ", "")
