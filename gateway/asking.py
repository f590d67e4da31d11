"""Who may read what in a repository, and what upstreams are asked that is about no listing and no file.

Every use case that reads begins here: it checks access, asks `gateway.layers` who owns a name, and leaves out the
layers that the actor may not read. Nothing here knows an ecosystem.
"""

from gateway import listings
from gateway.errors import PackageUnknown
from gateway.format import Ask, Document
from gateway.layers import Layer, Ownership, flatten, ownership
from gateway.model import Actor, Listing, OwnerMode, Repository, Scope, Visibility
from gateway.permit import Permit
from gateway.services import Services
from gateway.upstream.client import Status
from gateway.upstream.registry import Upstream


class Asking:
    """What one actor may read and ask in one repository."""

    __slots__ = ("_format", "_permit", "_services", "actor", "repository")

    def __init__(self, services: Services, repository: Repository, actor: Actor) -> None:
        self._services = services
        self._permit = Permit(services, repository, actor)
        self._format = services.formats[repository.key.type]
        self.repository = repository
        self.actor = actor

    # ── rights and ownership ─────────────────────────────────────────────────────────────────────────────────────────
    def may(self, package: str, scope: Scope) -> bool:
        """Whether the actor has `scope` on the canonical name here."""
        row = self._services.packages.get(self.repository.id, package)
        return self._permit.allows(scope, package, is_restricted=row is not None and row.is_restricted)

    def require(self, scope: Scope, package: str | None = None) -> None:
        """Raise Unauthenticated or Forbidden unless the actor has `scope` here."""
        row = self._services.packages.get(self.repository.id, package) if package is not None else None
        self._permit.require(scope, package, is_restricted=row is not None and row.is_restricted)

    def show(self, package: str, scope: Scope = Scope.READ) -> None:
        """Raise what the actor would be told of no package where it must not learn that there is one.

        That is so where reading it needs a grant that the actor lacks: PackageUnknown, or Forbidden to who has no
        `scope` on other names either. Nobody is let pass, to be told to sign in.
        """
        row = self._services.packages.get(self.repository.id, package)
        is_closed = self.repository.visibility is Visibility.PRIVATE or (row is not None and row.is_restricted)
        if self.actor.is_anonymous or not is_closed or self.may(package, Scope.READ):
            return
        if scope is not Scope.READ:
            self._permit.require(scope, package)
        raise PackageUnknown(f"no package {package} in {self.repository.key}")

    def owner_mode(self, package: str) -> OwnerMode:
        """Which layer owns the canonical name."""
        return ownership(self._services, self.repository, package).mode

    # ── upstream documents that are not one package's ────────────────────────────────────────────────────────────
    def upstreams(self) -> list[str]:
        """Names of the upstreams that may be asked what is not about one package, in order."""
        self._permit.require(Scope.READ)
        return list(dict.fromkeys(layer.name for layer in self._visible() if layer.upstream is not None))

    async def owner(self, package: str) -> str | None:
        """The upstream that owns a canonical name, for questions about it; None for a name that no upstream may hear.

        Where several may have it, the first that knows it, as for `listing`. Raises Blocked, UpstreamTrouble or
        UpstreamCorrupt where that cannot be told.
        """
        owned = ownership(self._services, self.repository, package)
        if owned.mode is not OwnerMode.UPSTREAM:
            return None
        layers = [layer for layer in self._readable(owned.upstreams(), package, owned) if layer.upstream is not None]
        if len(layers) == 1:
            return layers[0].name
        for layer in layers:
            assert layer.upstream is not None
            if await listings.hold(self._services.documents, self._format, layer.upstream, package) is not None:
                return layer.name
        return None

    async def ask_upstream(self, ask: Ask, name: str | None = None) -> Document | None:
        """A document of the first upstream, or of that name, such as a search; None where there is none or no such."""
        upstream = self._asked(name)
        return None if upstream is None else await listings.document(self._services.documents, upstream, ask)

    async def upstream_directory(self) -> Listing | None:
        """Where the first upstream says that its documents are; None where there is none, or no such thing."""
        self._permit.require(Scope.READ)
        for layer in self._visible():
            if layer.upstream is not None:
                return await listings.directory(self._services.documents, self._format, layer.upstream)
        return None

    async def post_upstream(
        self, path: str, body: bytes, content_type: str, name: str | None = None
    ) -> Document | None:
        """Send `body` to the first upstream, or to that name, and return its answer; None where there is none."""
        upstream = self._asked(name)
        if upstream is None:
            return None
        limit = self._services.config.cache.max_document_size
        reply = await self._services.client.post(upstream, path, body, content_type, limit)
        return reply.document if reply.status is Status.OK else None

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _asked(self, name: str | None) -> Upstream | None:
        self._permit.require(Scope.READ)
        upstreams = (layer.upstream for layer in self._visible() if layer.upstream is not None)
        return next((upstream for upstream in upstreams if name in {None, upstream.name}), None)

    def _authorise(self, package: str) -> Ownership:
        owned = ownership(self._services, self.repository, package)
        row = owned.rows.get(self.repository.id)
        self._permit.require(Scope.READ, package, is_restricted=row is not None and row.is_restricted)
        return owned

    def _allows(self, repository: Repository, package: str | None, *, is_restricted: bool) -> bool:
        return self._permit.allows(Scope.READ, package, is_restricted=is_restricted, repository=repository)

    def _visible(self) -> list[Layer]:
        """All layers of repositories that the actor may read: a group opens no door to its members."""
        layers = flatten(self._services, self.repository)
        return [x for x in layers if self._allows(x.repository, None, is_restricted=False)]

    def _readable(self, layers: list[Layer], package: str, owned: Ownership) -> list[Layer]:
        def is_restricted(layer: Layer) -> bool:
            row = owned.rows.get(layer.repository.id)
            return row is not None and row.is_restricted

        return [x for x in layers if self._allows(x.repository, package, is_restricted=is_restricted(x))]
