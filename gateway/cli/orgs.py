"""`entrepot org`: organisations, who belongs to them, and their teams."""

from typing import Annotated

import typer

from gateway.cli import lookups
from gateway.cli.frame import Data, command, group
from gateway.cli.output import remark, table
from gateway.errors import Unknown

app = group("Organisations: owners of repositories that several people share.")
teams = group("Teams of an organisation, written as organisation/team.")
app.add_typer(teams, name="team")

_Org = Annotated[str, typer.Argument(metavar="ORGANISATION")]
_Team = Annotated[str, typer.Argument(metavar="ORGANISATION/TEAM")]
_Actor = Annotated[str, typer.Argument(metavar="NAME", help="A user or service.")]


@command(app, "create")
async def create(
    data: Data,
    name: _Org,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="A user who shall own it.")] = None,
) -> None:
    """Create an organisation."""
    owner_id = None if owner is None else lookups.actor(data, owner).id
    await data.identities.create_organisation(name, owner_id)
    await data.note("organisation.create", name=name, owner=owner)
    remark(f"created organisation {name}")


@command(app, "list")
async def list_all(data: Data) -> None:
    """List organisations with their members and teams."""
    rows = []
    for row in await data.identities.organisations():
        members = await data.identities.members(row.id)
        named = [f"{member.name} (owner)" if member.role == "owner" else member.name for member in members]
        rows.append((row.name, ", ".join(named), ", ".join(team.name for team in await data.identities.teams(row.id))))
    table(("NAME", "MEMBERS", "TEAMS"), rows)


@command(app, "delete")
async def delete(data: Data, name: _Org) -> None:
    """Delete an organisation with its memberships and teams; its repositories must be gone first."""
    data.repositories.require_none_of(name)
    await data.identities.delete_organisation(lookups.organisation(data, name).id)
    await data.note("organisation.delete", name=name)
    remark(f"deleted organisation {name}")


@command(app, "add-member")
async def add_member(
    data: Data,
    organisation: _Org,
    name: _Actor,
    owner: Annotated[bool, typer.Option("--owner", help="As an owner, who administers all its repositories.")] = False,
) -> None:
    """Add a member, who may read all of the organisation's repositories, or change its role."""
    role = "owner" if owner else "member"
    org, member = lookups.organisation(data, organisation), lookups.actor(data, name)
    await data.identities.set_member(org.id, member.id, role)
    await data.note("member.set", organisation=org.name, name=member.name, role=role)
    remark(f"{member.name} is {'an owner' if owner else 'a member'} of {org.name}")


@command(app, "remove-member")
async def remove_member(data: Data, organisation: _Org, name: _Actor) -> None:
    """Remove a member from an organisation and its teams."""
    org, member = lookups.organisation(data, organisation), lookups.actor(data, name)
    if not await data.identities.remove_member(org.id, member.id):
        raise Unknown(f"{name} is not a member of {organisation}")
    await data.note("member.remove", organisation=org.name, name=member.name)
    remark(f"{member.name} is no longer in {org.name}")


@command(teams, "create")
async def create_team(data: Data, team: _Team) -> None:
    """Create a team."""
    owner, _, name = team.partition("/")
    await data.identities.create_team(lookups.organisation(data, owner).id, name)
    await data.note("team.create", name=team)
    remark(f"created team {team}")


@command(teams, "list")
async def list_teams(
    data: Data, organisation: Annotated[str | None, typer.Argument(metavar="ORGANISATION")] = None
) -> None:
    """List teams with their members."""
    id_ = None if organisation is None else lookups.organisation(data, organisation).id
    rows = []
    for row in await data.identities.teams(id_):
        members = await data.identities.team_members(row.id)
        rows.append((f"{row.organisation}/{row.name}", ", ".join(member.name for member in members)))
    table(("TEAM", "MEMBERS"), rows)


@command(teams, "delete")
async def delete_team(data: Data, team: _Team) -> None:
    """Delete a team and the grants it had."""
    await data.identities.delete_team(lookups.team(data, team).id)
    await data.note("team.delete", name=team)
    remark(f"deleted team {team}")


@command(teams, "add-member")
async def add_team_member(data: Data, team: _Team, name: _Actor) -> None:
    """Add somebody to a team, and to its organisation."""
    await data.identities.add_team_member(lookups.team(data, team).id, lookups.actor(data, name).id)
    await data.note("team.add", team=team, name=name)
    remark(f"{name} is in {team}")


@command(teams, "remove-member")
async def remove_team_member(data: Data, team: _Team, name: _Actor) -> None:
    """Remove somebody from a team."""
    if not await data.identities.remove_team_member(lookups.team(data, team).id, lookups.actor(data, name).id):
        raise Unknown(f"{name} is not in {team}")
    await data.note("team.remove", team=team, name=name)
    remark(f"{name} is no longer in {team}")
