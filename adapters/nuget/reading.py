"""Reading an upstream: its service index, registrations (whole, paged, or none at all) and catalog leaves.

Pure. What an upstream says is kept in a file's facts, as the same members that a published package has:

- `entry`: the members of `catalogEntry` that we show, checked for their form; no address of the upstream among them.
- `listed`: False for a version that is only there for those who know it.
- `embedded`: kinds among `icon`, `readme`, `license` that belong to the version; `urls`: where an upstream has them.
- `leaf`: for an upstream's file, the catalog leaf that promises its hash; absent where it was promised already.

A listing's facts hold `pages`, the addresses of pages that a registration does not carry itself.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from adapters.nuget import names
from adapters.nuget.names import Range, Version
from gateway.errors import Invalid, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document
from gateway.model import File, Listing
from gateway.upstream.addresses import is_permitted_host, parse_address

JSON = "application/json"
REGISTRATIONS = (
    "RegistrationsBaseUrl/Versioned",
    "RegistrationsBaseUrl/3.6.0",
    "RegistrationsBaseUrl/3.4.0",
    "RegistrationsBaseUrl/3.0.0-rc",
    "RegistrationsBaseUrl/3.0.0-beta",
    "RegistrationsBaseUrl",
)
FLAT = "PackageBaseAddress/3.0.0"
_TEXTS = (
    "title",
    "description",
    "summary",
    "copyright",
    "language",
    "releaseNotes",
    "licenseExpression",
    "minClientVersion",
    "projectUrl",
    "iconUrl",
    "licenseUrl",
    "readmeUrl",
)
_URLS = {"iconUrl": "icon", "licenseUrl": "license", "readmeUrl": "readme"}
_LONGEST = 40_000
_NOT_LISTED = "1900-01-01"
_REASONS = frozenset({"Legacy", "CriticalBugs", "Other"})


def parse_directory(document: Document) -> Listing:
    """A service index as a listing of nothing: `resources` maps each @type to its address. Raises UpstreamCorrupt."""
    index = _object(document)
    resources = index.get("resources")
    if not str(index.get("version", "")).startswith("3.") or not isinstance(resources, list):
        raise UpstreamCorrupt("not a NuGet v3 service index", url=document.url)
    found: dict[str, str] = {}
    for resource in resources:
        if not isinstance(resource, dict) or not isinstance(address := resource.get("@id"), str):
            continue
        kinds = resource.get("@type")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if isinstance(kind, str) and address.startswith(("https://", "http://")):
                found.setdefault(kind, address)
    return Listing("", (), {"resources": found})


def locate(package: str, directory: Listing) -> Ask:
    """Where this upstream has its registration of a package, or at least its versions."""
    resources: Mapping[str, str] = directory.facts["resources"]
    for kind in (*REGISTRATIONS, FLAT):
        if kind in resources:
            return Ask(f"{resources[kind].removesuffix('/')}/{package}/index.json", JSON)
    raise UpstreamTrouble("the upstream's service index names no registrations and no packages")


def parse(package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
    """A registration index, one of its pages, or a list of versions; entries that cannot be true are dropped."""
    value = _object(document)
    reader = _Reader(package, document.url, origin, hosts)
    if isinstance(versions := value.get("versions"), list):
        return Listing(package, tuple(reader.bare(version) for version in versions if isinstance(version, str)))
    items = value.get("items")
    if not isinstance(items, list):
        raise UpstreamCorrupt("not a NuGet registration", url=document.url)
    pages: list[str] = []
    leaves: list[Any] = []
    for item in items:
        if not isinstance(item, dict) or "catalogEntry" in item:
            leaves.append(item)
        elif isinstance(item.get("items"), list):
            leaves += item["items"]
        elif isinstance(address := item.get("@id"), str):
            pages.append(address)
    files = tuple(file for leaf in leaves if (file := reader.file(leaf)) is not None)
    if leaves and not files and reader.elsewhere:
        raise UpstreamCorrupt(f"all packages are on {reader.elsewhere}, which this upstream's `hosts` does not list")
    return Listing(package, files, {"pages": tuple(pages)})


def join(listing: Listing, rest: Sequence[Listing]) -> Listing:
    """An index and its pages; of a version that is there twice, the first."""
    files = {file.version: file for part in (*reversed(rest), listing) for file in reversed(part.files)}
    return Listing(listing.package, tuple(files.values()), {"pages": ()})


def ask_promise(file: File) -> Ask | None:
    """The catalog leaf that promises the file's hash, where the registration did not."""
    leaf = file.facts.get("leaf")
    return Ask(leaf, JSON) if isinstance(leaf, str) else None


