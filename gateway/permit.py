"""May this actor do that here? The one place where use cases ask, and where a refusal gets its right kind."""

import time

from msgspec.structs import replace

from gateway.auth.access import decide, is_proved, require_proof
from gateway.errors import Forbidden, ScopeMissing, Unauthenticated
from gateway.model import Actor, Assurance, Repository, Scope
from gateway.services import Services
from gateway.store.rows import Rights


class Permit:
    """The rights of one actor in one repository, as of the newest change to tokens and grants."""

    __slots__ = ("_rights", "actor", "repository", "services")

    def __init__(self, services: Services, repository: Repository, actor: Actor) -> None:
        self.services = services
        self.repository = repository
        self.actor = actor
        self._rights: Rights | None = None

    def rights(self) -> Rights:
        """The actor's grants; kept per process until the catalogue's `auth` epoch moves."""
        if self._rights is None:
            key = (self.actor.kind, self.actor.id, self.services.database.epoch("auth"))
            held = self.services.memos.rights.get(key)
            if held is None:
                held = self.services.identities.rights(self.actor)
                self.services.memos.rights[key] = held
            assert isinstance(held, Rights)
            self._rights = held
        return self._rights

    def allows(
        self,
        scope: Scope,
        package: str | None = None,
        *,
        is_restricted: bool = False,
        repository: Repository | None = None,
    ) -> bool:
        """Whether the actor has `scope` on the package, or on the repository as such for None."""
        return self.is_asked(scope, package) and decide(
            self.rights(),
            self.actor,
            repository or self.repository,
            package,
            scope,
            restricted=is_restricted,
            now=time.time(),
        )

    def is_asked(self, scope: Scope, package: str | None = None) -> bool:
        """Whether a pass was asked for this; True for whoever has none. Asking for a package lets its repository be."""
        asked = None if self.actor.token is None else self.actor.token.asked
        if asked is None:
            return True
        key = str(self.repository.key)
        if package is None:
            return scope is Scope.READ and any(one.repository == key for one in asked)
        return any(one.repository == key and one.package == package and scope in one.scopes for one in asked)

    def require(self, scope: Scope, package: str | None = None, *, is_restricted: bool = False) -> None:
        """Raise unless allowed: Unauthenticated for nobody, Forbidden for somebody who may at least read something.

        An actor without any right on the repository is told so with Forbidden too, where the ecosystem's clients would
        take "unknown" for leave to ask the next registry; adapters that want 404 map `RepositoryUnknown`.
        """
        if self.allows(scope, package, is_restricted=is_restricted):
            return
        if self._is_short_of_a_code(scope, package, is_restricted=is_restricted):
            require_proof(self.actor, scope)
        if not self.is_asked(scope, package):
            raise ScopeMissing(f"the pass was not asked for {scope} on {package or self.repository.key}")
        if self.actor.is_anonymous:
            raise Unauthenticated(f"{self.repository.key} needs a token with {scope}")
        if scope is not Scope.READ and not self.allows(Scope.READ, package, is_restricted=is_restricted):
            scope = Scope.READ
        where = f"{package} in {self.repository.key}" if package else str(self.repository.key)
        raise Forbidden(f"{self.actor.name} has no {scope} on {where}")

    def _is_short_of_a_code(self, scope: Scope, package: str | None, *, is_restricted: bool) -> bool:
        """Whether nothing but a one-time code is missing."""
        if is_proved(self.actor, scope):
            return False
        proved = replace(self.actor, assurance=Assurance.UNASKED)
        permit = Permit(self.services, self.repository, proved)
        return permit.allows(scope, package, is_restricted=is_restricted)
