"""Search and autocomplete: what a query means, which packages answer it, and how an answer looks (nuget.md §5).

Pure. Packages that are published here are matched here and come first; an upstream's answer is read, filtered,
and its addresses become ours.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from adapters.nuget import names
from adapters.nuget.names import Version
from adapters.nuget.reading import entry_of_search
from adapters.nuget.registration import Hive, addresses, display_id, is_listed, is_semver2, packages
from gateway.errors import Invalid, UpstreamCorrupt
from gateway.model import File, Listing
from gateway.query import whole_number

MAX_TAKE = 1000
_DEFAULT_TAKE = 20
_FIELDS = frozenset({"id", "packageid", "version", "title", "tags", "tag", "author", "authors", "owner", "description"})
_WORD = re.compile(r'(?:(\w+):)?(?:"([^"]*)"|(\S+))')
_NAMES = re.compile(r"[a-z0-9_]+(?:[.-][a-z0-9_]+)*")
_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Query(Struct, frozen=True):
    """A search. words: all must be found somewhere. fields: name → values. package_type: lower case, empty for any."""

    text: str
    words: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    skip: int
    take: int
    has_prerelease: bool
    has_semver2: bool
    package_type: str

    def is_about(self, package: str) -> bool:
        """Whether a canonical id has any word of the query, so that it is looked at before others."""
        return any(word in package for word in (*self.words, *(value for _, value in self.fields)))

    def names(self) -> Iterable[str]:
        """Everything in the query that could be a package's id, and must not reach an upstream if it is ours."""
        return _NAMES.findall(self.text.lower())


class Found(Struct, frozen=True):
    """A package that a search shows: the versions that the query may see, ascending, never none."""

    listing: Listing
    versions: tuple[tuple[Version, File], ...]

    @property
    def entry(self) -> Mapping[str, Any]:
        """What the newest of them says of itself."""
        entry: Mapping[str, Any] = self.versions[-1][1].facts["entry"]
        return entry


def parse_query(query: Mapping[str, str], name: str = "q") -> Query:
    """The query of a search URL; raises Invalid for numbers that are none."""
    text = query.get(name, "").strip()[:500]
    words: list[str] = []
    fields: list[tuple[str, str]] = []
    for found in _WORD.finditer(text):
        field, value = (found[1] or "").lower(), (found[2] if found[2] is not None else found[3]).lower()
        if field in _FIELDS:
            fields.append((field, value))
        elif value:
            words.append(f"{field}:{value}" if field else value)
    kinds = (query.get(key, "") for key in ("packageType", "packageTypes", "packageTypeFilter"))
    return Query(
        text,
        tuple(words),
        tuple(fields),
        whole_number(query, "skip", 0),
        min(whole_number(query, "take", _DEFAULT_TAKE), MAX_TAKE),
        query.get("prerelease", "").lower() == "true",
        query.get("semVerLevel", "").startswith("2."),
        next((kind.lower() for kind in kinds if kind), ""),
    )


def find(listing: Listing, query: Query) -> Found | None:
    """The package with the versions that the query may see, whatever it asks for; None without any."""
    versions = tuple(
        (version, file)
        for version, file in packages(listing)
        if is_listed(file)
        and (query.has_prerelease or not version.is_prerelease)
        and (query.has_semver2 or not is_semver2(version, file))
    )
    return Found(listing, versions) if versions else None


def matches(found: Found, query: Query, owner: str) -> bool:
    """Whether the package is what was asked for."""
    entry, id_ = found.entry, display_id(found.listing)
    if query.package_type and query.package_type not in {kind.lower() for kind in _types(entry)}:
        return False
    tags = [tag.lower() for tag in entry.get("tags", [])]
    texts = [id_, *(str(entry.get(name, "")) for name in ("title", "description", "summary", "authors")), *tags]
    haystack = " ".join((*(text.lower() for text in texts), *_tokens(id_)))
    tests: dict[str, Callable[[str], bool]] = {
        "packageid": lambda value: value == found.listing.package,
        "id": lambda value: value in found.listing.package,
        "version": lambda value: any(_is(version, value) for version, _ in found.versions),
        "title": lambda value: value in str(entry.get("title", id_)).lower(),
        "tags": lambda value: value in tags,
        "author": lambda value: value in str(entry.get("authors", "")).lower(),
        "owner": lambda value: value == owner.lower(),
        "description": lambda value: value in str(entry.get("description", "")).lower(),
    }
    tests |= {"tag": tests["tags"], "authors": tests["author"]}
    by_field: dict[str, list[str]] = {}
    for field, value in query.fields:
        by_field.setdefault(field, []).append(value)
    return all(word in haystack for word in query.words) and all(
        any(tests[field](value) for value in values) for field, values in by_field.items()
    )


def rank(found: Iterable[Found], query: Query) -> list[Found]:
    """Best first: the id itself, ids that begin so, then the others; each by name."""
    text = query.text.lower()

    def place(one: Found) -> tuple[bool, bool, str]:
        package = one.listing.package
        return (package != text, not package.startswith(text), package)

    return sorted(found, key=place)