def read_promise(file: File, document: Document | None) -> File:
    """The file with the hash and size that its catalog leaf promises; raises UpstreamCorrupt for another's leaf."""
    if document is None:
        return file
    leaf = _object(document)
    try:
        version = names.version_key(str(leaf.get("version", "")))
    except Invalid:
        version = ""
    if version != file.version:
        raise UpstreamCorrupt("the catalog leaf is about another version", url=document.url)
    hashes, size = _promises(leaf)
    return replace(file, hashes={**file.hashes, **hashes}, size=size if hashes else file.size)


class _Reader:
    """Reads the leaves of one document."""

    def __init__(self, package: str, url: str, origin: str, hosts: frozenset[str]) -> None:
        self._package = package
        self._url = url
        self._origin = origin
        self._hosts = hosts
        self.elsewhere = ""

    def file(self, leaf: Any) -> File | None:
        """One version, or None if it cannot be true: another id, no version, a package that lies elsewhere."""
        entry = leaf.get("catalogEntry") if isinstance(leaf, dict) else None
        if not isinstance(entry, dict):
            return None
        try:
            version = Version.parse(str(entry.get("version", "")))
        except Invalid:
            return None
        url = self._permitted(leaf.get("packageContent") or entry.get("packageContent"))
        if str(entry.get("id", self._package)).lower() != self._package or url is None:
            return None
        hashes, size = _promises(entry)
        published = entry.get("published")
        uploaded_at = published if isinstance(published, str) and len(published) < 64 else None
        facts = self._facts(entry, version, url)
        leaf_url = self._permitted(entry.get("@id"))
        if not hashes and leaf_url is not None:
            facts["leaf"] = leaf_url
        if entry.get("listed") is False or (uploaded_at or "").startswith(_NOT_LISTED):
            facts["listed"] = False
        filename = names.nupkg(self._package, version.key)
        return File(filename, version.key, hashes, size if hashes else None, uploaded_at, url, self._origin, facts)

    def bare(self, text: str) -> File:
        """A version of which only the number is known; raises UpstreamCorrupt for what is none."""
        try:
            version = Version.parse(text)
        except Invalid as error:
            raise UpstreamCorrupt(f"the upstream lists {text[:80]!r} as a version", url=self._url) from error
        filename = names.nupkg(self._package, version.key)
        folder = self._url.removesuffix("index.json")
        url = f"{folder}{version.key}/{filename}"
        entry = {"id": self._package, "version": version.full, "dependencyGroups": []}
        return File(filename, version.key, {}, None, None, url, self._origin, {"entry": entry, "urls": _beside(url)})

    def _facts(self, raw: Mapping[str, Any], version: Version, url: str) -> dict[str, Any]:
        entry = _entry(raw)
        entry["id"], entry["version"] = str(raw.get("id", self._package)), version.full
        urls = _beside(url)
        embedded = []
        for member, kind in _URLS.items():
            address = entry.get(member)
            if address is not None and self._permitted(address) is not None:
                urls[kind] = address
                embedded.append(kind)
                del entry[member]
        return {"entry": entry, "urls": urls, "embedded": embedded}

    def _permitted(self, address: Any) -> str | None:
        """The address, if it is one of this upstream's and no less secure than the document's."""
        if not isinstance(address, str) or not address.startswith(("https://", "http://")):
            return None
        try:
            url = parse_address(address)
        except ValueError:
            return None
        if not is_permitted_host(url, self._hosts):
            self.elsewhere = f"{url.scheme}://{url.host}"
            return None
        return None if self._url.startswith("https:") and url.scheme == "http" else address


def _beside(url: str) -> dict[str, str]:
    """What lies beside a package in a flat container."""
    folder, _, filename = url.rpartition("/")
    parts = folder.split("/")
    if len(parts) < 3 or filename.lower() != f"{parts[-2]}.{parts[-1]}.nupkg".lower():
        return {}
    return {"nuspec": f"{folder}/{parts[-2]}.nuspec"}


