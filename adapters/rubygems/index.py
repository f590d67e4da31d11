"""GET of the indexes: the compact one, the Marshal one, and the gemspecs. Translates and delegates.

All of them are made of one list of names and of the same listings, so that what one hides no other shows: clients fall
back from each to the next without a word.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.rubygems import names
from adapters.rubygems.compact import (
    EMPTY,
    TEXT,
    Versions,
    digest_headers,
    info_headers,
    md5,
    render_info,
    render_names,
)
from adapters.rubygems.marshal import dump_index, dump_spec
from adapters.rubygems.marshal_reader import load_spec
from adapters.rubygems.packages import find_gem, open_gem, package_of
from adapters.rubygems.spec import Spec
from gateway.errors import FileUnknown, GatewayError, PackageUnknown, UpstreamCorrupt
from gateway.format import Document
from gateway.model import File, Listing, Page
from gateway.pull import Rendered, finish
from gateway.roster import Entry

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

VERSIONS = Versions()

Row = tuple[str, str, str]

_BYTES = "application/octet-stream"
_IMMUTABLE = 3600  # seconds that a gemspec may be kept: it is never another one under the same name, but may be yanked


async def root(call: "Call") -> "Answer":
    """GET the repository itself: RubyGems before 3.6 asks so whether there is a compact index."""
    return call.text(f"{call.repository.key}: a registry of gems\n")


# ── the compact index ────────────────────────────────────────────────────────────────────────────────────────────
async def info(call: "Call") -> "Answer":
    """GET info/NAME."""
    package = package_of(call, call.path["name"])
    settings = call.repository.settings

    def render(listing: Listing) -> Rendered:
        return _text(render_info(listing, settings))

    try:
        return call.page(await call.pull.page(package, "info", render))
    except PackageUnknown:
        if not await _is_listed(call, package):
            raise
    # Bundler gives the whole compact index up when a name that it lists has no document.
    page = finish(_text(EMPTY), "info")
    return call.page(replace(page, headers=(*page.headers, ("Cache-Control", "private, no-cache"))))


async def _is_listed(call: "Call", package: str) -> bool:
    """Whether our list has a name that nobody has versions of any more; False where there is no list."""
    try:
        return await call.roster(VERSIONS).has(package)
    except GatewayError:
        return False


async def versions(call: "Call") -> "Answer":
    """GET versions."""
    return await call.grown(call.roster(VERSIONS), TEXT, digest_headers)


async def all_names(call: "Call") -> "Answer":
    """GET names."""
    return call.page(await names_page(call))


async def names_page(call: "Call") -> Page:
    """The names that this actor may see and that have any version, as their page."""
    return await _derived(call, "names", lambda entries: _text(render_names(entries)))


def _text(body: bytes) -> Rendered:
    return Rendered(body, TEXT, headers=info_headers(body), etag=f'"{md5(body)}"', is_ranged=True)


async def _derived(call: "Call", variant: str, render: Callable[[Mapping[str, Entry]], Rendered]) -> Page:
    """What is made of the whole list, once for each of its editions."""
    roster = call.roster(VERSIONS)
    return await roster.page(await roster.view(), variant, lambda body: render(VERSIONS.read(body)))


# ── the Marshal index ────────────────────────────────────────────────────────────────────────────────────────────
def specs(variant: str, chosen: Callable[[str, list[str]], Iterator[Row]]) -> "Callable[[Call], Awaitable[Answer]]":
    """GET specs.4.8.gz and its like: the versions of each gem that `chosen` picks."""

    def render(entries: Mapping[str, Entry]) -> Rendered:
        rows = (row for name in sorted(entries) for row in chosen(name, entries[name].labels.split(",")))
        return Rendered(dump_index(rows), _BYTES)

    async def answer(call: "Call") -> "Answer":
        """GET of one of the three lists."""
        return call.page(await _derived(call, variant, render))

    return answer


def finals(name: str, labels: list[str]) -> Iterator[Row]:
    """Every version without a letter."""
    for label in labels:
        version, _, platform = label.partition("-")
        if names.is_final(version):
            yield name, version, platform or names.RUBY


def prereleases(name: str, labels: list[str]) -> Iterator[Row]:
    """Every version with a letter."""
    for label in labels:
        version, _, platform = label.partition("-")
        if names.is_prerelease(version) and names.is_version(version):
            yield name, version, platform or names.RUBY


def latest(name: str, labels: list[str]) -> Iterator[Row]:
    """The highest version without a letter, for each platform."""
    found: dict[str, str] = {}
    for _, version, platform in finals(name, labels):
        best = found.get(platform)
        if best is None or names.number_key(version) > names.number_key(best):
            found[platform] = version
    for platform, version in found.items():
        yield name, version, platform


# ── one gem ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def download(call: "Call") -> "Answer":
    """GET gems/NAME-VERSION[-PLATFORM].gem."""
    return call.file(await open_gem(call, call.path["full"]))


async def gemspec(call: "Call") -> "Answer":
    """GET quick/Marshal.4.8/NAME-VERSION[-PLATFORM].gemspec.rz: ours, or what an upstream says, written anew."""
    one, file = await find_gem(call, call.path["full"])
    if file.url is None:
        opened = await call.pull.sidecar(one.name, file.filename, "gemspec")
        return call.file(opened)
    found = await call.pull.beside(one.name, file.filename, "gemspec", lambda document: _read_spec(document, file))
    if found is None:
        raise FileUnknown(f"no gemspec of {call.path['full'][:200]}")
    body = await asyncio.to_thread(dump_spec, found.facts["spec"])
    return call.page(Page(body, _BYTES, f'"{md5(body)}"', headers=(("Cache-Control", f"max-age={_IMMUTABLE}"),)))


def _read_spec(document: Document, file: File) -> Listing:
    """An upstream's gemspec, if it is that of the gem in the index; raises UpstreamCorrupt."""
    spec = load_spec(document.body)
    if f"{spec.full_name}.gem" != file.filename or not _has_dependencies_of(spec, file):
        raise UpstreamCorrupt(f"the gemspec of {file.filename} contradicts the index")
    return Listing(spec.name, (), {"spec": spec})


def _has_dependencies_of(spec: Spec, file: File) -> bool:
    """Whether the gems that it needs are those that the index says, whatever their versions."""
    said = {part.partition(":")[0] for part in str(file.facts["dependencies"]).split(",") if part}
    return said == {one.name for one in spec.dependencies if one.is_runtime}
