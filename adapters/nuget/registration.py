"""Writing what clients read of a package: the flat container's versions, registrations and catalog leaves (§3, §4).

Pure. A hive is one of three views of the same listing: plain JSON and its gzipped twin know no SemVer 2.0.0 packages,
the third has all. Up to 127 versions stand in the index, more of them in pages of 64, as the NuGet gallery has it.
"""

import base64
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from adapters.nuget import names
from adapters.nuget.names import Range, Version
from gateway.errors import PackageUnknown, VersionUnknown
from gateway.model import File, Listing

INLINED = 127
PAGE = 64
_KEPT_OUT = {"packageTypes"}
_URLS = {"icon": "iconUrl", "readme": "readmeUrl", "license": "licenseUrl"}


class Hive(Struct, frozen=True):
    """One view. base: the address of the repository, ending in a slash. path: below it, with its slash."""

    base: str
    path: str
    is_semver2: bool

    def address(self, package: str, *more: str) -> str:
        """`…/registration/demo.core/index.json` and what else lies there."""
        return f"{self.base}{self.path}{package}/{'/'.join(more)}"


PATHS = {"registration": False, "registration-gz": False, "registration-semver2": True}


def packages(listing: Listing) -> list[tuple[Version, File]]:
    """The packages of a listing, without symbols, in the order of their versions."""
    found = [(Version.parse(file.facts["entry"]["version"]), file) for file in listing.files if "entry" in file.facts]
    return sorted(found, key=lambda pair: pair[0])


def is_semver2(version: Version, file: File) -> bool:
    """Whether clients before 4.3 could not read this package: its version, or one that it depends on."""
    if version.is_semver2:
        return True
    groups = file.facts["entry"].get("dependencyGroups", [])
    ranges = {one["range"] for group in groups for one in group["dependencies"]}
    return any("+" in text or (("-" in text and "." in text) and Range.parse(text).is_semver2) for text in ranges)


def is_listed(file: File) -> bool:
    """Whether searches show it."""
    return file.facts.get("listed") is not False


def display_id(listing: Listing) -> str:
    """The id in the casing of its first publish, or of the upstream's newest version."""
    known = listing.facts.get("id")
    if isinstance(known, str):
        return known
    found = packages(listing)
    return str(found[-1][1].facts["entry"]["id"]) if found else listing.package


def versions(listing: Listing) -> bytes:
    """`{"versions": […]}` of the flat container: everything that can be downloaded, lower case, ascending."""
    found = [version.key for version, _ in packages(listing)]
    if not found:
        raise PackageUnknown(f"no package {listing.package}")
    return msgspec.json.encode({"versions": found})


def index(listing: Listing, hive: Hive) -> bytes:
    """The registration index."""
    found = _visible(listing, hive)
    size = len(found) if len(found) <= INLINED else PAGE
    step = min(size, PAGE)
    pages = [
        _page(listing, hive, found[i : i + step], with_items=len(found) <= INLINED) for i in range(0, len(found), step)
    ]
    address = hive.address(listing.package, "index.json")
    return msgspec.json.encode({"@id": address, "@type": ["catalog:CatalogRoot"], "count": len(pages), "items": pages})


def page(listing: Listing, hive: Hive, lower: str, upper: str) -> bytes:
    """The page between two versions, whatever has been published since its address was given out."""
    low, high = Version.parse(lower), Version.parse(upper)
    found = [(version, file) for version, file in _visible(listing, hive) if low <= version <= high]
    if not found:
        raise VersionUnknown(f"{listing.package} has no versions from {lower} to {upper}")
    return msgspec.json.encode(_page(listing, hive, found, with_items=True))


def leaf(listing: Listing, hive: Hive, wanted: str) -> bytes:
    """One version, as `{version}.json` has it: where its entry and its package are."""
    version, file = find(_visible(listing, hive), wanted, listing.package)
    package = listing.package
    document = {
        "@id": hive.address(package, f"{version.key}.json"),
        "@type": ["Package"],
        "catalogEntry": _catalog(hive.base, package, version),
        "listed": is_listed(file),
        "packageContent": _content(hive.base, package, version),
        "published": published(file),
        "registration": hive.address(package, "index.json"),
    }
    return msgspec.json.encode(document)


