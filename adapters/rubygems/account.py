"""Keys and owners: `gem signin` and `gem owner`.

A key is one of our tokens, as narrow as its scopes say; an owner is somebody with a grant on exactly this gem. What the
actor may see or change of either is decided by `call.accounts`.
"""

from typing import TYPE_CHECKING

from adapters.rubygems.packages import package_of
from adapters.rubygems.publishing import form_of
from gateway.errors import Forbidden, Gone, Invalid, PackageUnknown, Unknown
from gateway.model import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.store.rows import ActorRow, GrantRow
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_SCOPES = {
    "show_dashboard": Scope.READ,
    "index_rubygems": Scope.READ,
    "access_webhooks": Scope.READ,
    "push_rubygem": Scope.WRITE,
    "yank_rubygem": Scope.DELETE,
    "add_owner": Scope.ADMIN,
    "update_owner": Scope.ADMIN,
    "remove_owner": Scope.ADMIN,
    "configure_trusted_publishers": Scope.ADMIN,
}
_USUAL = frozenset({Scope.READ, Scope.WRITE, Scope.DELETE})
_TRUE = frozenset({"true", "1", "on"})
_NO_STORE = (("Cache-Control", "no-store"),)
_ROLES = ("write", "delete", "admin")
_ROLE_OF = {"owner": "admin", "maintainer": "write"}


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def create_key(call: "Call") -> "Answer":
    """POST api/v1/api_key: name and password (or a token) as Basic authorization, for a fresh token as text."""
    form = await form_of(call)
    accounts = call.accounts
    accounts.require_signed_in()
    asked = {scope for field, scope in _SCOPES.items() if form.get(field, "").lower() in _TRUE}
    limits = call.actor.token
    secret, _ = await accounts.create_token(
        name=(form.get("name") or "gem signin")[:100],
        scopes=asked or _USUAL,
        repositories=(str(call.repository.key),),
        packages=limits.packages if limits is not None else (),
        cidrs=limits.cidrs if limits is not None else (),
        expires_at=limits.expires_at if limits is not None else None,
    )
    return call.text(secret, headers=_NO_STORE)


async def change_key(_: "Call") -> "Answer":
    """PUT api/v1/api_key: a token's scopes are never widened, a new one is made instead."""
    raise Forbidden("a key cannot be changed: sign in again for one with other scopes")


async def retired_key(_: "Call") -> "Answer":
    """GET api/v1/api_key, as gem before 3.2 asked."""
    raise Gone("keys are made by POST: update RubyGems to 3.2 or newer")


# ── owners ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def owners(call: "Call") -> "Answer":
    """GET api/v1/gems/NAME/owners.yaml or .json: who has a grant on this gem, as far as the actor may know."""
    package = await _hosted(call)
    found = {call.accounts.subject_of(row): row.role for row in await _grants(call, package)}
    people = [{"handle": name, "email": name, "role": role} for name, role in found.items() if name is not None]
    if call.path["form"] == "json":
        return call.json(people)
    lines = [f'- handle: "{one["handle"]}"\n  email: "{one["email"]}"\n' for one in people]
    return call.text("---\n" + "".join(lines) if lines else "--- []\n", content_type="application/yaml; charset=utf-8")


async def add_owner(call: "Call") -> "Answer":
    """POST api/v1/gems/NAME/owners: a form with `email`, which may be a user's name as well, and perhaps `role`."""
    package, form = await _hosted(call), await form_of(call)
    person, role = _named(call, form), _role(form)
    await _give(call, package, person, role or "write")
    return call.text("Owner added successfully.\n")


async def change_owner(call: "Call") -> "Answer":
    """PATCH api/v1/gems/NAME/owners: a form with `email` and the `role` that takes the place of what there was."""
    package, form = await _hosted(call), await form_of(call)
    person, role = _named(call, form), _role(form)
    if role is None:
        raise Invalid("the form has no role")
    rows = await _held(call, package, person.name)
    if role not in {row.role for row in rows}:
        await _give(call, package, person, role)
    for row in rows:
        if row.role != role:
            await call.accounts.delete_grant(row.id)
    return call.text("Owner updated successfully.\n")


async def remove_owner(call: "Call") -> "Answer":
    """DELETE api/v1/gems/NAME/owners: a form with `email`, in the body."""
    package, form = await _hosted(call), await form_of(call)
    person = _named(call, form)
    for row in await _held(call, package, person.name):
        await call.accounts.delete_grant(row.id)
    return call.text("Owner removed successfully.\n")


async def _hosted(call: "Call") -> str:
    call.accounts.require_signed_in()
    package = package_of(call, call.path["name"])
    if await call.publish.hosted(package) is None:
        raise PackageUnknown("this rubygem could not be found")
    return package


def _named(call: "Call", form: "Mapping[str, str]") -> "ActorRow":
    """Whom a form names: by exactly the address that we have of a user, or by name; a part of an address is none."""
    text = form.get("email", "").strip()
    if not text:
        raise Invalid("the form has no email")
    try:
        return call.accounts.person_by_email(text) if "@" in text else call.accounts.person(text)
    except Unknown as error:
        raise Unknown("owner could not be found") from error


def _role(form: "Mapping[str, str]") -> str | None:
    """The grant that a form asks for: an owner's may give others theirs; None where it does not say."""
    text = form.get("role", "")
    if text and text not in _ROLE_OF:
        raise Invalid(f"expected one of the roles {', '.join(_ROLE_OF)}")
    return _ROLE_OF.get(text)


async def _give(call: "Call", package: str, person: "ActorRow", role: str) -> None:
    await call.accounts.create_grant(
        subject_kind=str(person.kind),
        subject=person.name,
        role=role,
        repository=str(call.repository.key),
        package=package,
    )


async def _held(call: "Call", package: str, name: str) -> "list[GrantRow]":
    """The grants by which somebody owns a gem; raises Unknown where there are none."""
    rows = [row for row in await _grants(call, package) if call.accounts.subject_of(row) == name]
    if not rows:
        raise Unknown(f"{name} is no owner of {package}")
    return rows


async def _grants(call: "Call", package: str) -> "list[GrantRow]":
    wanted = (str(call.repository.key), package)
    rows = await call.accounts.grants()
    return [row for row in rows if (row.repository, row.package) == wanted and row.role in _ROLES]
