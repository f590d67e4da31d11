"""Who may do what, as npm's `access`, `owner`, `team` and `org` commands put it (npm.md §7).

npm knows "read" and "write" on a package for users and teams; here these are grants on exactly that package of this
repository. Whether the actor may see or change any of it is decided by `call.accounts`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapters.npm import names
from adapters.npm.addresses import json_object, package_of, routes, text_of
from gateway.errors import Forbidden, Invalid, Unknown
from gateway.model import OwnerMode, Scope, Visibility
from gateway.store.rows import GrantRow

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_ROLES = {"read-only": "read", "read-write": "write"}
_ORG_ROLES = {"developer": "member", "owner": "owner"}  # npm's "admin" has no counterpart here


# ── access ───────────────────────────────────────────────────────────────────────────────────────────────────────
def is_public(call: "Call", package: str) -> bool:
    """Whether everybody may read the package."""
    return call.repository.visibility is Visibility.PUBLIC and not call.publish.is_restricted(package)


async def access(call: "Call") -> "Answer":
    """POST -/package/NAME/access: public or restricted; two-factor rules are not ours to keep."""
    package = package_of(call, Scope.ADMIN)
    call.publish.require(Scope.ADMIN, package)
    wanted = await json_object(call)
    if "access" not in wanted:
        raise Forbidden("two-factor rules cannot be set here: narrow the token instead")
    if wanted["access"] not in {"public", "restricted", "private"}:
        raise Invalid("access is public or restricted")
    await call.publish.restrict(package, is_restricted=wanted["access"] != "public")
    return call.json({"access": "public" if is_public(call, package) else "restricted"})


async def collaborators(call: "Call") -> "Answer":
    """GET -/package/NAME/collaborators: user → read or write, as far as the actor may know."""
    package = package_of(call)
    listing = await call.pull.listing(package)
    call.accounts.require_signed_in()
    found = {str(one.get("name")): "write" for one in listing.facts.get("maintainers", [])}
    for row in await _grants(call, package):
        name = call.accounts.subject_of(row)
        if name is not None:
            found[name] = "write" if "write" in {_npm_role(row), found.get(name)} else "read"
    wanted = call.query.get("user")
    return call.json({name: role for name, role in found.items() if wanted in {None, name}})


async def grant_owners(call: "Call", package: str, before: Sequence[Any], after: Sequence[Any]) -> None:
    """Give new owners the right to publish, and take it from those who are none any more."""
    old, new = ({str(one["name"]) for one in people} for people in (before, after))
    for name in sorted(new - old):
        kind = call.accounts.person(name).kind
        await call.accounts.create_grant(
            subject_kind=str(kind), subject=name, role="write", repository=str(call.repository.key), package=package
        )
    for row in await _grants(call, package):
        if call.accounts.subject_of(row) in old - new and row.role == "write":
            await call.accounts.delete_grant(row.id)


async def packages_of_org(call: "Call") -> "Answer":
    """GET -/org/ORG/package: hosted packages of that scope or owner; 404 makes npm ask for the user's."""
    wanted = call.path["org"]
    if call.repository.key.owner == wanted:
        found = await _hosted_names(call)
    else:
        found = [name for name in await _hosted_names(call) if names.scope_of(name) == wanted]
    if not found:
        raise Unknown(f"no organisation {wanted[:80]} here")
    return call.json({name: _permission(call, name) for name in found})


async def packages_of_user(call: "Call") -> "Answer":
    """GET -/user/USER/package: what the actor itself may do."""
    call.accounts.require_signed_in()
    if call.path["user"] != call.actor.name:
        raise Forbidden("only your own packages are listed")
    return call.json({name: _permission(call, name) for name in await _hosted_names(call)})


# ── teams ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def packages_of_team(call: "Call") -> "Answer":
    """GET -/team/ORG/TEAM/package."""
    team = await _team_id(call)
    rows = [row for row in await _grants(call, None) if (row.subject_kind, row.subject_id) == ("team", team)]
    return call.json({row.package: _npm_role(row) for row in rows})


async def put_package_of_team(call: "Call") -> "Answer":
    """PUT -/team/ORG/TEAM/package: {package, permissions}."""
    wanted = await json_object(call)
    package = names.normalize(text_of(wanted, "package"))
    role = _ROLES.get(text_of(wanted, "permissions"))
    if role is None:
        raise Invalid("permissions are read-only or read-write")
    before = await _grants_of_team(call, package)
    await call.accounts.create_grant(
        subject_kind="team",
        subject=f"{call.path['org']}/{call.path['team']}",
        role=role,
        repository=str(call.repository.key),
        package=package,
    )
    for row in before:
        await call.accounts.delete_grant(row.id)
    return call.json({"ok": True}, 201)


async def delete_package_of_team(call: "Call") -> "Answer":
    """DELETE -/team/ORG/TEAM/package: {package}."""
    package = names.normalize(text_of(await json_object(call), "package"))
    rows = await _grants_of_team(call, package)
    if not rows:
        raise Unknown("the team has no grant on this package")
    for row in rows:
        await call.accounts.delete_grant(row.id)
    return call.json({"ok": True})


async def teams(call: "Call") -> "Answer":
    """GET -/org/ORG/team: `["acme:devs"]`."""
    organisation = call.path["org"]
    return call.json([f"{organisation}:{row.name}" for row in await call.accounts.teams(organisation)])