def catalog_leaf(listing: Listing, base: str, wanted: str) -> bytes:
    """Everything about one version, with the hash that promises its bytes (catalog resource, "PackageDetails")."""
    version, file = find(packages(listing), wanted, listing.package)
    hive = Hive(base, "registration-semver2/", is_semver2=True)
    return msgspec.json.encode(_entry(listing, hive, version, file, is_whole=True))


def find(found: Iterable[tuple[Version, File]], wanted: str, package: str) -> tuple[Version, File]:
    """The version in any spelling; raises VersionUnknown."""
    version = Version.parse(wanted)
    for known, file in found:
        if known == version:
            return known, file
    raise VersionUnknown(f"{package} has no version {wanted[:80]}")


def published(file: File) -> str:
    """When it was published, as whoever published it said; clients compute ages with it."""
    return file.uploaded_at or "1900-01-01T00:00:00+00:00"


def package_hash(file: File) -> str | None:
    """The sha512 as NuGet writes it: base64."""
    hex_ = file.hashes.get("sha512")
    return base64.b64encode(bytes.fromhex(hex_)).decode() if hex_ is not None else None


def addresses(base: str, file: File, package: str, version: Version) -> dict[str, str]:
    """Our addresses of what is embedded in the package."""
    flat = f"{base}flat/{package}/{version.key}/"
    return {_URLS[kind]: f"{flat}{kind}" for kind in file.facts.get("embedded", ())}


def _visible(listing: Listing, hive: Hive) -> list[tuple[Version, File]]:
    found = packages(listing)
    if not hive.is_semver2:
        found = [(version, file) for version, file in found if not is_semver2(version, file)]
    if not found:
        raise PackageUnknown(f"no package {listing.package}")
    return found


def _page(listing: Listing, hive: Hive, found: list[tuple[Version, File]], *, with_items: bool) -> dict[str, Any]:
    lower, upper = found[0][0], found[-1][0]
    package = listing.package
    document: dict[str, Any] = {
        "@id": hive.address(package, "page", lower.key, f"{upper.key}.json"),
        "@type": "catalog:CatalogPage",
        "count": len(found),
        "lower": lower.normalized,
        "upper": upper.normalized,
        "parent": hive.address(package, "index.json"),
    }
    if with_items:
        document["items"] = [
            {
                "@id": hive.address(package, f"{version.key}.json"),
                "@type": "Package",
                "catalogEntry": _entry(listing, hive, version, file),
                "packageContent": _content(hive.base, package, version),
                "registration": hive.address(package, "index.json"),
            }
            for version, file in found
        ]
    return document


def _entry(listing: Listing, hive: Hive, version: Version, file: File, *, is_whole: bool = False) -> dict[str, Any]:
    package = listing.package
    entry = {key: value for key, value in file.facts["entry"].items() if is_whole or key not in _KEPT_OUT}
    groups = [
        {**group, "dependencies": [_dependency(hive, one) for one in group["dependencies"]]}
        for group in entry.get("dependencyGroups", [])
    ]
    whole: dict[str, Any] = {
        "@id": _catalog(hive.base, package, version),
        "@type": "PackageDetails",
        **entry,
        "id": entry["id"],
        "authors": entry.get("authors", ""),
        "description": entry.get("description", ""),
        "dependencyGroups": groups,
        "listed": is_listed(file),
        "published": published(file),
        "packageContent": _content(hive.base, package, version),
        **addresses(hive.base, file, package, version),
    }
    if (promise := package_hash(file)) is not None:
        whole |= {"packageHash": promise, "packageHashAlgorithm": "SHA512"}
        if file.size is not None:
            whole["packageSize"] = file.size
    return whole


def _dependency(hive: Hive, one: dict[str, str]) -> dict[str, str]:
    return {**one, "registration": hive.address(names.normalize(one["id"]), "index.json")}


def _catalog(base: str, package: str, version: Version) -> str:
    return f"{base}catalog/{package}/{version.key}.json"


def _content(base: str, package: str, version: Version) -> str:
    return f"{base}flat/{package}/{version.key}/{names.nupkg(package, version.key)}"
