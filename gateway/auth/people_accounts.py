"""Users and service accounts: made, changed and removed by administrators; a password by its owner."""

from msgspec.structs import replace

from gateway.auth import passwords
from gateway.auth.acting import Acting
from gateway.auth.authenticate import SESSION_KIND
from gateway.auth.patterns import check_email
from gateway.errors import Conflict, Forbidden, Invalid, Unknown
from gateway.model import ActorKind
from gateway.store.rows import ActorRow


class PeopleAccounts(Acting):
    """Users and service accounts, as far as the acting actor may manage them."""

    async def users(self) -> list[ActorRow]:
        """All users, sorted by name; administrators only."""
        return await self._all(ActorKind.USER)

    async def services(self) -> list[ActorRow]:
        """All service accounts, sorted by name; administrators only."""
        return await self._all(ActorKind.SERVICE)

    def me(self) -> ActorRow:
        """The acting actor's own row."""
        self.require_signed_in()
        return self._named(self.actor.name)

    def person(self, name: str) -> ActorRow:
        """Anybody's row, for whoever signed in; the e-mail is left out unless it is one's own. Raises Unknown."""
        self.require_signed_in()
        row = self._named(name)
        return row if row.id == self.actor.id or self.is_admin else replace(row, email=None)

    def person_by_email(self, email: str) -> ActorRow:
        """The one user with exactly this address, for whoever signed in; raises Unknown for none, and for several."""
        self.require_signed_in()
        rows = self._identities.users_by_email(email)
        if len(rows) != 1:
            raise Unknown("no user has this address, or more than one has it")
        return self.person(rows[0].name)

    async def create_user(
        self, name: str, *, email: str | None = None, password: str | None = None, is_admin: bool = False
    ) -> ActorRow:
        """A new user; without a password it signs in by other means. Raises AlreadyExists and Invalid."""
        self.require_admin()
        email = check_email(email)
        hashed = await passwords.hash(password) if password is not None else None
        row = await self._identities.create_actor(
            ActorKind.USER, name, email=email, password_hash=hashed, is_admin=is_admin
        )
        await self.note("user.create", name=row.name, is_admin=is_admin)
        return row

    async def create_service(self, name: str) -> ActorRow:
        """A new service account, which has tokens and no password."""
        self.require_admin()
        row = await self._identities.create_actor(ActorKind.SERVICE, name)
        await self.note("service.create", name=row.name)
        return row

    async def update_actor(
        self,
        kind: ActorKind,
        name: str,
        *,
        email: str | None = None,
        password: str | None = None,
        is_admin: bool | None = None,
        is_disabled: bool | None = None,
    ) -> ActorRow:
        """Change what is given (None keeps it); raises Conflict rather than leave nobody who administers."""
        self.require_admin()
        row = self._named(name, kind)
        if kind is ActorKind.SERVICE and (password is not None or is_admin or email):
            raise Invalid("a service account has neither password nor e-mail, and does not administer")
        changes: dict[str, object] = {}
        if email is not None:
            changes["email"] = check_email(email)
        if is_admin is not None:
            changes["is_admin"] = is_admin
        if is_disabled is not None:
            changes["is_disabled"] = is_disabled
        if is_admin is False or is_disabled:
            await self._require_another_admin(row)
        named = sorted(changes)
        if password is not None:
            changes["password_hash"] = await passwords.hash(password)
            named.append("password")
        changed = await self._identities.update_actor(row.id, changes)
        if password is not None or is_disabled:
            await self._identities.delete_sessions_of(row.id, SESSION_KIND)
        await self.note(f"{kind}.update", name=name, changed=named)
        return changed

    async def delete_actor(self, kind: ActorKind, name: str) -> None:
        """Remove a user or service account with its tokens, memberships and grants."""
        self.require_admin()
        row = self._named(name, kind)
        await self._require_another_admin(row)
        await self._identities.delete_actor(row.id)
        await self.note(f"{kind}.delete", name=name)

    async def change_password(self, current: str, new: str) -> None:
        """Set the actor's own password and end its other sessions; a token is not enough to do so."""
        self.require_signed_in()
        if self.actor.token is not None:
            raise Forbidden("a password is changed by signing in with it, not with a token")
        found = self._identities.password_of(self.actor.name)
        if not await passwords.verify(found[1] if found is not None else None, current):
            raise Forbidden("the current password is another one")
        await self._identities.update_actor(self.actor.id, {"password_hash": await passwords.hash(new)})
        await self._identities.delete_sessions_of(self.actor.id, SESSION_KIND)
        await self.note("user.password", name=self.actor.name)

    async def _all(self, kind: ActorKind) -> list[ActorRow]:
        self.require_admin()
        return [row for row in await self._identities.actors() if row.kind is kind]

    async def _require_another_admin(self, row: ActorRow) -> None:
        if not row.is_admin or row.is_disabled:
            return
        others = [a for a in await self._identities.actors() if a.is_admin and not a.is_disabled and a.id != row.id]
        if not others:
            raise Conflict(f"{row.name} is the only one who administers this installation")
