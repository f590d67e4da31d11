"""GET of the indexes: the compact one, the Marshal one, and the gemspecs. Translates and delegates.

All of them are made of one list of names and of the same listings, so that what one hides no other shows: clients fall
back from each to the next without a word.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

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
from gateway.errors import FileUnknown, GatewayError, PackageUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Document
from gateway.model import HOSTED_LAYER, File, Listing, Page, Visibility
from gateway.rendered import Rendered, finish
from gateway.roster.book import Promise
from gateway.roster.format import Entry

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

VERSIONS = Versions()

Row = tuple[str, str, str]

_BYTES = "application/octet-stream"
_KEPT = "max-age=60"  # how long clients and caches keep a document of the compact index
_PAUSE = 0.0005  # seconds that the loop gets between two pieces of a Marshal list, which takes seconds to write
_MOMENT = 2.0  # seconds for which an upstream's document is not compared with the list again
_IMMUTABLE = 3600  # seconds that a gemspec may be kept: it is never another one under the same name, but may be yanked


async def root(call: "Call") -> "Answer":
    """GET the repository itself: RubyGems before 3.6 asks so whether there is a compact index."""
    return call.text(f"{call.repository.key}: a registry of gems\n")


# ── the compact index ────────────────────────────────────────────────────────────────────────────────────────────
async def info(call: "Call") -> "Answer":
    """GET info/NAME."""
    package = package_of(call, call.path["name"])
    try:
        page = await _info_page(call, package)
    except PackageUnknown:
        if await _promise(call, package) is None or not await _is_listed(call, package):
            raise  # whoever never asked for the list cannot have the name from it
        # Bundler gives the whole compact index up when a name that it lists has no document.
        page = replace(finish(_text(EMPTY), "info"), remaining=0.0)
    is_private = call.repository.visibility is not Visibility.PUBLIC or not call.actor.is_anonymous
    headers = (header for header in page.headers if header[0] != "Cache-Control")
    kept = ("Cache-Control", f"private, {_KEPT}" if is_private else _KEPT)
    return call.page(replace(page, headers=(*headers, kept)))


async def _info_page(call: "Call", package: str) -> Page:
    """The document of a name, as new as the list that says which md5 it has; raises as `Pull.page` does.

    While an upstream is in trouble, a copy that would be too old is right where it has this md5.
    """
    settings = call.repository.settings

    def render(listing: Listing) -> Rendered:
        return _text(render_info(listing, settings))

    promise = await _promise(call, package)
    try:
        page = await _as_promised(call, package, render, promise)
    except (UpstreamTrouble, UpstreamCorrupt):
        if promise is None:
            raise
        old = await call.pull.proven_page(package, "info", render, lambda body: promise.is_kept_by(md5(body)))
        if old is None:
            raise
        page = old
    return page if page.layer == HOSTED_LAYER else replace(page, remaining=min(page.remaining, _MOMENT))


async def _as_promised(
    call: "Call", package: str, render: Callable[[Listing], Rendered], promise: Promise | None
) -> Page:
    """The document, asked for again where it is not what the list says and older than the list."""
    try:
        page = await call.pull.page(package, "info", render)
    except PackageUnknown:
        if promise is None:
            raise
    else:
        if promise is None or promise.is_kept_by(page.etag.strip('"')):
            return page
    return await call.pull.page(package, "info", render, promise.since)


async def _promise(call: "Call", package: str) -> Promise | None:
    """What our list says of the name; None where it is in trouble itself."""
    try:
        return await call.roster(VERSIONS).promise(package)
    except GatewayError:
        return None


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
        return Rendered(dump_index(rows, lambda: time.sleep(_PAUSE)), _BYTES)

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
