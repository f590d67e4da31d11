"""Organisations, their members and teams: made by administrators, run by the organisation's owners."""

from gateway.auth.acting import Acting
from gateway.errors import Conflict, Forbidden, Invalid, Unknown
from gateway.model import ActorKind
from gateway.store.rows import MemberRow, OrganisationRow, TeamRow


class OrganisationAccounts(Acting):
    """Organisations and teams, as far as the acting actor may see or manage them."""

    async def organisations(self) -> list[OrganisationRow]:
        """Those that the actor belongs to, or all for an administrator; sorted by name."""
        self.require_signed_in()
        rows = await self._identities.organisations()
        return rows if self.is_admin else [row for row in rows if row.name in self.rights.organisations]

    async def create_organisation(self, name: str, owner: str | None = None) -> OrganisationRow:
        """A new organisation, owned by that user or by the acting one; administrators only."""
        self.require_admin()
        first = self._named(owner or self.actor.name, ActorKind.USER)
        row = await self._identities.create_organisation(name, first.id)
        await self.note("organisation.create", name=row.name, owner=first.name)
        return row

    async def delete_organisation(self, name: str) -> None:
        """Remove an organisation with its teams and their grants; administrators only."""
        self.require_admin()
        await self._identities.delete_organisation(self._organisation(name).id)
        await self.note("organisation.delete", name=name)

    async def members(self, organisation: str) -> list[MemberRow]:
        """Who is in it, sorted by name; for its members."""
        self._require_member(organisation)
        return await self._identities.members(self._organisation(organisation).id)

    async def set_member(self, organisation: str, name: str, role: str) -> None:
        """Make an actor `owner` or `member`; only users own. Raises Conflict for the last owner's demotion."""
        self.require_owner(organisation)
        row = self._organisation(organisation)
        if role not in {"owner", "member"}:
            raise Invalid(f"expected the role owner or member, got {role[:20]!r}")
        joining = self._named(name)
        if role == "owner" and joining.kind is not ActorKind.USER:
            raise Invalid("a service account cannot own an organisation")
        if role != "owner":
            await self._require_another_owner(row, joining.id)
        await self._identities.set_member(row.id, joining.id, role)
        await self.note("member.set", organisation=organisation, name=name, role=role)

    async def remove_member(self, organisation: str, name: str) -> None:
        """Take somebody out of it and of its teams; whoever is in may leave."""
        self.require_signed_in()
        if name != self.actor.name or not self._manages():
            self.require_owner(organisation)
        row, leaving = self._organisation(organisation), self._named(name)
        await self._require_another_owner(row, leaving.id)
        if not await self._identities.remove_member(row.id, leaving.id):
            raise Unknown(f"{name} is not in {organisation}")
        await self.note("member.remove", organisation=organisation, name=name)

    async def teams(self, organisation: str) -> list[TeamRow]:
        """Its teams, sorted by name; for its members."""
        self._require_member(organisation)
        return await self._identities.teams(self._organisation(organisation).id)

    async def create_team(self, organisation: str, name: str) -> TeamRow:
        """A new, empty team."""
        self.require_owner(organisation)
        team = await self._identities.create_team(self._organisation(organisation).id, name)
        await self.note("team.create", organisation=organisation, name=name)
        return team

    async def delete_team(self, organisation: str, name: str) -> None:
        """Remove a team and the grants that it had."""
        self.require_owner(organisation)
        await self._identities.delete_team(self._team(organisation, name).id)
        await self.note("team.delete", organisation=organisation, name=name)

    async def team_members(self, organisation: str, team: str) -> list[MemberRow]:
        """Who is in a team, sorted by name; for members of the organisation."""
        self._require_member(organisation)
        return await self._identities.team_members(self._team(organisation, team).id)

    async def add_team_member(self, organisation: str, team: str, name: str) -> None:
        """Put somebody into a team, and thereby into the organisation."""
        self.require_owner(organisation)
        await self._identities.add_team_member(self._team(organisation, team).id, self._named(name).id)
        await self.note("team.add", organisation=organisation, team=team, name=name)

    async def remove_team_member(self, organisation: str, team: str, name: str) -> None:
        """Take somebody out of a team."""
        self.require_owner(organisation)
        if not await self._identities.remove_team_member(self._team(organisation, team).id, self._named(name).id):
            raise Unknown(f"{name} is not in {organisation}/{team}")
        await self.note("team.remove", organisation=organisation, team=team, name=name)

    def _organisation(self, name: str) -> OrganisationRow:
        row = self._identities.organisation(name)
        if row is None:
            raise Unknown(f"no organisation {name[:100]}")
        return row

    def _team(self, organisation: str, name: str) -> TeamRow:
        row = self._identities.team(organisation, name)
        if row is None:
            raise Unknown(f"no team {organisation[:100]}/{name[:100]}")
        return row

    def _require_member(self, organisation: str) -> None:
        self.require_signed_in()
        if organisation not in self.rights.organisations and not self.is_admin:
            raise Forbidden(f"{self.actor.name} is not in {organisation}")

    async def _require_another_owner(self, organisation: OrganisationRow, actor_id: int) -> None:
        owners = {row.actor_id for row in await self._identities.members(organisation.id) if row.role == "owner"}
        if owners == {actor_id}:
            raise Conflict(f"{organisation.name} would have no owner left")
