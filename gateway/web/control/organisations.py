"""Handlers of the control API: organisations, their members and teams, and grants."""

from collections.abc import Iterable, Mapping

from gateway.store.rows import GrantRow, MemberRow, TeamRow
from gateway.web.control import schemas
from gateway.web.control.call import AdminCall


async def organisations(call: AdminCall) -> list[schemas.Organisation]:
    """The organisations that one is in; all of them for administrators."""
    return [schemas.Organisation(row.name, row.created_at) for row in await call.accounts.organisations()]


async def create_organisation(call: AdminCall) -> schemas.Organisation:
    """Create an organisation."""
    body = call.expect(schemas.NewOrganisation)
    row = await call.accounts.create_organisation(body.name, body.owner)
    return schemas.Organisation(row.name, row.created_at)


async def delete_organisation(call: AdminCall) -> None:
    """Delete an organisation with its teams; its repositories must be gone first."""
    call.accounts.require_admin()
    call.services.repositories.require_none_of(call.path["organisation"])
    await call.accounts.delete_organisation(call.path["organisation"])


async def members(call: AdminCall) -> list[schemas.Member]:
    """Who is in an organisation."""
    return _members(await call.accounts.members(call.path["organisation"]))


async def set_member(call: AdminCall) -> None:
    """Make somebody owner or member of an organisation."""
    role = call.expect(schemas.Membership).role
    await call.accounts.set_member(call.path["organisation"], call.path["name"], role)


async def remove_member(call: AdminCall) -> None:
    """Take somebody out of an organisation, or leave it."""
    await call.accounts.remove_member(call.path["organisation"], call.path["name"])


async def teams(call: AdminCall) -> list[schemas.Team]:
    """The teams of an organisation."""
    return [_team(row) for row in await call.accounts.teams(call.path["organisation"])]


async def create_team(call: AdminCall) -> schemas.Team:
    """Create a team."""
    return _team(await call.accounts.create_team(call.path["organisation"], call.expect(schemas.NewTeam).name))


async def delete_team(call: AdminCall) -> None:
    """Delete a team with its grants."""
    await call.accounts.delete_team(call.path["organisation"], call.path["team"])


async def team_members(call: AdminCall) -> list[schemas.Member]:
    """Who is in a team."""
    return _members(await call.accounts.team_members(call.path["organisation"], call.path["team"]))


async def add_team_member(call: AdminCall) -> None:
    """Put somebody into a team, and thereby into the organisation."""
    await call.accounts.add_team_member(call.path["organisation"], call.path["team"], call.path["name"])


async def remove_team_member(call: AdminCall) -> None:
    """Take somebody out of a team."""
    await call.accounts.remove_team_member(call.path["organisation"], call.path["team"], call.path["name"])


# ── grants ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def grants(call: AdminCall) -> list[schemas.Grant]:
    """The grants that one could take back; with `repository`, only those of exactly this pattern."""
    rows = await call.accounts.grants()
    wanted = call.query.get("repository")
    names = await _team_names(call)
    return [_grant(call, row, names) for row in rows if wanted is None or row.repository == wanted]


async def create_grant(call: AdminCall) -> schemas.Grant:
    """Give a role on repositories, or on some packages in them."""
    body = call.expect(schemas.NewGrant)
    row = await call.accounts.create_grant(
        subject_kind=body.subject_kind,
        subject=body.subject,
        role=body.role,
        repository=body.repository,
        package=body.package,
        cidr=body.cidr,
    )
    return _grant(call, row, await _team_names(call))


async def delete_grant(call: AdminCall) -> None:
    """Take a grant back."""
    await call.accounts.delete_grant(call.number("id"))


def _members(rows: Iterable[MemberRow]) -> list[schemas.Member]:
    return [schemas.Member(row.name, row.role) for row in rows]


def _team(row: TeamRow) -> schemas.Team:
    return schemas.Team(row.organisation, row.name)


async def _team_names(call: AdminCall) -> dict[int, str]:
    return {row.id: f"{row.organisation}/{row.name}" for row in await call.services.identities.teams()}


def _grant(call: AdminCall, row: GrantRow, teams_by_id: Mapping[int, str]) -> schemas.Grant:
    is_team = row.subject_kind == "team" and row.subject_id is not None
    subject = teams_by_id.get(row.subject_id or 0) if is_team else call.accounts.subject_of(row)
    return schemas.Grant(row.id, row.subject_kind, subject, row.role, row.repository, row.package, row.cidr)
