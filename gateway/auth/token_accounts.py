"""Making, listing and revoking tokens.

A token makes, sees and revokes only tokens that can do no more than itself, so that a stolen one never becomes a wider
or a longer-lived one. Nobody makes a token for another person; administrators make them for service accounts.
"""

from collections.abc import Collection
from typing import Any

from gateway.auth import tokens
from gateway.auth.acting import Acting
from gateway.auth.narrowing import is_within
from gateway.auth.patterns import check_label, check_patterns
from gateway.errors import CodeRequired, Forbidden, Invalid, Unknown
from gateway.model import ActorKind, Assurance, Scope, TokenLimits
from gateway.store.rows import ActorRow, TokenRow


class TokenAccounts(Acting):
    """Tokens of the acting actor, and of those whom it administers."""

    async def create_token(
        self,
        *,
        name: str,
        scopes: Collection[Scope],
        repositories: Collection[str] = (),
        packages: Collection[str] = (),
        cidrs: Collection[str] = (),
        expires_at: float | None = None,
        owner: str | None = None,
        is_automation: bool = False,
    ) -> tuple[str, TokenRow]:
        """Mint a token for the actor, or for the service account `owner`; returns its secret, shown this once.

        expires_at: POSIX seconds, in the future, or None. is_automation: it writes without a one-time code. Raises
        Invalid, Forbidden for a token that could do what the acting token cannot, and CodeRequired.
        """
        target = self._owner(owner)
        if target.id != self.actor.id:
            self.require_admin()
            if target.kind is not ActorKind.SERVICE:
                raise Forbidden("a token for another person can only be made by that person")
        limits = self._limits(scopes, repositories, packages, cidrs, expires_at)
        if self.actor.token is not None and not is_within(limits, self.actor.token):
            raise Forbidden("the new token would allow what the acting token does not")
        self._require_code(target, limits, is_automation=is_automation)
        secret = tokens.mint()
        row = await self._identities.create_token(
            target.id,
            sha256=tokens.sha256(secret),
            hint=tokens.hint(secret),
            name=check_label(name),
            scopes=limits.scopes,
            repositories=limits.repositories,
            packages=limits.packages,
            cidrs=limits.cidrs,
            expires_at=limits.expires_at,
            is_automation=is_automation,
        )
        told: dict[str, Any] = {"is_automation": True} if is_automation else {}
        await self.note(
            "token.create", owner=target.name, id=row.id, name=row.name, scopes=sorted(limits.scopes), **told
        )
        return secret, row

    async def tokens(self, owner: str | None = None) -> list[TokenRow]:
        """The actor's tokens as far as its own token could have made them, or, for administrators, those of `owner`."""
        target = self._owner(owner)
        if target.id != self.actor.id:
            self.require_admin()
        return [row for row in await self._identities.tokens(target.id) if self._covers(row)]

    async def revoke_token(self, id_: int) -> None:
        """Revoke one of the actor's tokens, or anybody's for an administrator; raises Unknown for all others."""
        self.require_signed_in()
        rows = await self._identities.tokens(None if self.is_admin else self.actor.id)
        row = next((row for row in rows if row.id == id_), None)
        if row is None or not self._covers(row):
            raise Unknown("no such token")
        await self._revoke(row)

    async def revoke_secret(self, secret: str) -> None:
        """Revoke the token with this secret, whoever's: who holds it could use it, so it may as well end it."""
        self.require_signed_in()
        found = self._identities.token_by_sha256(tokens.sha256(secret)) if tokens.is_well_formed(secret) else None
        if found is None:
            raise Unknown("no such token")
        await self._revoke(found[0])

    async def _revoke(self, row: TokenRow) -> None:
        if await self._identities.delete_token(row.id):
            owner = self._identities.actor(row.actor_id)
            await self.note("token.revoke", owner=owner.name if owner is not None else "", id=row.id, name=row.name)

    def _require_code(self, target: ActorRow, limits: TokenLimits, *, is_automation: bool) -> None:
        """A second factor stands behind every new token, and behind one for automation a code of its own."""
        if self.actor.assurance < (Assurance.CODE if is_automation else Assurance.SESSION):
            raise CodeRequired("a new token needs a one-time code, and one that was not used before")
        if is_automation:
            check_automation(target, limits.scopes)

    def _owner(self, name: str | None) -> ActorRow:
        self.require_signed_in()
        if name is not None and name != self.actor.name:
            self.require_admin()
        return self._named(self.actor.name if name is None else name)

    def _covers(self, row: TokenRow) -> bool:
        mine = self.actor.token
        return mine is None or mine.id == row.id or is_within(row.limits(), mine)

    def _limits(
        self,
        scopes: Collection[Scope],
        repositories: Collection[str],
        packages: Collection[str],
        cidrs: Collection[str],
        expires_at: float | None,
    ) -> TokenLimits:
        if not scopes:
            raise Invalid("a token needs at least one scope")
        if expires_at is not None and not self._clock() < expires_at < 1e11:
            raise Invalid("a token's expiry lies in the future, in POSIX seconds")
        return TokenLimits(0, frozenset(scopes), *check_patterns(repositories, packages, cidrs), expires_at)


def check_automation(owner: ActorRow, scopes: Collection[Scope]) -> None:
    """Raise Invalid unless this may be a token for automation: it writes without a code, and never administers."""
    if not owner.needs_code:
        raise Invalid(f"{owner.name} has no one-time codes: every token of theirs works without")
    if Scope.ADMIN in scopes:
        raise Invalid("a token for automation does not administer")
