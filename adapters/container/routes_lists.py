"""Lists: tags of an image, what refers to a manifest, and the names of all images."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from adapters.container.common import MOST, address, headers, image
from adapters.container.names import TYPE, parse_digest
from adapters.container.scopes import CATALOG
from adapters.container.wire import OCI_INDEX, parse_referrers, render_referrers
from gateway.errors import GatewayError, ScopeMissing, Unauthenticated
from gateway.model import Actor, Repository
from gateway.store.graph_rows import NodeRow
from gateway.web.answers import Answer

if TYPE_CHECKING:
    from gateway.web.call import Call, HostCall

_PAGE_SIZE = 2 * 1024 * 1024  # bytes of descriptors in one list of referrers


async def tags(call: "Call") -> Answer:
    """GET tags/list: the tags of an image in ASCII order, a page at a time."""
    name = image(call)
    count, last = _count(call), call.query.get("last", "")
    found = await call.graph.tags(name, last, count + 1)
    shown = found[:count]
    more = _next(call, f"v2/{name}/tags/list", shown, found, count)
    return call.json({"name": _shown_name(call, name), "tags": shown}, headers=headers(call, *more))


async def referrers(call: "Call") -> Answer:
    """GET referrers/{digest}: what is attached to a manifest, here or upstream; an empty index where nothing is."""
    name, digest = image(call), parse_digest(call.path["digest"])
    attached = [descriptor(row) for row in await call.graph.attached(name, str(digest))]
    known = {one["digest"] for one in attached}
    for body in await call.graph.attached_upstream(name, str(digest)):
        attached += [one for one in parse_referrers(body) if one["digest"] not in known]
    kinds = [kind for kind in call.queried("artifactType") if kind]
    told: list[tuple[str, str]] = [("Content-Type", OCI_INDEX)]
    if kinds:
        attached = [one for one in attached if one.get("artifactType") in kinds]
        told.append(("OCI-Filters-Applied", "artifactType"))
    shown, left = _page(attached, call.query.get("last", ""))
    if left:
        query = "".join(f"&artifactType={quote(kind, safe='')}" for kind in kinds)
        place = address(call, f"referrers/{digest}")
        told.append(("Link", f'<{place}?last={quote(str(shown[-1]["digest"]), safe="")}{query}>; rel="next"'))
    return Answer(200, headers(call, *told), render_referrers(shown))


def _page(attached: list[dict[str, Any]], last: str) -> tuple[list[dict[str, Any]], bool]:
    """What follows the digest `last`, as far as it fits into one answer, and whether there is more."""
    start = next((number for number, one in enumerate(attached, 1) if one["digest"] == last), 0)
    shown: list[dict[str, Any]] = []
    size = 0
    for one in attached[start:]:
        size += len(msgspec.json.encode(one))
        if shown and (size > _PAGE_SIZE or len(shown) == MOST):
            return shown, True
        shown.append(one)
    return shown, False


async def catalog_of_repository(call: "Call") -> Answer:
    """GET v2/_catalog: the images of this repository that the caller may pull."""
    names = await _names(call, call.repository, _reader(call))
    return _catalog(call, sorted(names), call.address("v2/_catalog"))


async def catalog_of_host(call: "HostCall") -> Answer:
    """GET v2/_catalog: all images that the caller may pull, with their repositories."""
    actor = _reader(call)
    found: list[str] = []
    for repository in list(call.services.known().values()):
        if repository.key.type == TYPE:
            prefix = f"{TYPE}/{repository.key.owner}/{repository.key.name}"
            found += [f"{prefix}/{name}" for name in await _names(call, repository, actor)]
    return _catalog(call, sorted(found), "/v2/_catalog")


def descriptor(row: NodeRow) -> dict[str, Any]:
    """A node as the list of referrers shows it."""
    shown: dict[str, Any] = {"mediaType": row.media_type, "size": row.size, "digest": row.digest}
    for key in ("artifactType", "annotations"):
        if row.facts.get(key):
            shown[key] = row.facts[key]
    return shown


def _reader(call: "HostCall") -> Actor:
    """Who asks for names, with all that its token may read: the pass was asked for the list, not for each name."""
    token = call.actor.token
    if token is None or token.asked is None:
        if call.actor.is_anonymous:
            raise Unauthenticated("the list of images needs a pass, even an anonymous one")
        return call.actor
    if CATALOG not in token.asked:
        raise ScopeMissing("the pass was not asked for the list of images")
    return replace(call.actor, token=replace(token, asked=None))


async def _names(call: "HostCall", repository: Repository, actor: Actor) -> list[str]:
    try:
        return await call.pull_from(repository, actor).names()
    except GatewayError:  # not this actor's repository
        return []


def _catalog(call: "HostCall", names: list[str], path: str) -> Answer:
    count, last = _count(call), call.query.get("last", "")
    found = [name for name in names if name > last][: count + 1]
    shown = found[:count]
    more: tuple[tuple[str, str], ...] = ()
    if len(found) > count > 0:
        more = (("Link", f'<{path}?n={count}&last={quote(shown[-1], safe="")}>; rel="next"'),)
    return call.json({"repositories": shown}, headers=headers(call, *more))


def _count(call: "HostCall") -> int:
    """How many entries a page has: what the client wants, within our bound."""
    text = call.query.get("n", "")
    return min(MOST, int(text[:12])) if text.isascii() and text.isdigit() else MOST


def _next(call: "Call", rest: str, shown: list[str], found: list[str], count: int) -> tuple[tuple[str, str], ...]:
    if len(found) <= count or count == 0:
        return ()
    return (("Link", f'<{call.address(rest)}?n={count}&last={quote(shown[-1], safe="")}>; rel="next"'),)


def _shown_name(call: "Call", name: str) -> str:
    """The name as the client wrote it."""
    return name if call.place is None else call.place.outer.removeprefix(call.place.inner) + name
