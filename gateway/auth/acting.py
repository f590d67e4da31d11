"""What every account use case starts from: who acts, what they may manage, and the audit of what they did."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from gateway.auth import access
from gateway.errors import Forbidden, Unauthenticated, Unknown
from gateway.model import Actor, ActorKind, Scope
from gateway.store.audit import Audit
from gateway.store.identities import Identities
from gateway.store.rows import ActorRow, AuditEntry, Rights


class Acting:
    """Bound to one acting actor, for one request."""

    def __init__(
        self,
        identities: Identities,
        audit: Audit,
        actor: Actor,
        request_id: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.actor = actor
        self._identities = identities
        self._audit = audit
        self._request_id = request_id
        self._clock = clock

    @cached_property
    def rights(self) -> Rights:
        """What the actor was given, before its token narrows it."""
        return self._identities.rights(self.actor)

    @property
    def is_admin(self) -> bool:
        """Whether the actor administers the installation, with a token that lets it."""
        return not self.actor.is_anonymous and self.rights.is_admin and self._manages()

    def owns(self, owner: str) -> bool:
        """Whether the actor manages what belongs to this user or organisation, with a token that lets it."""
        return access.may_own(self.rights, self.actor, owner) and self._manages()

    def require_signed_in(self) -> None:
        """Raise Unauthenticated for nobody."""
        if self.actor.is_anonymous:
            raise Unauthenticated("this needs a token")

    def require_admin(self) -> None:
        """Raise unless the actor administers the installation."""
        self.require_signed_in()
        if self.rights.is_admin:
            access.require_proof(self.actor, Scope.ADMIN)
        if not self.is_admin:
            raise Forbidden(f"{self.actor.name} does not administer this installation, or its token has no admin scope")

    def require_owner(self, owner: str) -> None:
        """Raise unless the actor manages this user or organisation; the same for one that does not exist."""
        self.require_signed_in()
        if access.may_own(self.rights, self.actor, owner):
            access.require_proof(self.actor, Scope.ADMIN)
        if not self.owns(owner):
            raise Forbidden(f"{self.actor.name} does not manage {owner}, or its token has no admin scope")

    async def note(self, action: str, repository: str = "", package: str = "", **detail: Any) -> None:
        """Record in the audit table what was done. `detail` must hold no secrets."""
        entry = AuditEntry(
            self._clock(), self.actor.name, action, repository, package, detail, self.actor.address, self._request_id
        )
        await self._audit.append([entry])

    def _manages(self) -> bool:
        return access.token_allows(self.actor, Scope.ADMIN, now=self._clock())

    def _named(self, name: str, *kinds: ActorKind) -> ActorRow:
        """The actor of that name and of one of these kinds (any, for none); raises Unknown."""
        row = self._identities.actor_by_name(name)
        if row is None or (kinds and row.kind not in kinds):
            raise Unknown(f"no {' or '.join(kinds) or 'actor'} {name[:100]}")
        return row
