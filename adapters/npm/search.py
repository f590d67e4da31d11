"""`-/v1/search`: what a query means, and how an answer looks (npm/registry docs, REGISTRY-API.md).

Pure. Hosted packages are matched here and come first; an upstream's page is only read, filtered and renumbered.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from adapters.npm import names, semver
from adapters.npm.packument import manifest_of
from gateway.errors import Invalid, UpstreamCorrupt
from gateway.model import Listing
from gateway.query import whole_number

# A name within quotes, brackets or a list, or before `@version`, is one all the same to whoever searches for it.
_NAMES = re.compile(r"@[a-z0-9-][a-z0-9._-]*(?:/[a-z0-9._-]*)?|[a-z0-9][a-z0-9._-]*")
_QUALIFIERS = frozenset({"author", "maintainer", "scope", "keywords", "is", "not"})
MAX_SIZE = 250


class Query(Struct, frozen=True):
    """A search. words: all must be found somewhere. qualifiers: name → values. size, start: the page that is wanted."""

    text: str
    words: tuple[str, ...]
    qualifiers: Mapping[str, tuple[str, ...]]
    size: int = 20
    start: int = 0

    def names(self) -> Iterable[str]:
        """Everything in the query that could be a package's name or scope, and must not reach an upstream if it is."""
        for found in _NAMES.findall(self.text.lower()):
            yield found.rstrip("._-/")
        for scope in self.qualifiers.get("scope", ()):
            yield f"@{scope.removeprefix('@')}/"


def parse_query(query: Mapping[str, str]) -> Query:
    """The query of a search URL; raises Invalid for numbers that are none."""
    text = query.get("text", "").strip()[:500]
    words: list[str] = []
    qualifiers: dict[str, tuple[str, ...]] = {}
    for word in text.split():
        name, colon, value = word.partition(":")
        if colon and value and name in _QUALIFIERS:
            qualifiers[name] = (*qualifiers.get(name, ()), *value.lower().split(","))
        else:
            words.append(word.lower())
    size = whole_number(query, "size", 20)
    return Query(text, tuple(words), qualifiers, min(size, MAX_SIZE), whole_number(query, "from", 0))


def upstream_path(query: Query, hosted: int) -> str:
    """Where to ask an upstream for what follows after `hosted` matches of our own."""
    wanted = {"text": query.text, "size": query.size, "from": max(0, query.start - hosted)}
    return f"-/v1/search?{urlencode(wanted)}"


def entry(listing: Listing) -> dict[str, Any] | None:
    """One hosted package as a search result, None without versions."""
    latest = listing.facts.get("tags", {}).get("latest") or semver.newest(file.version for file in listing.files)
    file = next((file for file in listing.files if file.version == latest), None)
    if file is None:
        return None
    manifest = manifest_of(file)
    scope = names.scope_of(listing.package)
    maintainers = [_person(one) for one in listing.facts.get("maintainers", [])]
    publisher = _person(manifest.get("_npmUser") or {})
    package = {
        "name": listing.package,
        "scope": scope or "unscoped",
        "version": file.version,
        "description": manifest.get("description") if isinstance(manifest.get("description"), str) else "",
        "keywords": _keywords(manifest),
        "date": file.uploaded_at,
        "links": {"homepage": manifest["homepage"]} if isinstance(manifest.get("homepage"), str) else {},
        "author": _person(manifest.get("author") or {}),
        "publisher": publisher,
        "maintainers": maintainers or [publisher],
    }
    detail = {"quality": 1.0, "popularity": 1.0, "maintenance": 1.0}
    return {
        "package": package,
        "score": {"final": 1.0, "detail": detail},
        "searchScore": 1.0,
        "flags": {"unstable": semver.is_prerelease(file.version), "deprecated": bool(manifest.get("deprecated"))},
    }


def matches(found: Mapping[str, Any], query: Query) -> bool:
    """Whether a search result is what was asked for."""
    package = found["package"]
    keywords = [word.lower() for word in package["keywords"]]
    haystack = " ".join((package["name"].lower(), package["description"].lower(), *keywords))
    people = {one["username"].lower() for one in (*package["maintainers"], package["publisher"]) if one["username"]}
    tests: dict[str, Callable[[str], bool]] = {
        "author": lambda value: value in people or value == package["author"]["username"].lower(),
        "maintainer": lambda value: value in people,
        "scope": lambda value: value.removeprefix("@") == package["scope"],
        "keywords": lambda value: value in keywords,
        "is": lambda value: bool(found["flags"].get(value)),
        "not": lambda value: not found["flags"].get(value),
    }
    return all(word in haystack for word in query.words) and all(
        any(tests[name](value) for value in values) for name, values in query.qualifiers.items()
    )


def page(
    query: Query, hosted: list[dict[str, Any]], upstream: list[Any], upstream_total: int, now: str
) -> dict[str, Any]:
    """The answer: hosted matches first (best first: those whose name is the text), then the upstream's."""
    ranked = sorted(
        hosted, key=lambda one: (one["package"]["name"].lower() != query.text.lower(), one["package"]["name"])
    )
    ours = ranked[query.start : query.start + query.size]
    objects = [*ours, *upstream][: query.size]
    return {"objects": objects, "total": len(hosted) + upstream_total, "time": now}


def parse_page(body: bytes, keep: Callable[[str], bool]) -> tuple[list[Any], int]:
    """An upstream's results whose names may be shown, and its total; raises UpstreamCorrupt."""
    try:
        answer = msgspec.json.decode(body)
        objects = [one for one in answer["objects"] if keep(names.normalize(one["package"]["name"]))]
        total = int(answer.get("total", len(objects)))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError, Invalid) as error:
        raise UpstreamCorrupt("an upstream's search answer cannot be read") from error
    return objects, total


def _keywords(manifest: Mapping[str, Any]) -> list[str]:
    value = manifest.get("keywords")
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _person(value: Any) -> dict[str, str]:
    """`{username, email}` of whatever a manifest calls a person."""
    if isinstance(value, str):
        return {"username": value.partition("<")[0].strip(), "email": ""}
    if not isinstance(value, Mapping):
        return {"username": "", "email": ""}
    return {"username": str(value.get("name") or ""), "email": str(value.get("email") or "")}