async def put_team(call: "Call") -> "Answer":
    """PUT -/org/ORG/team: {name}."""
    name = text_of(await json_object(call), "name")
    await call.accounts.create_team(call.path["org"], name)
    return call.json({"name": f"{call.path['org']}:{name}"}, 201)


async def delete_team(call: "Call") -> "Answer":
    """DELETE -/team/ORG/TEAM."""
    await call.accounts.delete_team(call.path["org"], call.path["team"])
    return call.json({"ok": True})


async def team_members(call: "Call") -> "Answer":
    """GET -/team/ORG/TEAM/user: names."""
    return call.json([row.name for row in await call.accounts.team_members(call.path["org"], call.path["team"])])


async def put_team_member(call: "Call") -> "Answer":
    """PUT -/team/ORG/TEAM/user: {user}."""
    user = _user(await json_object(call))
    await call.accounts.add_team_member(call.path["org"], call.path["team"], user)
    return call.json({"ok": True}, 201)


async def delete_team_member(call: "Call") -> "Answer":
    """DELETE -/team/ORG/TEAM/user: {user}."""
    user = _user(await json_object(call))
    await call.accounts.remove_team_member(call.path["org"], call.path["team"], user)
    return call.json({"ok": True})


# ── organisations ────────────────────────────────────────────────────────────────────────────────────────────────
async def members(call: "Call") -> "Answer":
    """GET -/org/ORG/user: name → role."""
    return call.json({row.name: _org_role(row.role) for row in await call.accounts.members(call.path["org"])})


async def put_member(call: "Call") -> "Answer":
    """PUT -/org/ORG/user: {user, role}; npm crashes without all of the answer."""
    organisation, wanted = call.path["org"], await json_object(call)
    user, asked = _user(wanted), str(wanted.get("role") or "developer")
    role = _ORG_ROLES.get(asked)
    if role is None:
        raise Invalid("roles here are developer and owner")
    await call.accounts.set_member(organisation, user, role)
    size = len(await call.accounts.members(organisation))
    return call.json({"org": {"name": organisation, "size": size}, "user": user, "role": asked}, 201)


async def delete_member(call: "Call") -> "Answer":
    """DELETE -/org/ORG/user: {user}."""
    await call.accounts.remove_member(call.path["org"], _user(await json_object(call)))
    return call.json({"ok": True})


# ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _grants(call: "Call", package: str | None) -> list[GrantRow]:
    """Grants on exactly this package here, or on any single package here for None."""
    key = str(call.repository.key)
    rows = [row for row in await call.accounts.grants() if row.repository == key and row.role in {"read", "write"}]
    return [row for row in rows if (row.package == package if package is not None else "*" not in row.package)]


async def _grants_of_team(call: "Call", package: str) -> list[GrantRow]:
    team = await _team_id(call)
    return [row for row in await _grants(call, package) if (row.subject_kind, row.subject_id) == ("team", team)]


async def _team_id(call: "Call") -> int:
    rows = await call.accounts.teams(call.path["org"])
    found = next((row.id for row in rows if row.name == call.path["team"]), None)
    if found is None:
        raise Unknown(f"no team {call.path['org'][:80]}:{call.path['team'][:80]}")
    return found


async def _hosted_names(call: "Call") -> list[str]:
    """Names of packages that are published here and that the actor may read."""
    return [name for name in await call.pull.names() if call.pull.owner_mode(name) is not OwnerMode.UPSTREAM]


def _permission(call: "Call", package: str) -> str:
    return "write" if call.pull.may(package, Scope.WRITE) else "read"


def _npm_role(row: GrantRow) -> str:
    return "write" if row.role == "write" else "read"


def _org_role(role: str) -> str:
    return next((npm for npm, ours in _ORG_ROLES.items() if ours == role), "developer")


def _user(members_: dict[str, Any]) -> str:
    return text_of(members_, "user").lstrip("@~")


ROUTES = (
    *routes("POST", "-/package/NAME/access", access, Scope.ADMIN),
    *routes("GET", "-/package/NAME/collaborators", collaborators),
    *routes("GET", "-/org/{org}/package", packages_of_org),
    *routes("GET", "-/user/{user}/package", packages_of_user),
    *routes("GET", "-/team/{org}/{team}/package", packages_of_team),
    *routes("PUT", "-/team/{org}/{team}/package", put_package_of_team, Scope.ADMIN),
    *routes("DELETE", "-/team/{org}/{team}/package", delete_package_of_team, Scope.ADMIN),
    *routes("GET", "-/org/{org}/team", teams, None),
    *routes("PUT", "-/org/{org}/team", put_team, None),
    *routes("DELETE", "-/team/{org}/{team}", delete_team, None),
    *routes("GET", "-/team/{org}/{team}/user", team_members, None),
    *routes("PUT", "-/team/{org}/{team}/user", put_team_member, None),
    *routes("DELETE", "-/team/{org}/{team}/user", delete_team_member, None),
    *routes("GET", "-/org/{org}/user", members, None),
    *routes("PUT", "-/org/{org}/user", put_member, None),
    *routes("DELETE", "-/org/{org}/user", delete_member, None),
)
