"""The heart: which layers a repository has, and which of them owns a package's name (DESIGN section 3).

This is the one choke point. Listings, files, sidecars, publishing and `explain` all ask here first, with the canonical
name, so that a private name is neither shadowed by a public one nor sent to an upstream on any path.
"""

from functools import cache

from msgspec import Struct

from gateway.format import Format, Gated
from gateway.model import HOSTED_LAYER, OwnerMode, Repository, RepositoryKey
from gateway.services import Services
from gateway.store.rows import PackageRow
from gateway.upstream.registry import Upstream

_DEPTH = 8


class Layer(Struct, frozen=True):
    """One layer in order: the hosted packages of `repository`, or `upstream` as seen from it."""

    repository: Repository
    upstream: Upstream | None = None

    @property
    def name(self) -> str:
        """`hosted`, or the upstream's name."""
        return HOSTED_LAYER if self.upstream is None else self.upstream.name


class Ownership(Struct, frozen=True):
    """Who owns `package`. `rows`: what the catalogue knows of it, by repository id. `why`: a sentence for `explain`."""

    package: str
    mode: OwnerMode
    layers: tuple[Layer, ...]
    rows: dict[int, PackageRow]
    origin: str = ""
    why: str = ""

    def hosted(self) -> list[Layer]:
        """The hosted layers that may answer, in order; none for a name that an upstream owns."""
        if self.mode is OwnerMode.UPSTREAM:
            return []
        return [layer for layer in self.layers if layer.upstream is None]

    def upstreams(self) -> list[Layer]:
        """The upstream layers that may be asked, in order; none for a hosted name, one once an upstream owns it."""
        if self.mode is OwnerMode.HOSTED:
            return []
        asked = [x for x in self.layers if x.upstream is not None and x.upstream.admits(self.package)]
        owners = [layer for layer in asked if layer.name == self.origin]
        return owners or asked


def flatten(services: Services, repository: Repository) -> list[Layer]:
    """A repository's layers with its members' in their places; a member that is met twice counts once."""
    layers: list[Layer] = []
    _collect(services, repository, layers, {}, _DEPTH)
    return layers


def members(services: Services, repository: Repository) -> dict[int, Repository]:
    """The repository and all those within it by id, groups without a layer of their own too: each reserves names."""
    found: dict[int, Repository] = {}
    _collect(services, repository, [], found, _DEPTH)
    return found


def _collect(
    services: Services, repository: Repository, layers: list[Layer], seen: dict[int, Repository], depth: int
) -> None:
    if repository.id in seen or depth == 0:
        return
    seen[repository.id] = repository
    for name in repository.layers:
        if name == HOSTED_LAYER:
            layers.append(Layer(repository))
        elif "/" in name:
            member = services.repository(RepositoryKey(repository.key.type, *name.split("/", 1)))
            if member is not None:
                _collect(services, member, layers, seen, depth - 1)
        elif (upstream := services.upstreams.get(name)) is not None:
            layers.append(Layer(repository, upstream))


def ownership(services: Services, repository: Repository, package: str) -> Ownership:
    """The owner mode of a canonical name, over all layers, whether or not the actor may see each of them.

    A name that an upstream would be asked for by another one, as Docker Hub for `library/x` where somebody asks for
    `x`, is ours where that other one is; so is one whose `gate` is.
    """
    found: list[Layer] = []
    within: dict[int, Repository] = {}
    _collect(services, repository, found, within, _DEPTH)
    layers = tuple(found)
    rows = {i: row for i in within if (row := services.packages.get(i, package)) is not None}
    if repository.is_merged(package):
        return Ownership(package, OwnerMode.MERGED, layers, rows, why="configured as merged")
    gate = _gate(services.formats[repository.key.type], package)
    names = dict.fromkeys([package, gate, *(x.upstream.named(package) for x in layers if x.upstream is not None)])
    for name in names:
        if why := _why_ours(services, within, name):
            said = why if name == package else f"as {name} it is {why}"
            return Ownership(package, OwnerMode.HOSTED, layers, rows, why=said)
    owner = next((row for row in rows.values() if row.origin), None)
    if owner is not None:
        return Ownership(package, OwnerMode.UPSTREAM, layers, rows, owner.origin, f"first served from {owner.origin}")
    return Ownership(
        package, OwnerMode.UPSTREAM, layers, rows, why="not published here; the first upstream that knows it owns it"
    )


def _gate(format_: Format, package: str) -> str:
    return format_.gate(package) if _is_gated(type(format_)) and isinstance(format_, Gated) else package


@cache  # of few classes; asking a protocol takes longer than all the rest
def _is_gated(kind: type) -> bool:
    return issubclass(kind, Gated)


def _why_ours(services: Services, within: dict[int, Repository], name: str) -> str:
    """Why no upstream may hear a name, or nothing."""
    for id_, repository in within.items():
        row = services.packages.get(id_, name)
        if row is not None and row.owner_mode is OwnerMode.HOSTED:
            return f"published or claimed in {repository.key}"
    reserving = next((one for one in within.values() if one.is_reserved(name)), None)
    return "" if reserving is None else f"reserved by {reserving.key}"
