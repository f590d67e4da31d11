"""What a handler of the control API gets, and what its routes are made of."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, Protocol, TypeVar

from msgspec import Struct, field

from gateway.auth.access import decide, require_proof
from gateway.auth.accounts import Accounts
from gateway.auth.authenticate import Authenticator
from gateway.errors import Forbidden, Invalid, RepositoryUnknown
from gateway.format import Format
from gateway.model import Actor, Repository, RepositoryKey, Scope
from gateway.store.audit import Audit
from gateway.store.blob_rows import BlobRows
from gateway.store.documents import DocumentRows
from gateway.store.identities import Identities
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.upstream.hosts import UpstreamHealth
from gateway.upstream.registry import Upstream

T = TypeVar("T")


class Health(Protocol):
    """Who knows how the upstreams are."""

    def health(self) -> list[UpstreamHealth]: ...


class AdminServices(Struct, frozen=True):
    """What the control API works with. formats: by type. upstreams: by name."""

    identities: Identities
    repositories: Repositories
    packages: Packages
    audit: Audit
    documents: DocumentRows
    blob_rows: BlobRows
    upstream_client: Health
    authenticator: Authenticator
    formats: Mapping[str, Format]
    upstreams: Mapping[str, Upstream]


class AdminCall(Struct, frozen=True, dict=True):  # dict: for its cached property
    """One request. path: decoded captures. query: decoded. body: of the route's request type, None without one."""

    services: AdminServices
    actor: Actor
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: object = None
    request_id: str = ""

    @cached_property
    def accounts(self) -> Accounts:
        """Account use cases, bound to the actor."""
        return Accounts(self.services.identities, self.services.audit, self.actor, self.request_id)

    def expect(self, kind: type[T]) -> T:
        """The body, as the type that the route's table entry promises."""
        assert isinstance(self.body, kind)
        return self.body

    def number(self, name: str) -> int:
        """A capture that is a number; raises Invalid."""
        return _number(self.path[name], name)

    def asked_number(self, name: str, default: int | None = None) -> int | None:
        """A number in the query, or the default; raises Invalid."""
        text = self.query.get(name)
        return default if text is None else _number(text, name)

    @property
    def key(self) -> RepositoryKey:
        """The repository that the path names; raises Invalid, and RepositoryUnknown for an unknown type."""
        if self.path["type"] not in self.services.formats:
            raise RepositoryUnknown(f"there is no type {self.path['type'][:40]}")
        return RepositoryKey.checked(self.path["type"], self.path["owner"], self.path["repository"])

    def may(
        self, scope: Scope, repository: Repository, package: str | None = None, *, restricted: bool = False
    ) -> bool:
        """Whether the actor has this scope there, with its token's limits."""
        return decide(
            self.accounts.rights, self.actor, repository, package, scope, restricted=restricted, now=time.time()
        )

    def repository(self, scope: Scope = Scope.READ) -> Repository:
        """The repository of the path; RepositoryUnknown where the actor may not read it, Forbidden without `scope`."""
        found = self.services.repositories.get(self.key)
        if found is None or not self.may(Scope.READ, found):
            raise RepositoryUnknown(f"there is no repository {self.key}")
        if not self.may(scope, found):
            require_proof(self.actor, scope)
            raise Forbidden(f"{self.actor.name} has no {scope} on {found.key}")
        return found

    def package(self) -> str:
        """The canonical name of the package in the path; raises Invalid."""
        return self.services.formats[self.path["type"]].normalize(self.path["package"])


class AdminRoute(Struct, frozen=True):
    """One method and path below `/-/api/v1/`; the handler's docstring describes it.

    scope: what a token must have (None: no sign-in at all); use cases decide the rest. request, response: the types of
    the bodies, None for none. query: names and descriptions of parameters.
    """

    method: str
    pattern: str
    handler: Callable[[AdminCall], Awaitable[Any]]
    scope: Scope | None
    request: type | None = None
    response: Any = None
    status: int = 200
    query: Mapping[str, str] = field(default_factory=dict)


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(f"{name}: expected a number, got {text[:40]!r}")
    return int(text)
