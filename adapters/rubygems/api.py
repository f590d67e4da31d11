"""GET api/…: the JSON views that update bots and user interfaces read, made of the same listing as the index."""

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any

from adapters.rubygems import names
from adapters.rubygems.index import names_page
from adapters.rubygems.packages import find_gem, package_of
from gateway.errors import FileUnknown, GatewayError, VersionUnknown
from gateway.model import File, Listing

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_MOST_HITS = 30


async def versions(call: "Call") -> "Answer":
    """GET api/v1/versions/NAME.json: newest first."""
    package = package_of(call, call.path["name"])
    listing = await call.pull.listing(package)
    files = sorted(listing.files, key=_age, reverse=True)
    return call.json([_version(file) for file in files])


async def latest(call: "Call") -> "Answer":
    """GET api/v1/gems/NAME.json."""
    package = package_of(call, call.path["name"])
    return call.json(_gem(call, package, newest(await call.pull.listing(package))))


async def version(call: "Call") -> "Answer":
    """GET api/v2/rubygems/NAME/versions/VERSION.json, with `platform` in the query."""
    package = package_of(call, call.path["name"])
    platform = call.query.get("platform", names.RUBY)
    file = (await call.pull.listing(package)).find(names.filename(package, call.path["version"], platform))
    if file is None:
        raise VersionUnknown(f"{package} has no version {call.path['version'][:80]}")
    return call.json(_gem(call, package, file))


async def search(call: "Call") -> "Answer":
    """GET api/v1/search.json?query=: names that hold every word, hosted ones and those of upstreams."""
    words = call.query.get("query", "").lower().split()
    page = await names_page(call)
    hits = await asyncio.to_thread(_hits, page.body, words) if words else []
    found = []
    for name in hits:
        try:
            found.append(_gem(call, name, newest(await call.pull.listing(package_of(call, name)))))
        except GatewayError:
            continue
    return call.json(found)


async def attestations(call: "Call") -> "Answer":
    """GET api/v1/attestations/NAME-VERSION[-PLATFORM].json: what came with the gem when it was pushed."""
    one, file = await find_gem(call, call.path["full"])
    if file.url is not None:
        raise FileUnknown(f"no attestations of {call.path['full'][:200]}")
    return call.file(await call.pull.sidecar(one.name, file.filename, "attestations"), content_type="application/json")


def newest(listing: Listing) -> File:
    """The highest version, a final one if there is any, and that for Ruby itself if there is one."""
    if not listing.files:
        raise VersionUnknown(f"{listing.package} has no versions")
    return max(
        listing.files,
        key=lambda file: (
            not names.is_prerelease(file.version),
            names.version_key(file.version),
            file.facts["platform"] == names.RUBY,
        ),
    )


def _hits(body: bytes, words: list[str]) -> list[str]:
    """The first names of a page of all names that hold every word."""
    found = (name for name in body.decode().split("\n")[1:] if name and all(word in name.lower() for word in words))
    return list(islice(found, _MOST_HITS))


def _age(file: File) -> tuple[str, Any]:
    return (file.uploaded_at or "", names.version_key(file.version))


def _version(file: File) -> dict[str, Any]:
    about = file.facts.get("about", {})
    said = dict(part.partition(":")[::2] for part in str(file.facts["line"]).partition("|")[2].split(","))
    return {
        "number": file.version,
        "platform": file.facts["platform"],
        "prerelease": names.is_prerelease(file.version),
        "created_at": file.uploaded_at,
        "sha": file.sha256,
        "summary": about.get("summary"),
        "description": about.get("description"),
        "authors": about.get("authors"),
        "licenses": about.get("licenses"),
        "metadata": about.get("metadata", {}),
        "ruby_version": _required(said.get("ruby")),
        "rubygems_version": _required(said.get("rubygems")),
    }


def _required(text: str | None) -> str:
    return ">= 0" if text is None else ", ".join(text.split("&"))


def _gem(call: "Call", package: str, file: File) -> dict[str, Any]:
    about = file.facts.get("about", {})
    said = _version(file)
    return {
        "name": package,
        "version": file.version,
        **said,
        "version_created_at": file.uploaded_at,
        "info": about.get("description") or about.get("summary") or "",
        "homepage_uri": about.get("homepage"),
        "project_uri": call.base,
        "gem_uri": f"{call.base}gems/{file.filename}",
        "dependencies": _dependencies(file),
    }


def _dependencies(file: File) -> dict[str, list[dict[str, str]]]:
    """Those of the gemspec where we know it, else those of the index."""
    about = file.facts.get("about")
    if about is not None:
        every = [(name, text, is_runtime) for name, text, is_runtime in about["dependencies"]]
    else:
        parts = [part.partition(":") for part in str(file.facts["dependencies"]).split(",") if part]
        every = [(name, ", ".join(clauses.split("&")), True) for name, _, clauses in parts]
    return {
        kind: [{"name": name, "requirements": text} for name, text, is_runtime in every if is_runtime is wanted]
        for kind, wanted in (("development", False), ("runtime", True))
    }