def _object(document: Document) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(document.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("the upstream's document is not JSON", url=document.url) from error
    if not isinstance(value, dict):
        raise UpstreamCorrupt("the upstream's document is not an object", url=document.url)
    return value


def _promises(value: Mapping[str, Any]) -> tuple[dict[str, str], int | None]:
    """The sha512 that `packageHash` promises, as hex, and the size in bytes."""
    encoded, size = value.get("packageHash"), value.get("packageSize")
    if not isinstance(encoded, str) or str(value.get("packageHashAlgorithm", "")).upper() != "SHA512":
        return {}, None
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return {}, None
    known = size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None
    return ({"sha512": digest.hex()}, known) if len(digest) == 64 else ({}, None)


def _entry(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a `catalogEntry` that we show, each of its proper form."""
    entry: dict[str, Any] = {}
    for name in _TEXTS:
        if isinstance(text := raw.get(name), str) and text:
            entry[name] = text[:_LONGEST]
    authors, tags = raw.get("authors"), raw.get("tags")
    people = ", ".join(_words(authors)) if isinstance(authors, list) else authors
    if isinstance(people, str) and people:
        entry["authors"] = people[:_LONGEST]
    entry["tags"] = tags.split() if isinstance(tags, str) else _words(tags)
    if raw.get("requireLicenseAcceptance") is True:
        entry["requireLicenseAcceptance"] = True
    entry["dependencyGroups"] = [_group(group) for group in _objects(raw.get("dependencyGroups"))]
    kinds = [{"name": one["name"]} for one in _objects(raw.get("packageTypes")) if isinstance(one.get("name"), str)]
    if kinds:
        entry["packageTypes"] = kinds
    if isinstance(deprecation := raw.get("deprecation"), dict):
        entry["deprecation"] = deprecation_of(deprecation)
    if known := _vulnerabilities(raw.get("vulnerabilities")):
        entry["vulnerabilities"] = known
    return entry


def entry_of_search(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a search result that we pass on; an icon is not, since it lies with the upstream."""
    entry = {key: value for key, value in _entry(raw).items() if key not in {*_URLS, "dependencyGroups"}}
    people, owners = raw.get("authors"), raw.get("owners")
    return {
        **entry,
        "id": str(raw["id"]),
        "version": str(raw.get("version", ""))[:256],
        "description": entry.get("description", ""),
        "authors": _words(people) if isinstance(people, list) else [str(people)] if people else [],
        "owners": _words(owners) if isinstance(owners, list) else [str(owners)] if owners else [],
        "packageTypes": entry.get("packageTypes", [{"name": "Dependency"}]),
    }


def deprecation_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A deprecation, as registrations have it."""
    found: dict[str, Any] = {"reasons": [word for word in _words(raw.get("reasons")) if word in _REASONS] or ["Other"]}
    if isinstance(message := raw.get("message"), str) and message:
        found["message"] = message[:_LONGEST]
    other = raw.get("alternatePackage")
    if isinstance(other, dict) and names.is_id(str(other.get("id", ""))):
        found["alternatePackage"] = {"id": other["id"], "range": _range(other.get("range"), "*")}
    return found


def _vulnerabilities(raw: Any) -> list[dict[str, str]]:
    return [
        {"advisoryUrl": url, "severity": str(one.get("severity", "0"))[:2]}
        for one in _objects(raw)
        if isinstance(url := one.get("advisoryUrl"), str)
    ]


def _group(raw: Mapping[str, Any]) -> dict[str, Any]:
    group: dict[str, Any] = {
        "dependencies": [
            {"id": id_, "range": _range(one.get("range"), "")}
            for one in _objects(raw.get("dependencies"))
            if isinstance(id_ := one.get("id"), str) and names.is_id(id_)
        ]
    }
    if isinstance(framework := raw.get("targetFramework"), str) and framework:
        group["targetFramework"] = framework
    return group


def _range(text: Any, default: str) -> str:
    """A range as it stands where it is one."""
    if not isinstance(text, str) or text == "*":
        return default
    try:
        return str(Range.parse(text))
    except Invalid:
        return default


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _words(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