def hit(found: Found, base: str, owner: str, *, is_reserved: bool) -> dict[str, Any]:
    """One package as a search result."""
    hive = Hive(base, "registration-semver2/", is_semver2=True)
    package, (version, file) = found.listing.package, found.versions[-1]
    entry = found.entry
    address = hive.address(package, "index.json")
    shown = {
        key: entry[key]
        for key in ("iconUrl", "licenseUrl", "projectUrl", "vulnerabilities", "deprecation")
        if key in entry
    }
    if "vulnerabilities" in shown:
        shown["vulnerabilities"] = [
            {**one, "severity": int(one["severity"]) if one["severity"].isdigit() else 0}
            for one in shown["vulnerabilities"]
        ]
    return {
        "@id": address,
        "@type": "Package",
        "registration": address,
        "id": display_id(found.listing),
        "version": version.full,
        "description": entry.get("description", ""),
        "summary": entry.get("summary", ""),
        "title": entry.get("title", display_id(found.listing)),
        "tags": entry.get("tags", []),
        "authors": [entry["authors"]] if entry.get("authors") else [],
        "owners": [owner],
        "totalDownloads": 0,
        "verified": is_reserved,
        "packageTypes": [{"name": name} for name in _types(entry)],
        "versions": [
            {"version": one.full, "downloads": 0, "@id": hive.address(package, f"{one.key}.json")}
            for one, _ in found.versions
        ],
        **shown,
        **addresses(base, file, package, version),
    }


def answer(hits: list[dict[str, Any]], total: int) -> dict[str, Any]:
    """The whole answer."""
    return {"totalHits": total, "data": hits}


def upstream_query(query: Query, ours: int) -> str:
    """The query string for what follows after `ours` matches of our own."""
    wanted: dict[str, str] = {
        "q": query.text,
        "skip": str(max(0, query.skip - ours)),
        "take": str(query.take),
        "prerelease": str(query.has_prerelease).lower(),
    }
    if query.has_semver2:
        wanted["semVerLevel"] = "2.0.0"
    if query.package_type:
        wanted["packageType"] = query.package_type
    return urlencode(wanted)


def parse_answer(body: bytes, base: str, may_show: Callable[[str], bool]) -> tuple[list[dict[str, Any]], int]:
    """An upstream's hits that may be shown, at our addresses, and its total; raises UpstreamCorrupt."""
    try:
        value = msgspec.json.decode(body)
        data, total = value["data"], int(value.get("totalHits", 0))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("an upstream's search answer cannot be read") from error
    hits = []
    for one in data if isinstance(data, list) else ():
        id_ = one.get("id") if isinstance(one, dict) else None
        if isinstance(id_, str) and names.is_id(id_) and may_show(names.normalize(id_)):
            hits.append(_theirs(one, names.normalize(id_), base))
    return hits, max(total, len(hits))


def parse_ids(body: bytes, may_show: Callable[[str], bool]) -> list[str]:
    """The ids of an upstream's autocompletion that may be shown; raises UpstreamCorrupt."""
    try:
        data = msgspec.json.decode(body)["data"]
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("an upstream's autocompletion cannot be read") from error
    listed = data if isinstance(data, list) else []
    return [id_ for id_ in listed if isinstance(id_, str) and names.is_id(id_) and may_show(names.normalize(id_))]


def _theirs(one: Mapping[str, Any], package: str, base: str) -> dict[str, Any]:
    """An upstream's hit: only members that we know, without an address of the upstream's own."""
    hive = Hive(base, "registration-semver2/", is_semver2=True)
    address = hive.address(package, "index.json")
    versions = []
    for version in one.get("versions", []) if isinstance(one.get("versions"), list) else ():
        try:
            parsed = Version.parse(str(version["version"]))
        except (Invalid, KeyError, TypeError):
            continue
        downloads = version.get("downloads")
        count = downloads if isinstance(downloads, int) else 0
        versions.append(
            {"version": parsed.full, "downloads": count, "@id": hive.address(package, f"{parsed.key}.json")}
        )
    downloads = one.get("totalDownloads")
    return {
        "@id": address,
        "@type": "Package",
        "registration": address,
        **entry_of_search(one),
        "totalDownloads": downloads if isinstance(downloads, int) else 0,
        "verified": one.get("verified") is True,
        "versions": versions,
    }


def _types(entry: Mapping[str, Any]) -> list[str]:
    return [str(one["name"]) for one in entry.get("packageTypes", [])] or ["Dependency"]


def _tokens(id_: str) -> list[str]:
    """`JsonNetCore.Extra` as words: json, net, core, extra."""
    return [token.lower() for token in _TOKENS.findall(id_)]


def _is(version: Version, text: str) -> bool:
    try:
        return version == Version.parse(text)
    except Invalid:
        return False
